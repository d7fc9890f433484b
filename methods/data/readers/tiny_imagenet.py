"""Tiny-ImageNet-200: class folders for training, an annotation file for validation (Stanford CS231n)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
from methods.data.readers import pictures
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "Tiny-ImageNet-200",
    "required": ["part"],
    "parameters": {
        "part": {"enum": ["train", "val", "test"], "description": "part of the archive; test has no labels"},
        "root": {"type": "string", "default": "tiny-imagenet-200", "description": "folder in the archive"},
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures of one part sorted by path; classes are the 200 WordNet ids in order."""
    root, part = options["root"], options["part"]
    if part == "train":
        folders = {"under": f"{root}/train", "classes": "folders", "inside": "images"}
        return pictures.read(tree, entries, folders)
    flat = pictures.read(tree, entries, {"under": f"{root}/{part}/images", "classes": "none", "inside": ""})
    return flat if part == "test" else _annotated(tree, flat, f"{root}/val/val_annotations.txt")


def _annotated(tree: Tree, flat: Pictures, annotations: str) -> Pictures:
    rows = [line.split("\t") for line in read_one(tree, annotations).decode().splitlines() if line.strip()]
    wnid = {row[0]: row[1] for row in rows if len(row) > 1}
    missing = [sample for sample in flat.sample_ids if sample not in wnid]
    refuse(bool(missing), f"{annotations} says nothing of {len(missing)} pictures, such as {', '.join(missing[:3])}.")
    classes = tuple(sorted(set(wnid.values())))
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[wnid[sample]] for sample in flat.sample_ids], dtype=np.int64)
    return Pictures(flat.members, labels, flat.sample_ids, classes)
