"""Scores that need the network and the images themselves: gradients with respect to the input."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from methods import registry
from methods.data.images import ImageSet
from methods.features.arrays import check_finite
from methods.features.extract import BATCH_KEY, input_batches
from methods.memory import with_smaller_batches
from methods.networks.model import OODModel
from methods.scores.base import Instances


def network_scores(
    instances: Instances,
    model: OODModel,
    images: ImageSet,
    fitted: Mapping[str, Mapping[str, np.ndarray]],
    normalisation: Mapping[str, Any],
    device: torch.device,
    batch: int,
) -> dict[str, np.ndarray]:
    """(N,) float64 scores of every instance, higher = more in-distribution.

    Args:
        instances: name -> parameters of scores that need the network.
        model: in evaluation mode.
        images: N images, un-augmented.
        fitted: what each instance learnt from ID training features.
        normalisation: channel means and standard deviations of the training.
        device: where to compute.
        batch: images a forward pass; fewer if memory runs out.

    Raises:
        ReproError: a score is NaN or infinite.
    """
    model.to(device).requires_grad_(False)
    std = torch.tensor(normalisation["std"], device=device)[:, None, None]

    def compute(size: int) -> dict[str, np.ndarray]:
        parts: dict[str, list[np.ndarray]] = {name: [] for name in instances}
        for inputs in input_batches(images, normalisation, device, size):
            for name, parameters in instances.items():
                module = registry.load("scores", parameters["score"])
                values = module.network_score(model, inputs, fitted[name], parameters, std)
                parts[name].append(values.double().cpu().numpy())
        return {name: np.concatenate(values) for name, values in parts.items()}

    scores = with_smaller_batches(compute, batch, "scoring through the network", device, BATCH_KEY)
    for name, values in scores.items():
        check_finite(values, f"The scores {name!r}", images.sample_ids)
    return scores
