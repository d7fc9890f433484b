"""Renders: the image size and resize rule under which a set is prepared for a benchmark."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image

from methods.errors import refuse

RESIZE_RULES = ("native", "short_side_crop", "square")


def render_name(render: Mapping[str, Any]) -> str:
    """Name of a render in paths, such as ``8px-native``."""
    return f"{render['size']}px-{render['resize']}"


def render_images(images: np.ndarray, render: Mapping[str, Any], name: str) -> np.ndarray:
    """Bring (N, H, W, 3) uint8 images to ``size`` pixels a side.

    ``native`` takes images that have that size already; ``short_side_crop`` scales the short side and cuts the
    centre; ``square`` scales both sides on their own. Scaling is bilinear with antialiasing (Pillow).

    Raises:
        ReproError: ``native`` and the images have another size.
    """
    size, rule = render["size"], render["resize"]
    if rule == "native":
        refuse(
            images.shape[1:3] != (size, size),
            f"{name} has images of {images.shape[1]}x{images.shape[2]} pixels, the benchmark's render asks for "
            f"{size}x{size} without resizing: choose `resize: short_side_crop` or another size.",
        )
        return images
    return np.stack([np.asarray(_scale(Image.fromarray(image), size, rule)) for image in images])


def _scale(picture: Image.Image, size: int, rule: str) -> Image.Image:
    if rule == "square":
        return picture.resize((size, size), Image.Resampling.BILINEAR)
    width, height = picture.size
    factor = size / min(width, height)
    scaled = picture.resize((round(width * factor), round(height * factor)), Image.Resampling.BILINEAR)
    left, top = (scaled.width - size) // 2, (scaled.height - size) // 2
    return scaled.crop((left, top, left + size, top + size))
