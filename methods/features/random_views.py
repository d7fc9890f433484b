"""Evaluation images as EDGE's release shows them to the network: one random training view of each.

The release evaluates OOD images (and VOC's ID images) through the random augmentation of its training; the switch
``eval_transform`` reproduces that. A view depends on seed, data set and place of the image alone, so every batch size
and every score sees the same one.
"""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from methods.data.images import ImageSet
from methods.training.augmentation import augment
from methods.training.randomness import generator


class RandomViews:
    """Pixels (N, H, W, 3) uint8 of which a slice is augmented when it is read, and rounded as a picture is."""

    def __init__(self, pixels: np.ndarray, augmentation: Mapping[str, Any], seed: int, name: str) -> None:
        self.pixels, self.augmentation, self.seed, self.name = pixels, augmentation, seed, name
        self.shape = pixels.shape

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, part: slice) -> np.ndarray:
        views = [self._view(number) for number in range(*part.indices(len(self)))]
        return np.stack(views) if views else self.pixels[part]

    def _view(self, number: int) -> np.ndarray:
        image = torch.from_numpy(np.array(self.pixels[number : number + 1]))
        draw = generator(self.seed, f"evaluation view {self.name}", 0, number)
        view = augment(image, self.augmentation, draw)[0].permute(1, 2, 0)
        return (view.mul(255).round().clamp(0, 255).to(torch.uint8) if view.is_floating_point() else view).numpy()


def evaluated_images(images: ImageSet, settings: Mapping[str, Any]) -> ImageSet:
    """The images as they are or, where the settings have ``views`` (augmentation, seed, name), through these."""
    views = settings.get("views")
    if views is None:
        return images
    random: Any = RandomViews(images.pixels, views["augmentation"], views["seed"], views["name"])
    return replace(images, images=random)
