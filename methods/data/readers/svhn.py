"""Street View House Numbers, cropped digits: MATLAB files (Netzer et al. 2011)."""

import io
from collections.abc import Mapping, Sequence
from typing import Any, cast

import numpy as np
from scipy.io import loadmat

from methods.data.images import ImageSet
from methods.data.readers.parsing import parsing
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "SVHN, cropped digits (.mat)",
    "required": ["file"],
    "parameters": {"file": {"type": "string", "description": "name of the .mat file"}},
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """All images in file order; label 10 of the file is the digit 0; a sample id is the number in the file."""
    content = _load(read_one(tree, options["file"]), options["file"])
    images, labels = content["X"], np.asarray(content["y"]).ravel().astype(np.int64)
    refuse(
        images.dtype != np.uint8 or images.ndim != 4 or images.shape[2:] != (3, len(labels)),
        f"{options['file']} holds {images.dtype} X of shape {images.shape} and {len(labels)} labels, expected uint8 of "
        "shape (H, W, 3, N) and N labels.",
    )
    refuse(
        bool(((labels < 1) | (labels > 10)).any()),
        f"{options['file']} has labels from {labels.min()} to {labels.max()}, expected 1 to 10.",
    )
    ids = tuple(f"{number:06d}" for number in range(len(labels)))
    classes = tuple(str(digit) for digit in range(10))
    return ImageSet(np.ascontiguousarray(images.transpose(3, 0, 1, 2)), labels % 10, ids, classes)


def _load(content: bytes, name: str) -> dict[str, Any]:
    with parsing(name, "MATLAB 5 file"):
        found = loadmat(cast(Any, io.BytesIO(content)), variable_names=["X", "y"])
    refuse(not {"X", "y"} <= set(found), f"{name} lacks the variables X and y: it is no SVHN file of cropped digits.")
    return found
