"""Gray noise: every pixel drawn evenly from 0 to 255."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.data.trees import Tree

RECORD = {
    "title": "Uniform gray noise",
    "parameters": {
        "count": {"type": "integer", "minimum": 1, "default": 500, "description": "number of images"},
        "size": {"type": "integer", "minimum": 1, "default": 8, "description": "side in pixels"},
        "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "seed of the noise"},
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> ImageSet:
    """``count`` images of noise; there are no files and no entries to read."""
    count, size = options["count"], options["size"]
    gray = np.random.RandomState(options["seed"]).randint(0, 256, (count, size, size, 1)).astype(np.uint8)
    names = tuple(f"{number:05d}" for number in range(count))
    return ImageSet(np.repeat(gray, 3, axis=-1), np.full(count, -1, dtype=np.int64), names, ())
