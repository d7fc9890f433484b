"""Renders: the image size and resize rule under which a set is prepared for a benchmark."""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from methods.errors import refuse

RESIZE_RULES = ("native", "short_side_crop", "square", "short_side")


def render_name(render: Mapping[str, Any]) -> str:
    """Name of a render in paths, such as ``8px-native``."""
    return f"{render['size']}px-{render['resize']}"


def parse_render(name: str) -> dict[str, Any]:
    """The render of a name in paths.

    Raises:
        ReproError: no such name.
    """
    size, _, resize = name.partition("px-")
    refuse(
        not re.fullmatch("[1-9][0-9]*", size) or resize not in RESIZE_RULES,
        f"{name!r} is no render: write <pixels>px-<rule> with a rule of {', '.join(RESIZE_RULES)}.",
    )
    return {"size": int(size), "resize": resize}


def is_uniform(render: Mapping[str, Any]) -> bool:
    """Whether all images come out with one size."""
    return render["resize"] != "short_side"


def render_image(image: np.ndarray, render: Mapping[str, Any], name: str) -> np.ndarray:
    """Bring one (H, W, 3) uint8 image to its render; scaling is bilinear with antialiasing (Pillow).

    ``native``: unchanged, and of that size already. ``short_side_crop``: the short side to ``size``, then the centre
    (torchvision's ``Resize(size)`` and ``CenterCrop(size)``, to the pixel). ``square``: both sides to ``size`` on their
    own. ``short_side``: the short side down to ``size``, shape kept, smaller images as they are.

    Raises:
        ReproError: ``native`` and the image has another size; ``name`` says which.
    """
    size, rule = render["size"], render["resize"]
    if rule == "native":
        refuse(
            image.shape[:2] != (size, size),
            f"{name} has an image of {image.shape[0]}x{image.shape[1]} pixels, the benchmark's render asks for "
            f"{size}x{size} without resizing: choose `resize: short_side_crop` or another size.",
        )
        return image
    if rule == "short_side" and min(image.shape[:2]) <= size:
        return image
    picture = Image.fromarray(image)
    if rule == "square":
        return np.asarray(_scaled(picture, (size, size)))
    picture = _scaled(picture, _short_side(picture, size))
    return np.asarray(picture if rule == "short_side" else _centre(picture, size))


def _short_side(picture: Image.Image, size: int) -> tuple[int, int]:
    width, height = picture.size
    if width <= height:
        return size, int(size * height / width)
    return int(size * width / height), size


def _scaled(picture: Image.Image, size: tuple[int, int]) -> Image.Image:
    return picture if picture.size == size else picture.resize(size, Image.Resampling.BILINEAR)


def _centre(picture: Image.Image, size: int) -> Image.Image:
    left, top = round((picture.width - size) / 2), round((picture.height - size) / 2)
    return picture.crop((left, top, left + size, top + size))
