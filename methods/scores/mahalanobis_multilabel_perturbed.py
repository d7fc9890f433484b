"""Mahalanobis distance for several labels of an image moved towards its nearest label (JointEnergy, EDGE)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from methods.features.arrays import Features, Readout
from methods.scores import mahalanobis_multilabel
from methods.scores.perturbation import moved, squared_distances

RECORD = {
    "title": "Mahalanobis (multi-label, perturbed)",
    "paper": "Lee et al., NeurIPS 2018, as released with JointEnergy (Wang et al., 2021) and EDGE",
    "tasks": ["multi_label"],
    "needs": ["network", "embedding"],
    "parameters": {
        "noise": {
            "type": "number",
            "minimum": 0,
            "default": 0.0,
            "description": "size of the step on the image, in pixel values from 0 to 1",
        },
        "aggregate": {
            "enum": ["max", "sum"],
            "default": "max",
            "description": "how the labels that have a mean are joined",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """What the score without perturbation learns."""
    return mahalanobis_multilabel.fit(train, readout, parameters)


def network_score(
    model: nn.Module,
    images: torch.Tensor,
    fitted: Mapping[str, np.ndarray],
    parameters: Mapping[str, Any],
    std: torch.Tensor,
) -> torch.Tensor:
    """(N,) max_c or sum_c g_c(x') with g_c = -1/2 squared distance, x' = x - noise * sign(grad -g_c*) / std.

    c* is the label nearest to the image x itself; images are normalised.
    """
    images = images.detach().requires_grad_()
    nearest = squared_distances(model(images).pooled, fitted, "centre", False).amin(dim=1) / 2
    with torch.no_grad():
        changed = model(moved(images, nearest, parameters["noise"], std)).pooled
        squared = squared_distances(changed, fitted, "centre", False)
    return -(squared.amin(dim=1) if parameters["aggregate"] == "max" else squared.sum(dim=1)) / 2
