"""Pictures whose labels stand in one JSON file: ``classes``, and ``labels`` from path to class numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "Pictures with a label file (JSON), multi-label",
    "required": ["images", "labels_file"],
    "parameters": {
        "images": {"type": "string", "description": "folder of the pictures"},
        "labels_file": {"type": "string", "description": "the JSON file"},
        "part": {"type": "string", "default": "", "description": "paths begin with this folder; empty for all"},
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures sorted by path, which is the sample id."""
    name, part = options["labels_file"], options["part"]
    with parsing(name, "JSON file of classes and labels"):
        content = json.loads(read_one(tree, name))
        classes = tuple(str(label) for label in content["classes"])
        ids = sorted(path for path in content["labels"] if not part or path.startswith(f"{part}/"))
        labels = np.zeros((len(ids), len(classes)), dtype=np.uint8)
        for row, path in enumerate(ids):
            _mark(labels[row], content["labels"][path], f"{name} gives {path}")
    return Pictures(tuple(f"{options['images']}/{path}" for path in ids), labels, tuple(ids), classes)


def _mark(row: np.ndarray, numbers: Sequence[int], what: str) -> None:
    refuse(
        any(not 0 <= number < len(row) for number in numbers),
        f"{what} the classes {numbers}, there are {len(row)}.",
    )
    row[list(numbers)] = 1
