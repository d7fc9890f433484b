"""Mahalanobis distance of an image moved towards its nearest class (Lee et al., NeurIPS 2018)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from methods.features.arrays import Features, Readout
from methods.scores import mahalanobis_within
from methods.scores.perturbation import moved, squared_distances

RECORD = {
    "title": "Mahalanobis (within-class, perturbed)",
    "paper": "Lee et al., A simple unified framework for detecting OOD samples and adversarial attacks, NeurIPS 2018",
    "tasks": ["single_label"],
    "needs": ["network", "embedding"],
    "parameters": {
        "noise": {
            "type": "number",
            "minimum": 0,
            "default": 0.0014,
            "description": "size of the step on the image, in pixel values from 0 to 1",
        },
        "normalise": {
            "type": "boolean",
            "default": False,
            "description": "true scales features to length 1, as is usual on contrastive ones",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the score without perturbation learns."""
    return mahalanobis_within.fit(train, readout, parameters)


def network_score(
    model: nn.Module,
    images: torch.Tensor,
    fitted: Mapping[str, np.ndarray],
    parameters: Mapping[str, Any],
    std: torch.Tensor,
) -> torch.Tensor:
    """(N,) max_c g_c(x') with g_c = -1/2 squared distance to class mean c and x' = x - noise * sign(grad -g_c*) / std.

    c* is the class nearest to the image x itself; images are normalised.
    """
    unit = parameters["normalise"]
    images = images.detach().requires_grad_()
    nearest = squared_distances(model(images).embedding, fitted, "mean", unit).amin(dim=1) / 2
    with torch.no_grad():
        changed = model(moved(images, nearest, parameters["noise"], std)).embedding
        return -squared_distances(changed, fitted, "mean", unit).amin(dim=1) / 2
