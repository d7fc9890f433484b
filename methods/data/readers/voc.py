"""PASCAL VOC pictures with the classes of their objects as labels (Everingham et al. 2010).

Labels come from the XML annotations, from the label files (.mat) that the multi-label OOD papers ship, or from a
table (.csv) with one 0/1 column a class.
"""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any, cast

import numpy as np
from defusedxml import DefusedXmlException, ElementTree
from scipy.io import loadmat

from methods.data.pictures import Pictures
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one
from methods.errors import ReproError, refuse

RECORD = {
    "title": "PASCAL VOC, multi-label",
    "required": ["images", "labels"],
    "parameters": {
        "images": {"type": "string", "description": "folder of the pictures"},
        "labels": {
            "enum": ["xml", "mat", "csv", "none"],
            "description": "where labels come from; none: all are -1 and the set has no classes",
        },
        "names_file": {"type": "string", "description": "file of image ids; with mat the label file lists them"},
        "annotations": {"type": "string", "description": "folder of the XML files"},
        "labels_file": {"type": "string", "description": "the .mat or .csv file"},
        "difficult": {"type": "boolean", "default": True, "description": "with xml: difficult objects count as labels"},
    },
}

CLASSES = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures in the order of the split's list; a sample id is VOC's own, ``2007_000063``."""
    if options["labels"] == "mat":
        ids, labels = _mat(read_one(tree, options["labels_file"]), options["labels_file"])
    else:
        ids = read_one(tree, options["names_file"]).decode().split()
        labels = {"xml": _xml, "csv": _csv, "none": _none}[options["labels"]](tree, ids, options)
    members = tuple(f"{options['images']}/{name}.jpg" for name in ids)
    return Pictures(members, labels, tuple(ids), () if options["labels"] == "none" else CLASSES)


def _none(tree: Tree, ids: Sequence[str], options: Mapping[str, Any]) -> np.ndarray:
    return np.full(len(ids), -1, dtype=np.int64)


def _xml(tree: Tree, ids: Sequence[str], options: Mapping[str, Any]) -> np.ndarray:
    place = {f"{options['annotations']}/{name}.xml": row for row, name in enumerate(ids)}
    labels = np.zeros((len(ids), len(CLASSES)), dtype=np.uint8)
    for name, content in tree.read(place):
        for label in _objects(content, name, options["difficult"]):
            refuse(label not in CLASSES, f"{name} has an object {label!r}, which is none of VOC's 20 classes.")
            labels[place[name], CLASSES.index(label)] = 1
    return labels


def _objects(content: bytes, name: str, difficult: bool) -> list[str]:
    try:
        with parsing(name, "valid XML"):
            root = ElementTree.fromstring(content, forbid_dtd=True)
    except ReproError as error:
        harmful = isinstance(error.__cause__, DefusedXmlException)
        refuse(harmful, f"{name} declares entities or a document type, which no VOC annotation does: get it again.")
        raise
    objects = [part for part in root.iter("object") if difficult or part.findtext("difficult", "0").strip() != "1"]
    return [part.findtext("name", "").strip() for part in objects]


def _csv(tree: Tree, ids: Sequence[str], options: Mapping[str, Any]) -> np.ndarray:
    name = options["labels_file"]
    with parsing(name, "table of 0/1 labels, one column a class"):
        head, *rows = [row for row in csv.reader(io.StringIO(read_one(tree, name).decode())) if row]
        refuse(tuple(head[1:]) != CLASSES, f"{name} has the columns {head[1:]}, expected VOC's 20 classes.")
        by_id = {row[0]: ["01".index(value) for value in row[1:]] for row in rows}
    missing = [sample for sample in ids if sample not in by_id]
    refuse(bool(missing), f"{name} lacks {len(missing)} images of the list, such as {', '.join(missing[:3])}.")
    short = [sample for sample in ids if len(by_id[sample]) != len(CLASSES)]
    refuse(bool(short), f"{name} has rows with other than 20 labels, such as that of {', '.join(short[:3])}.")
    return np.array([by_id[sample] for sample in ids], dtype=np.uint8)


def _mat(content: bytes, name: str) -> tuple[list[str], np.ndarray]:
    """Image list and labels; the paths in it are padded with blanks."""
    with parsing(name, "MATLAB 5 file"):
        found = loadmat(cast(Any, io.BytesIO(content)), variable_names=["Imlist", "labels"])
    refuse(not {"Imlist", "labels"} <= set(found), f"{name} lacks Imlist and labels: it is no VOC label file.")
    ids = [PurePosixPath(str(path).strip()).stem for path in found["Imlist"].ravel()]
    labels = np.asarray(found["labels"]).astype(np.uint8)
    refuse(
        labels.shape != (len(ids), len(CLASSES)),
        f"{name} has labels of shape {labels.shape} for {len(ids)} images and {len(CLASSES)} classes.",
    )
    return ids, labels
