"""From a trained model and an image store to features."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import torch

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features.arrays import ARRAYS, Features
from methods.memory import with_smaller_batches
from methods.networks.model import OODModel, build_model
from methods.progress import beat
from methods.training.augmentation import normalise, plain

BATCH_KEY = "hardware.extraction_batch"  # the images of a forward pass


def restore_model(architecture: Mapping[str, Any], tensors: Mapping[str, np.ndarray], name: str) -> OODModel:
    """The network of a model file, in evaluation mode.

    Raises:
        ReproError: tensors are missing, left over or of another shape; ``name`` is the file.
    """
    model = build_model(architecture)
    own = {key: torch.from_numpy(value.copy()) for key, value in tensors.items() if not key.startswith("objective.")}
    try:
        model.load_state_dict(own, strict=True)
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise ReproError(f"The weights in {name} do not fit the network: {reason}") from error
    return model.eval()


def extract(
    model: OODModel, images: ImageSet, normalisation: Mapping[str, Any], device: torch.device, batch: int
) -> Features:
    """Outputs of the model on un-augmented images, in file order, float32.

    Args:
        model: in evaluation mode.
        images: N images.
        normalisation: channel means and standard deviations of the training.
        device: where to compute.
        batch: images a forward pass; fewer if memory runs out.
    """
    model.to(device)
    forward = partial(_extract, model, images, normalisation, device)
    return with_smaller_batches(forward, batch, "extraction", device, BATCH_KEY)


def _extract(
    model: OODModel, images: ImageSet, normalisation: Mapping[str, Any], device: torch.device, batch: int
) -> Features:
    rows: dict[str, list[np.ndarray]] = {name: [] for name in ARRAYS}
    with torch.no_grad():
        for inputs in input_batches(images, normalisation, device, batch):
            outputs = model(inputs)
            for name in ARRAYS:
                if (value := getattr(outputs, name)) is not None:
                    rows[name].append(value.float().cpu().numpy())
    arrays = {name: np.concatenate(parts) for name, parts in rows.items() if parts}
    if np.array_equal(arrays["pooled"], arrays["embedding"]):
        del arrays["pooled"]
    return Features(labels=images.labels, sample_ids=images.sample_ids, **arrays)


def input_batches(
    images: ImageSet, normalisation: Mapping[str, Any], device: torch.device, batch: int
) -> Iterator[torch.Tensor]:
    """(B, 3, H, W) normalised float32 images in file order, read from the disk only when they are asked for."""
    for start in range(0, len(images), batch):
        pixels = torch.from_numpy(np.array(images.pixels[start : start + batch]))
        yield normalise(plain(pixels.to(device)), normalisation)
        beat(f"image {min(start + batch, len(images))} of {len(images)} through the network")
