"""Spectra of candidate outlier sets under the network that a training starts from (EDGE's selection of an outlier set).

ID and outlier images are drawn in shuffled batches of one size, side by side as in training, until one set has no whole
batch left; every batch goes un-augmented, or through a training's random views, through the un-tuned backbone in
evaluation mode. A batch that is too large for the memory goes through it in parts: its spectrum is that of the whole.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import nn

from methods import registry
from methods.data.images import ImageSet
from methods.errors import refuse
from methods.features.dilation import FORMS, dilation_distance, mean_spectrum, singular_values
from methods.memory import with_smaller_batches
from methods.training.augmentation import augment, normalise
from methods.training.batches import epoch_batches
from methods.training.device import seeded
from methods.training.randomness import generator


def candidate_distances(
    settings: Mapping[str, Any], inside: ImageSet, candidates: Mapping[str, ImageSet], device: torch.device
) -> list[dict[str, Any]]:
    """One row a candidate: ``dataset``, ``images``, ``batches`` and its distance in every form.

    Args:
        settings: network, normalisation, augmentation, batch, top_k and seed.
        inside: ID training images.
        candidates: name -> outlier images.
        device: where to compute.

    Raises:
        ReproError: a set has not even one whole batch.
    """
    backbone = starting_network(settings["network"], settings["seed"]).to(device).eval()
    own = [singular_values(batch) for batch in features_of(backbone, inside, settings, device, "train")]
    rows = []
    for name, images in candidates.items():
        features = features_of(backbone, images, settings, device, name, most=len(own))
        outside, shared = mean_spectrum(features), np.mean(own[: len(features)], axis=0)
        distances = {form: dilation_distance(shared, outside, settings["top_k"], form) for form in FORMS}
        rows.append({"dataset": name, "images": len(images), "batches": len(features), **distances})
    return rows


def starting_network(network: Mapping[str, Any], seed: int) -> nn.Module:
    """The backbone as a training of this seed finds it: pretrained, or freshly drawn."""
    with seeded(seed):
        backbone: nn.Module = registry.load("networks", network["name"]).build(network)
    return backbone


def features_of(
    backbone: nn.Module,
    images: ImageSet,
    settings: Mapping[str, Any],
    device: torch.device,
    name: str,
    most: int | None = None,
) -> list[np.ndarray]:
    """What ``feature_batches`` gives, by smaller forward passes if memory runs out."""
    given = partial(feature_batches, backbone, images, settings, device, name, most)
    return with_smaller_batches(lambda size: list(given(size)), settings["batch"], f"dilation of {name}", device)


def feature_batches(
    backbone: nn.Module,
    images: ImageSet,
    settings: Mapping[str, Any],
    device: torch.device,
    name: str,
    most: int | None = None,
    size: int | None = None,
) -> Iterator[np.ndarray]:
    """(B, F) pooled features of the whole batches of one shuffled pass; ``most`` of them at most.

    ``size`` images go through the network at a time, a whole batch by default.
    """
    batch, seed = settings["batch"], settings["seed"]
    refuse(
        len(images) < batch,
        f"{name} has {len(images)} images, a batch of the dilation distance {batch}: choose a smaller batch.",
    )
    order = [part for part in epoch_batches(len(images), batch, seed, 0, drop_last=True) if len(part) == batch]
    for number, index in enumerate(islice(order, most)):
        pixels = torch.from_numpy(np.stack([images.pixels[i] for i in index.tolist()])).to(device)
        views = augment(pixels, settings["augmentation"], generator(seed, f"dilation {name}", 0, number))
        with torch.no_grad():
            inputs = normalise(views, settings["normalisation"])
            parts = [backbone(part).float() for part in inputs.split(size or batch)]
        yield torch.cat(parts).cpu().numpy()
