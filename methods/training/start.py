"""What a training starts from: network, objective and labels."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from methods import registry
from methods.data.images import ImageSet
from methods.errors import refuse
from methods.networks.model import OODModel, build_model
from methods.objectives.base import Objective, Sizes
from methods.training.device import seeded
from methods.training.randomness import generator


def build(
    settings: Mapping[str, Any], device: torch.device, layout: torch.memory_format = torch.channels_last
) -> tuple[OODModel, Objective]:
    """Model and objective of a run, initialised from its seed alone."""
    with seeded(settings["seed"]):
        model = build_model(settings["architecture"])
    projector = settings["architecture"]["projector"]
    sizes = Sizes(settings["architecture"]["classes"], projector["dimension"] if projector else 0)
    part = registry.load("objectives", settings["objective"]["name"])
    objective = part.build(settings["objective"], sizes, generator(settings["seed"], "objective"))
    return model.to(device).to(memory_format=layout), objective.to(device)


def training_labels(data: ImageSet, settings: Mapping[str, Any]) -> torch.Tensor:
    """Labels as the objective wants them: (N,) int64 or (N, C) float.

    Raises:
        ReproError: kind or number of classes does not fit the network.
    """
    classes, multi = settings["architecture"]["classes"], settings["task"] == "multi_label"
    kind = "multi_label" if data.multi_label else "single_label"
    refuse(kind != settings["task"], f"The training set has {kind} images, the benchmark is {settings['task']}.")
    top = data.labels.shape[1] if multi else int(data.labels.max()) + 1
    refuse(
        top > classes or data.labels.min() < 0 or (multi and top != classes),
        f"The training set has labels of {top} classes, the network has {classes} outputs.",
    )
    refuse(
        not multi and len(np.unique(data.labels)) < 2,
        "The training set has images of one class only: a classifier needs at least two classes.",
    )
    return torch.from_numpy(data.labels).float() if multi else torch.from_numpy(data.labels)
