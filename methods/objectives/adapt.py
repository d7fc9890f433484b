"""ADAPT: learning from hard negative samples with several prototypes a class.

Letters in parentheses are the steps of section 4 of the specification of the released criterion.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cosine_similarity, normalize, softplus

from methods.networks.model import Outputs
from methods.objectives import prototypes as proto
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "ADAPT",
    "paper": "Learning from hard negative samples: multi-prototype contrastive learning for OOD detection (ADAPT)",
    "tasks": ["single_label"],
    "views": 2,
    "needs_outliers": False,
    "needs": ["projector"],
    "gives": ["prototypes"],
    "protocols": ["corrected"],
    "parameters": {
        "prototypes_per_class": {"type": "integer", "minimum": 1, "default": 6, "description": "M"},
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "own prototypes kept a sample, k",
        },
        "prototype_momentum": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.999,
            "description": "EMA momentum m",
        },
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.1,
            "description": "tau of the likelihood",
        },
        "beta": {
            "type": "number",
            "minimum": 0,
            "default": 0.15,
            "description": "exponent of the hard-negative weight",
        },
        "contrast_weight": {"type": "number", "minimum": 0, "default": 1.0, "description": "lambda"},
        "base_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.4,
            "description": "temperature at base alignment",
        },
        "base_alignment": {
            "type": "number",
            "default": 0.5,
            "description": "alignment with the base temperature",
        },
        "epsilon": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.05,
            "description": "Sinkhorn regularisation",
        },
        "sinkhorn_rounds": {"type": "integer", "minimum": 1, "default": 3, "description": "Sinkhorn rounds"},
        "proto_init": {
            "enum": ["uniform01", "gaussian"],
            "default": "uniform01",
            "description": "distribution of first prototypes",
        },
    },
}

_SHIFT = 1e-10  # keeps the power of the hard-negative weight differentiable at zero, as released


class Adapt(Objective):
    """State: ``prototypes`` (K, D) unit rows and ``prototype_classes`` (K,)."""

    prototypes: torch.Tensor
    prototype_classes: torch.Tensor

    def __init__(self, parameters: Mapping[str, Any], sizes: Sizes, prototypes: torch.Tensor) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)
        self.classes = sizes.classes
        self.register_buffer("prototypes", prototypes)
        self.register_buffer("prototype_classes", torch.arange(len(prototypes)) % sizes.classes)
        self._next: torch.Tensor | None = None

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Likelihood over prototypes plus prototype contrast; ``outputs.projection``: (2B, D) view-major."""
        assert outputs.projection is not None
        p, z = self.parameters_, outputs.projection
        own = proto.own_columns(labels.repeat(len(z) // len(labels)), self.classes, p["prototypes_per_class"])
        with torch.no_grad():
            assignment = self._assign(z, self.prototypes)
            kept = proto.top_own(assignment, own, p["top_k"])  # (b)
            weights = proto.spread(proto.row_weights(assignment, kept), kept, len(self.prototypes))
        update = weights.T @ z  # (c); gradient reaches z through here
        self._next = normalize(
            p["prototype_momentum"] * self.prototypes + (1 - p["prototype_momentum"]) * update, dim=1
        )
        with torch.no_grad():
            alignment = cosine_similarity(update, self.prototypes, dim=1).mean()  # (d)
            target = proto.row_weights(self._assign(z, self._next), kept)  # (e)
        temperature = p["base_temperature"] * (1 + (p["base_alignment"] - alignment))  # (g)
        likelihood = self._likelihood(z, self._next.detach(), own, kept, target)
        contrast = proto.prototype_contrast(self._next, temperature, self.classes)
        return Terms(
            likelihood + p["contrast_weight"] * contrast,
            {"likelihood": likelihood, "prototype_contrast": contrast},
            {"alignment": alignment, "adaptive_temperature": temperature, **_usage(weights)},
        )

    def commit(self, skipped: bool) -> None:
        """Take over the moved prototypes, unless the optimiser took no step."""
        if self._next is not None and not skipped:
            self.prototypes.copy_(self._next.detach())
        self._next = None

    def _assign(self, z: torch.Tensor, prototypes: torch.Tensor) -> torch.Tensor:
        """(a)"""
        return proto.sinkhorn(z, prototypes, self.parameters_["epsilon"], self.parameters_["sinkhorn_rounds"])

    def _likelihood(
        self,
        z: torch.Tensor,
        prototypes: torch.Tensor,
        own: torch.Tensor,
        kept: torch.Tensor,
        target: torch.Tensor,
    ) -> torch.Tensor:
        """(f): negatives enter with their value to the power 1 + beta, the extra factor without gradient."""
        s = softplus(z @ prototypes.T / self.parameters_["temperature"])
        weight = (s.detach() + _SHIFT).pow(self.parameters_["beta"]).scatter(1, own, 1.0)
        normaliser = (weight * s).logsumexp(dim=1)
        return (normaliser - (target * s.gather(1, kept)).sum(dim=1)).mean()


def _usage(weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Share of prototypes without samples, and entropy of prototype usage over its greatest value."""
    mass = weights.sum(dim=0)
    share = mass / mass.sum()
    entropy = torch.special.entr(share).sum() / torch.log(torch.tensor(float(len(mass))))
    return {"dead_prototypes": (mass == 0).to(mass.dtype).mean(), "usage_entropy": entropy}


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Adapt:
    """The objective with freshly drawn prototypes."""
    count, kind = parameters["prototypes_per_class"], parameters["proto_init"]
    return Adapt(parameters, sizes, proto.initial_prototypes(sizes.classes, count, sizes.dimension, kind, generator))
