"""CIFAR-10 and CIFAR-100 in the python version: pickles of rows of 3,072 bytes (Krizhevsky 2009)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.data.pickles import restricted_loads
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "CIFAR-10 or CIFAR-100, python version",
    "required": ["batches", "meta", "label_key", "names_key"],
    "parameters": {
        "batches": {
            "type": "array",
            "items": {"type": "string"},
            "description": "pickles of the split, in order",
        },
        "meta": {"type": "string", "description": "pickle with the class names"},
        "label_key": {"enum": ["labels", "fine_labels", "coarse_labels"], "description": "key of the labels"},
        "names_key": {
            "enum": ["label_names", "fine_label_names", "coarse_label_names"],
            "description": "key of the class names",
        },
    },
}

_ROW = 3 * 32 * 32


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """All images of the batches in file order; a sample id is the image's number in the split, ``00042``."""
    batches = [_batch(tree, name, options["label_key"]) for name in options["batches"]]
    rows, labels = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    images = np.ascontiguousarray(rows.reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1))
    meta = restricted_loads(read_one(tree, options["meta"]), options["meta"])
    with parsing(options["meta"], f"list of class names ({options['names_key']})"):
        classes = tuple(str(name) for name in meta[options["names_key"]])
    ids = tuple(f"{number:05d}" for number in range(len(images)))
    return ImageSet(images, labels, ids, classes)


def _batch(tree: Tree, name: str, label_key: str) -> tuple[np.ndarray, np.ndarray]:
    content = restricted_loads(read_one(tree, name), name)
    whole = isinstance(content, dict) and "data" in content and label_key in content
    refuse(not whole, f"{name} has no data and {label_key}: it is no batch of this CIFAR version.")
    with parsing(name, "batch of this CIFAR version"):
        rows, labels = np.asarray(content["data"]), np.asarray(content[label_key], dtype=np.int64)
    refuse(
        rows.dtype != np.uint8 or rows.shape != (len(labels), _ROW),
        f"{name} holds {rows.dtype} rows of shape {rows.shape}, expected uint8 of shape ({len(labels)}, {_ROW}).",
    )
    return rows, labels
