"""Pictures whose labels stand in one JSON file: ``classes``, and ``labels`` from path to class numbers."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
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
    content = json.loads(read_one(tree, options["labels_file"]))
    classes, part = content["classes"], options["part"]
    ids = sorted(path for path in content["labels"] if not part or path.startswith(f"{part}/"))
    labels = np.zeros((len(ids), len(classes)), dtype=np.uint8)
    for row, path in enumerate(ids):
        numbers = content["labels"][path]
        refuse(
            any(not 0 <= number < len(classes) for number in numbers),
            f"{options['labels_file']} gives {path} the classes {numbers}, there are {len(classes)}.",
        )
        labels[row, numbers] = 1
    return Pictures(tuple(f"{options['images']}/{path}" for path in ids), labels, tuple(ids), tuple(classes))
