"""What a training starts from: network, objective and labels."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import torch

from methods import registry
from methods.data.images import ImageSet
from methods.errors import refuse
from methods.networks.model import OODModel, build_model
from methods.objectives.base import Objective, Sizes
from methods.training.batches import drops_last
from methods.training.device import seeded
from methods.training.randomness import generator


def build(
    settings: Mapping[str, Any],
    device: torch.device,
    labels: torch.Tensor | None = None,
    layout: torch.memory_format = torch.channels_last,
) -> tuple[OODModel, Objective]:
    """Model and objective of a run, initialised from its seed alone.

    Some objectives have a quirk of their own: switches stand beside their parameters. ``labels`` are those of the ID
    training images, for objectives that know how often a class occurs.
    """
    with seeded(settings["seed"]):
        model = build_model(settings["architecture"])
    projector = settings["architecture"]["projector"]
    classes = settings["architecture"]["classes"]
    counts = () if labels is None else class_counts(labels, classes)
    sizes = Sizes(classes, projector["dimension"] if projector else 0, counts)
    part = registry.load("objectives", settings["objective"]["name"])
    parameters = {**settings["objective"], **settings["switches"]}
    objective = part.build(parameters, sizes, generator(settings["seed"], "objective"))
    return model.to(device).to(memory_format=layout), objective.to(device)


def class_counts(labels: torch.Tensor, classes: int) -> tuple[int, ...]:
    """Images of each class, from labels (N,) int64 or (N, C) of zeros and ones."""
    return tuple((labels.bincount(minlength=classes) if labels.ndim == 1 else labels.sum(dim=0).long()).tolist())


def refuse_small_batches(objective: Objective, batches: Iterable[torch.Tensor]) -> None:
    """Refuse an epoch with a batch that the objective cannot use.

    Raises:
        ReproError: a batch has fewer images than ``objective.least_batch``.
    """
    smallest = min(map(len, batches))
    refuse(
        smallest < objective.least_batch,
        f"An epoch has a batch of {smallest} images, but the objective takes the {objective.least_batch} (top_k) of "
        "lowest energy from each, and the switch last_batch is keep, which stops there as the release does: set "
        "last_batch to clamp_k or drop_last, or choose another batch or top_k.",
    )


def refuse_a_last_batch_of_one(settings: Mapping[str, Any], images: int, views: int) -> None:
    """Refuse a last batch of a single row, which the batch norm of a two-layer head cannot normalise."""
    head = (settings["architecture"]["head"] or {}).get("kind")
    alone = images % settings["batch"] == 1 and views == 1 and not drops_last(settings["switches"])
    refuse(
        alone and head == "two_layer",
        f"{images} images in batches of {settings['batch']} leave a last batch of one, which batch norm cannot "
        "normalise: choose another batch, or set the switch drop_last.",
    )


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
