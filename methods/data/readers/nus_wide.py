"""NUS-WIDE pictures with 81 concepts, from the official lists (Chua et al. 2009)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.pictures import Pictures
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "NUS-WIDE, multi-label",
    "required": ["images", "part"],
    "parameters": {
        "images": {"type": "string", "description": "folder of the pictures, which lie in one folder a search word"},
        "part": {"enum": ["Train", "Test"], "description": "official part"},
        "lists": {"type": "string", "default": "ImageList", "description": "folder of the image lists"},
        "labels": {"type": "string", "default": "Groundtruth/TrainTestLabels", "description": "folder of the labels"},
        "concepts": {
            "type": "string",
            "default": "ConceptsList/Concepts81.txt",
            "description": "file of the concepts in class order",
        },
        "half": {
            "enum": ["all", "first", "second"],
            "default": "all",
            "description": "half of the part after NumPy's legacy shuffle with seed 999, as the papers split Test",
        },
    },
}

_SEED = 999


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures with at least one concept; a sample id is ``Flickr/<folder>/<name>.jpg`` with forward slashes."""
    part = options["part"]
    lines = read_one(tree, f"{options['lists']}/{part}Imagelist.txt").decode().split()
    paths = [line.replace("\\", "/") for line in lines]
    classes = tuple(read_one(tree, options["concepts"]).decode().split())
    labels = _labels(tree, options, classes, len(paths))
    kept = np.flatnonzero(labels.any(axis=1))
    if options["half"] != "all":
        kept = _half(kept, options["half"])
    ids = tuple(f"Flickr/{paths[index]}" for index in kept)
    members = tuple(f"{options['images']}/{paths[index]}" for index in kept)
    return Pictures(members, labels[kept], ids, classes)


def _labels(tree: Tree, options: Mapping[str, Any], classes: Sequence[str], count: int) -> np.ndarray:
    column = {f"{options['labels']}/Labels_{name}_{options['part']}.txt": index for index, name in enumerate(classes)}
    labels = np.zeros((count, len(classes)), dtype=np.uint8)
    for name, content in tree.read(column):
        with parsing(name, "list of 0/1 labels"):
            values = np.array(content.split()).astype(np.int64)
        refuse(len(values) != count, f"{name} has {len(values)} lines, the image list has {count}.")
        labels[:, column[name]] = values == 1  # the official Labels_lake_Train.txt has a line -1130179
    return labels


def _half(kept: np.ndarray, half: str) -> np.ndarray:
    shuffled = kept.copy()
    np.random.RandomState(_SEED).shuffle(shuffled)
    middle = len(shuffled) // 2
    return shuffled[:middle] if half == "first" else shuffled[middle:]
