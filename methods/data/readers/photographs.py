"""Patches of the two photographs that scikit-learn ships, averaged down to 8x8 gray pixels."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.data.pictures import decode
from methods.data.readers.cells import draw
from methods.data.trees import Tree

RECORD = {
    "title": "Gray patches of photographs, alone or as 2x2 mosaics",
    "reads_entries": True,  # an entry of the list is a drawing instruction, not a sample id
    "parameters": {},
}

_CELL = 8


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """Images of ``entries``, each one or four patches ``file:top:left:side``."""
    gray = {name: _luminance(content) for name, content in tree.read(tree.names())}

    def cell(text: str) -> np.ndarray:
        name, *box = text.split(":")
        top, left, side = map(int, box)
        return _shrink(gray[name][top : top + side, left : left + side])

    names = tuple(f"{number:05d}:{entry.replace(' ', '+')}" for number, entry in enumerate(entries))
    return ImageSet(draw(entries, cell), np.full(len(entries), -1, dtype=np.int64), names, ())


def _luminance(content: bytes) -> np.ndarray:
    return (decode(content).astype(np.int64) @ np.array([299, 587, 114]) + 500) // 1000


def _shrink(patch: np.ndarray) -> np.ndarray:
    """Mean over square blocks in whole numbers, so that every machine gets the same pixels."""
    block = len(patch) // _CELL
    sums = patch.reshape(_CELL, block, _CELL, block).sum(axis=(1, 3))
    return ((sums + block * block // 2) // (block * block)).astype(np.uint8)
