"""A backbone with what a method puts on it: a classifier head, a projection head, or both."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn.functional import normalize

from methods import registry


@dataclass
class Outputs:
    """What a network says about N images; absent parts are None.

    Attributes:
        pooled: (N, F) output of the backbone.
        embedding: (N, E) un-normalised input of the classifier, the backbone's output where there is none.
        logits: (N, C).
        projection: (N, D) unit rows.
    """

    pooled: torch.Tensor
    embedding: torch.Tensor
    logits: torch.Tensor | None = None
    projection: torch.Tensor | None = None

    def float(self) -> "Outputs":
        """The same in float32 or wider: losses are computed so unless a protocol says otherwise."""
        return self.map(_widen)

    def map(self, change: Callable[[torch.Tensor], torch.Tensor]) -> "Outputs":
        """The outputs with ``change`` applied to every part that is there."""
        logits = None if self.logits is None else change(self.logits)
        projection = None if self.projection is None else change(self.projection)
        return Outputs(change(self.pooled), change(self.embedding), logits, projection)


class LinearHead(nn.Module):
    """One linear layer: (N, F) -> embedding (N, F), logits (N, C)."""

    def __init__(self, features: int, classes: int) -> None:
        super().__init__()
        self.classifier = nn.Linear(features, classes)

    def forward(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return pooled, self.classifier(pooled)


class TwoLayerHead(nn.Module):
    """Linear, batch norm, ReLU, linear (JointEnergy, EDGE): (N, F) -> embedding (N, hidden), logits (N, C)."""

    def __init__(self, features: int, classes: int, hidden: int) -> None:
        super().__init__()
        self.hidden = nn.Sequential(nn.Linear(features, hidden), nn.BatchNorm1d(hidden), nn.ReLU())
        self.classifier = nn.Linear(hidden, classes)

    def forward(self, pooled: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        embedding = self.hidden(pooled)
        return embedding, self.classifier(embedding)


class Projector(nn.Module):
    """Linear, ReLU, linear, unit length: (N, F) -> (N, D) rows on the sphere."""

    def __init__(self, features: int, hidden: int, dimension: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(features, hidden), nn.ReLU(), nn.Linear(hidden, dimension))

    def forward(self, pooled: torch.Tensor) -> torch.Tensor:
        return normalize(_widen(self.layers(pooled)), dim=1)


class OODModel(nn.Module):
    """Backbone, optional ``head``, optional ``projector``; state names start with these words."""

    def __init__(self, backbone: nn.Module, head: nn.Module | None, projector: nn.Module | None) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.projector = projector

    def forward(self, images: torch.Tensor) -> Outputs:
        """Outputs for normalised images (N, 3, H, W)."""
        pooled = self.backbone(images)
        embedding, logits = (pooled, None) if self.head is None else self.head(pooled)
        projection = None if self.projector is None else self.projector(pooled)
        return Outputs(pooled, embedding, logits, projection)


def build_model(architecture: Mapping[str, Any]) -> OODModel:
    """A freshly initialised model.

    Args:
        architecture: ``network`` (name and parameters), ``classes`` (number C), ``head`` and ``projector``
            (their settings, or None).
    """
    network = architecture["network"]
    backbone = registry.load("networks", network["name"]).build(network)
    head, projector = architecture["head"], architecture["projector"]
    return OODModel(
        backbone,
        None if head is None else _head(backbone.features, architecture["classes"], head),
        None if projector is None else Projector(backbone.features, projector["hidden"], projector["dimension"]),
    )


def _head(features: int, classes: int, head: Mapping[str, Any]) -> nn.Module:
    kinds = {
        "linear": lambda: LinearHead(features, classes),
        "two_layer": lambda: TwoLayerHead(features, classes, head["hidden"]),
    }
    return kinds[head["kind"]]()


def _widen(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.float() if tensor.dtype in (torch.float16, torch.bfloat16) else tensor
