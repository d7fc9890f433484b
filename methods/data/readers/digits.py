"""Handwritten digits that scikit-learn ships (Alpaydin and Kaynak 1998, UCI optical recognition, test part)."""

import gzip
import io
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.data.readers.cells import draw
from methods.data.trees import Tree, read_one
from methods.errors import ReproError, refuse

RECORD = {
    "title": "Digits of scikit-learn, alone or as 2x2 mosaics",
    "reads_entries": True,  # an entry of the list is a drawing instruction, not a sample id
    "required": ["digits"],
    "parameters": {
        "digits": {
            "type": "array",
            "items": {"type": "integer", "minimum": 0, "maximum": 9},
            "description": "digits that make the classes, in class order; none for images that belong to no class",
        },
        "multi_label": {
            "type": "boolean",
            "default": False,
            "description": "label = the set of digits present",
        },
        "scramble": {
            "type": "boolean",
            "default": False,
            "description": "permute the 64 pixels of every digit",
        },
    },
}

_LEVELS = 16  # pixel values run from 0 to 16


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """Images of ``entries``, each one or four cells: an index into the digits, or two joined by ``+`` for their mean.

    An image with such a mean belongs to no class, so a set of them has no labels.
    """
    table = _table(read_one(tree, "digits.csv.gz"))
    pixels = ((table[:, :-1] * 255 + _LEVELS // 2) // _LEVELS).astype(np.uint8)

    def cell(text: str) -> np.ndarray:
        rows = [pixels[int(index)].astype(np.int64) for index in text.split("+")]
        row = (sum(rows) // len(rows)).astype(np.uint8)
        return (_scrambled(row, int(text)) if options["scramble"] else row).reshape(8, 8)

    names = tuple(
        f"{number:05d}:{entry.replace(' ', '_' if '+' in entry else '+')}" for number, entry in enumerate(entries)
    )
    if not options["digits"]:
        return ImageSet(draw(entries, cell), np.full(len(entries), -1, dtype=np.int64), names, ())
    labels = _labels(entries, table[:, -1], options)
    return ImageSet(draw(entries, cell), labels, names, tuple(str(digit) for digit in options["digits"]))


def _table(content: bytes) -> np.ndarray:
    """(N, 65) int64: 64 pixels of 0 to 16 and the digit of every image."""
    try:
        return np.loadtxt(io.BytesIO(gzip.decompress(content)), delimiter=",").astype(np.int64)
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise ReproError(
            f"digits.csv.gz is damaged ({error}): delete it from the archives and run the same command again."
        ) from error


def _scrambled(row: np.ndarray, index: int) -> np.ndarray:
    return row[np.random.RandomState(index).permutation(len(row))]


def _labels(entries: Sequence[str], target: np.ndarray, options: Mapping[str, Any]) -> np.ndarray:
    digits = np.array([[target[int(cell)] for cell in entry.split()] for entry in entries])
    present = (digits[:, :, None] == np.array(options["digits"])).any(axis=1)
    others = sorted(set(digits.ravel().tolist()) - set(options["digits"]))
    refuse(bool(others), f"The entries show the digits {others}, which the reader's classes {options['digits']} lack.")
    return present.astype(np.uint8) if options["multi_label"] else present.argmax(axis=1).astype(np.int64)
