"""Images and labels in the IDX format of MNIST, gzipped or not (LeCun et al. 1998)."""

import math
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.data.trees import Tree, read_one
from methods.errors import ReproError, refuse

RECORD = {
    "title": "MNIST and its relatives (IDX)",
    "required": ["images", "labels"],
    "parameters": {
        "images": {"type": "string", "description": "file of the images"},
        "labels": {"type": "string", "description": "file of the labels"},
        "classes": {"type": "integer", "minimum": 1, "default": 10, "description": "number of classes"},
    },
}

_BYTES = 0x08  # type code of unsigned bytes


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """All images in file order, the gray value in three channels; a sample id is the number in the file."""
    gray = _array(read_one(tree, options["images"]), options["images"], 3)
    labels = _array(read_one(tree, options["labels"]), options["labels"], 1).astype(np.int64)
    ids = tuple(f"{number:05d}" for number in range(len(gray)))
    classes = tuple(str(number) for number in range(options["classes"]))
    return ImageSet(np.repeat(gray[..., None], 3, axis=-1), labels, ids, classes)


def _array(content: bytes, name: str, dimensions: int) -> np.ndarray:
    if content[:2] == b"\x1f\x8b":
        content = _unpacked(content, name)
    head = 4 + 4 * dimensions
    known = content[:4] == bytes([0, 0, _BYTES, dimensions]) and len(content) >= head
    shape = struct.unpack(f">{dimensions}I", content[4:head]) if known else ()
    refuse(
        not known or len(content) - head != math.prod(shape),
        f"{name} is no IDX file of bytes with {dimensions} dimensions, or it is truncated: fetch it again.",
    )
    return np.frombuffer(content, dtype=np.uint8, offset=head).reshape(shape)


def _unpacked(content: bytes, name: str) -> bytes:
    """Bounded, so that a gzip bomb ends in an error."""
    limit = max(64 << 20, 200 * len(content))
    try:
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 16)
        unpacked = decoder.decompress(content, limit)
    except zlib.error as error:
        raise ReproError(f"{name} is damaged ({error}): fetch it again.") from error
    refuse(not decoder.eof, f"{name} is truncated, or unpacks to over {limit} bytes: fetch it again.")
    return unpacked
