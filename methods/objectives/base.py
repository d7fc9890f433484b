"""What the fit loop expects of a training objective.

An objective is a module, so that its state (prototypes) moves between devices and into the model file. It sees
outputs and labels only; forward passes, precision, optimiser and schedule belong to the engine.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import torch
from torch import nn

from methods.networks.model import Outputs


@dataclass(frozen=True)
class Context:
    """Where the training stands: ``epoch`` of ``epochs`` and ``step`` of all steps, from 0.

    ``host_labels`` are the labels of the batch on the CPU, for what must be known there without waiting for a GPU.
    """

    epoch: int
    epochs: int
    step: int
    host_labels: torch.Tensor | None = None


@dataclass
class Terms:
    """Result of an objective: scalars on the training device.

    Attributes:
        total: the loss to descend.
        parts: its terms by name, for the history.
        monitors: other quantities worth a column in the history.
    """

    total: torch.Tensor
    parts: dict[str, torch.Tensor] = field(default_factory=dict)
    monitors: dict[str, torch.Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class Sizes:
    """Sizes an objective is built for.

    Attributes:
        classes: C.
        dimension: D of the projection, 0 without a projector.
        counts: ID training images of each class, C of them; empty where they are not known.
    """

    classes: int
    dimension: int
    counts: tuple[int, ...] = ()


class Objective(nn.Module):
    """Base of all objectives; the module's RECORD says its views and whether it needs outliers.

    Attributes:
        least_batch: fewest ID images that a batch may have; with fewer the engine does not start.
    """

    least_batch: int = 1

    def initialise(self, loader: Iterable[tuple[Outputs, torch.Tensor]]) -> None:
        """Look once at the outputs of the un-augmented training set before the first step; most need not."""

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """The loss of one batch.

        Args:
            outputs: of N = views * B images, view-major (all first views, then all second ones).
            outlier_outputs: of M outlier images, where the objective needs them.
            labels: (B,) int64 or (B, C) float.
            context: epoch and step.
        """
        raise TypeError(f"{type(self).__name__} defines no loss")

    def commit(self, skipped: bool) -> None:
        """After the optimiser step: the one place where prototypes move; ``skipped`` if the scaler took none."""
