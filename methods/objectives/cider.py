"""CIDER: compactness and dispersion with one prototype a class (Ming et al., ICLR 2023).

L = w * tau / base_temperature * L_comp + L_dis. L_comp is the cross-entropy of z . mu_c / tau over classes c at the
label; L_dis = mean_c log mean_{d != c} exp(mu_c . mu_d / tau) drives the prototypes apart.

Every sample moves the prototype of its class, mu_y <- norm(alpha mu_y + (1 - alpha) z), one after the other, and that
order counts; but only within a class. So the first sample of every class, then the second, ... are taken together: as
many rounds as the fullest class has samples.
"""

import math
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy, normalize

from methods.errors import refuse
from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "CIDER",
    "paper": "Ming et al., How to exploit hyperspherical embeddings for out-of-distribution detection?, ICLR 2023",
    "tasks": ["single_label"],
    "views": 2,
    "needs_outliers": False,
    "needs": ["projector"],
    "gives": ["prototypes"],
    "protocols": ["corrected", "released"],
    "switches": {"cider_lr_epoch": "zero_based"},
    "parameters": {
        "prototype_momentum": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.95,
            "description": "alpha of the moving average by which prototypes follow their samples",
        },
        "compactness_weight": {"type": "number", "minimum": 0, "default": 2.0, "description": "w, weight of L_comp"},
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.1,
            "description": "tau, by which cosines are divided",
        },
        "base_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.07,
            "description": "L_comp is multiplied by tau over it; give it the value of tau for a factor of 1",
        },
        "update": {
            "enum": ["sequential", "batched_mean"],
            "default": "sequential",
            "description": "prototypes move by every sample in batch order, or once by the mean of their samples",
        },
    },
}


class Cider(Objective):
    """Compactness around one prototype a class; state: ``prototypes`` (C, D) unit rows, ``prototype_classes`` (C,)."""

    prototypes: torch.Tensor
    prototype_classes: torch.Tensor

    def __init__(self, parameters: Mapping[str, Any], prototypes: torch.Tensor) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)
        self.register_buffer("prototypes", prototypes)
        self.register_buffer("prototype_classes", torch.arange(len(prototypes)))
        self._next: torch.Tensor | None = None

    def initialise(self, loader: Iterable[tuple[Outputs, torch.Tensor]]) -> None:
        """Prototypes start at the means of the projections of each class of the un-augmented training set.

        Raises:
            ReproError: a class has no training image.
        """
        sums, counts = torch.zeros_like(self.prototypes), torch.zeros_like(self.prototypes[:, 0])
        for outputs, labels in loader:
            assert outputs.projection is not None
            sums.index_add_(0, labels, outputs.projection.to(sums.dtype))
            counts.index_add_(0, labels, torch.ones_like(labels, dtype=counts.dtype))
        missing = int((counts == 0).sum())
        refuse(missing > 0, f"{missing} of {len(counts)} classes have no training image: CIDER needs one of each.")
        self.prototypes.copy_(normalize(sums, dim=1))

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """w L_comp + L_dis; ``outputs.projection``: (2B, D) view-major."""
        assert outputs.projection is not None
        p, z = self.parameters_, outputs.projection
        y = labels.repeat(len(z) // len(labels))
        if p["update"] == "sequential":
            on_host = labels.cpu() if context.host_labels is None else context.host_labels
            table = rounds(on_host.repeat(len(z) // len(labels)), len(self.prototypes))
            self._next = sequential(self.prototypes, z, table, p["prototype_momentum"])
        else:
            self._next = batched_mean(self.prototypes, z, y, p["prototype_momentum"])
        fixed = normalize(self._next.detach(), dim=1)
        factor = p["temperature"] / p["base_temperature"]
        compactness = factor * cross_entropy(z @ fixed.T / p["temperature"], y)
        spread = dispersion(self._next, p["temperature"])
        total = p["compactness_weight"] * compactness + spread
        return Terms(total, {"compactness": compactness, "dispersion": spread})

    def commit(self, skipped: bool) -> None:
        """Take over the moved prototypes, unless the optimiser took no step."""
        if self._next is not None and not skipped:
            self.prototypes.copy_(self._next.detach())
        self._next = None


def dispersion(prototypes: torch.Tensor, temperature: float) -> torch.Tensor:
    """L_dis: mean over classes of log of the mean of exp(cosine / tau) with the other prototypes (C, D)."""
    count = len(prototypes)
    itself = torch.eye(count, dtype=torch.bool, device=prototypes.device)
    similarity = (prototypes @ prototypes.T / temperature).masked_fill(itself, -torch.inf)
    return (similarity.logsumexp(dim=1) - math.log(count - 1)).mean()


def sequential(
    prototypes: torch.Tensor, z: torch.Tensor, table: tuple[torch.Tensor, torch.Tensor], momentum: float
) -> torch.Tensor:
    """(C, D) prototypes after mu_y <- norm(alpha mu_y + (1 - alpha) z_i) for every row of z (N, D), in order.

    ``table`` is that of :func:`rounds`. The gradient runs through the whole chain.
    """
    rows, there = ((part.pin_memory() if z.is_cuda else part).to(z.device, non_blocking=True) for part in table)
    for chosen, present in zip(rows, there, strict=True):
        moved = normalize(momentum * prototypes + (1 - momentum) * z[chosen], dim=1)
        prototypes = torch.where(present[:, None], moved, prototypes)
    return prototypes


def rounds(labels: torch.Tensor, classes: int) -> tuple[torch.Tensor, torch.Tensor]:
    """(R, C) row of the r-th sample of every class, and whether there is one; R samples has the fullest class.

    On the host, from labels (N,) there: the number of rounds is needed there, and nothing waits for a GPU.
    """
    order = torch.argsort(labels, stable=True)
    counts = torch.bincount(labels, minlength=classes)
    starts = counts.cumsum(0) - counts
    number = torch.arange(int(counts.max()))[:, None]
    return order[(starts + number).clamp_max(len(labels) - 1)], number < counts


def batched_mean(prototypes: torch.Tensor, z: torch.Tensor, labels: torch.Tensor, momentum: float) -> torch.Tensor:
    """(C, D) prototypes moved once, towards the mean of their rows of z (N, D); without rows they stay."""
    sums = torch.zeros_like(prototypes).index_add(0, labels, z)
    counts = torch.zeros_like(prototypes[:, 0]).index_add(0, labels, torch.ones_like(labels, dtype=z.dtype))[:, None]
    moved = normalize(momentum * prototypes + (1 - momentum) * sums / counts.clamp_min(1), dim=1)
    return torch.where(counts > 0, moved, prototypes)


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Cider:
    """The objective; its prototypes are random until :meth:`Cider.initialise` has seen the training set."""
    return Cider(parameters, normalize(torch.randn(sizes.classes, sizes.dimension, generator=generator), dim=1))
