"""COCO pictures with the categories of their objects as labels (Lin et al. 2014)."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
from methods.data.trees import Tree, read_one
from methods.errors import ReproError, refuse

RECORD = {
    "title": "COCO, multi-label",
    "required": ["images", "annotations"],
    "parameters": {
        "images": {"type": "string", "description": "folder of the pictures"},
        "annotations": {"type": "string", "description": "instances file (JSON)"},
        "crowd": {"type": "boolean", "default": True, "description": "crowd annotations count as labels"},
        "keep_unlabelled": {
            "type": "boolean",
            "default": True,
            "description": "images without an annotation stay, with all labels 0",
        },
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures sorted by file name, which is the sample id; classes in the order of the file's category list."""
    content = _instances(read_one(tree, options["annotations"]), options["annotations"])
    column = {part["id"]: index for index, part in enumerate(content["categories"])}
    images = sorted(content["images"], key=lambda part: part["file_name"])
    row = {part["id"]: index for index, part in enumerate(images)}
    labels = np.zeros((len(images), len(column)), dtype=np.uint8)
    for part in content["annotations"]:
        if options["crowd"] or not part["iscrowd"]:
            labels[row[part["image_id"]], column[part["category_id"]]] = 1
    ids = tuple(part["file_name"] for part in images)
    classes = tuple(part["name"] for part in content["categories"])
    pictures = Pictures(tuple(f"{options['images']}/{name}" for name in ids), labels, ids, classes)
    return pictures if options["keep_unlabelled"] else pictures.take(np.flatnonzero(labels.any(axis=1)).tolist())


def _instances(content: bytes, name: str) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError as error:
        raise ReproError(f"{name} is no valid JSON ({str(error)[:80]}): fetch the set again.") from error
    whole = isinstance(found, dict) and {"images", "annotations", "categories"} <= set(found)
    refuse(not whole, f"{name} lacks images, annotations or categories: it is no COCO instances file.")
    return found
