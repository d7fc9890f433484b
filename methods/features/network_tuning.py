"""Tuning of scores that need the network and the images."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from methods.data.images import ImageSet
from methods.features.arrays import Features, Readout
from methods.features.network_scores import network_scores
from methods.networks.model import OODModel
from methods.scores.base import Instances, fit_instances
from methods.scores.tuning import Measure


def through_network(
    model: OODModel,
    train: Features,
    readout: Readout,
    sets: Sequence[ImageSet],
    normalisation: Mapping[str, Any],
    device: torch.device,
    batch: int,
) -> Measure:
    """Scores for tuning: ``sets`` are ID validation images, then those of each OOD validation set."""

    def measure(instances: Instances) -> list[dict[str, np.ndarray]]:
        fitted = fit_instances(instances, train, readout)
        return [network_scores(instances, model, images, fitted, normalisation, device, batch) for images in sets]

    return measure
