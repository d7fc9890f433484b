"""COCO pictures with the categories of their objects as labels (Lin et al. 2014)."""

import json
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one

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
        "part": {
            "type": "string",
            "default": "",
            "description": "images whose `coco_url` lies in this folder, such as val2017; empty for all",
        },
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures sorted by file name, which is the sample id; classes in the order of the file's category list."""
    name = options["annotations"]
    with parsing(name, "COCO instances file"):
        content = json.loads(read_one(tree, name))
        classes, images, labels = _labels(content, options["crowd"])
        ids = tuple(str(part["file_name"]) for part in images)
        kept = np.array([_is_of(part, options["part"]) for part in images], dtype=bool)
    pictures = Pictures(tuple(f"{options['images']}/{sample}" for sample in ids), labels, ids, classes)
    if not options["keep_unlabelled"]:
        kept &= labels.any(axis=1)
    return pictures.take(np.flatnonzero(kept))


def _is_of(image: Mapping[str, Any], part: str) -> bool:
    """Whether an entry of `images` is of the part that is asked for, by the address it was published under."""
    return not part or PurePosixPath(image["coco_url"]).parent.name == part


def _labels(content: dict[str, Any], crowd: bool) -> tuple[tuple[str, ...], list[dict[str, Any]], np.ndarray]:
    """Classes, images sorted by file name, and (N, C) multi-hot labels."""
    column = {part["id"]: index for index, part in enumerate(content["categories"])}
    images = sorted(content["images"], key=lambda part: part["file_name"])
    row = {part["id"]: index for index, part in enumerate(images)}
    labels = np.zeros((len(images), len(column)), dtype=np.uint8)
    for part in content["annotations"]:
        if crowd or not part["iscrowd"]:
            labels[row[part["image_id"]], column[part["category_id"]]] = 1
    return tuple(str(part["name"]) for part in content["categories"]), images, labels
