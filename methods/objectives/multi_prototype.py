"""Contrast with several prototypes a class: what PALM and ADAPT have in common.

Letters in parentheses are the steps of section 4 of the specification of the released criteria. Each step, embeddings
are assigned to all prototypes by Sinkhorn iterations (a), each keeps its k best own ones (b), the prototypes move
towards what was assigned to them (c), embeddings are pulled to their own and pushed from all other prototypes (f), and
the moved prototypes are contrasted with one another (h).
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cosine_similarity, normalize

from methods.networks.model import Outputs
from methods.objectives import prototypes as proto
from methods.objectives.base import Context, Objective, Sizes, Terms


class MultiPrototype(Objective):
    """State: ``prototypes`` (K, D) unit rows and ``prototype_classes`` (K,).

    With ``proto_grad: learnable`` the prototypes are parameters too: the optimiser moves them down the prototype
    contrast, and the moving average is taken from where it left them. As released (``through_ema``) that contrast
    reaches the encoder through the moving average alone, a thousandth of its gradient, and no prototype.
    """

    prototypes: torch.Tensor
    prototype_classes: torch.Tensor

    def __init__(self, parameters: Mapping[str, Any], sizes: Sizes, prototypes: torch.Tensor) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)
        self.classes = sizes.classes
        if parameters["proto_grad"] == "learnable":
            self.prototypes = nn.Parameter(prototypes)
        else:
            self.register_buffer("prototypes", prototypes)
        self.register_buffer("prototype_classes", torch.arange(len(prototypes)) % sizes.classes)
        self._update: torch.Tensor | None = None

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Likelihood over prototypes plus prototype contrast; ``outputs.projection``: (2B, D) view-major."""
        assert outputs.projection is not None
        p, z = self.parameters_, outputs.projection
        own = proto.own_columns(labels.repeat(len(z) // len(labels)), self.classes, p["prototypes_per_class"])
        with torch.no_grad():
            assignment = self._assign(z @ self.prototypes.T)
            kept = proto.top_own(assignment, own, p["top_k"])  # (b)
            weights = proto.spread(proto.row_weights(assignment, kept), kept, len(self.prototypes))
            share = proto.column_weights(weights) if p["update_column_norm"] else weights
        self._update = share.T @ z
        moved = self._moved(self._update)  # (c); gradient reaches z through here
        cosine = z @ moved.detach().T
        with torch.no_grad():
            update = self._update.to(self.prototypes.dtype)
            alignment = cosine_similarity(update, self.prototypes, dim=1).mean()  # (d)
            target = proto.row_weights(self._assign(cosine.detach()), kept)  # (e)
        temperature = self.contrast_temperature(alignment)
        likelihood = self._likelihood(cosine, own, kept, target)
        contrast = proto.prototype_contrast(moved, temperature, self.classes)
        return Terms(
            likelihood + p["contrast_weight"] * contrast,
            {"likelihood": likelihood, "prototype_contrast": contrast},
            {"alignment": alignment, "contrast_temperature": torch.as_tensor(temperature), **_usage(weights)},
        )

    def commit(self, skipped: bool) -> None:
        """Take over the moved prototypes, unless the optimiser took no step."""
        if self._update is not None and not skipped:
            with torch.no_grad():
                self.prototypes.copy_(self._moved(self._update.detach()))
        self._update = None

    def similarity(self, cosine: torch.Tensor) -> torch.Tensor:
        """(N, K) logits of the likelihood, of cosines between embeddings and prototypes."""
        raise TypeError(f"{type(self).__name__} defines no similarity")

    def negative_factor(self, s: torch.Tensor) -> torch.Tensor | None:
        """(N, K) factors of the logits of negatives, without gradient; None for 1."""
        return None

    def contrast_temperature(self, alignment: torch.Tensor) -> torch.Tensor | float:
        """(g) temperature of the prototype contrast."""
        raise TypeError(f"{type(self).__name__} defines no contrast temperature")

    def _moved(self, update: torch.Tensor) -> torch.Tensor:
        momentum = self.parameters_["prototype_momentum"]
        return normalize(momentum * self.prototypes + (1 - momentum) * update, dim=1)

    def _assign(self, cosine: torch.Tensor) -> torch.Tensor:
        """(a)"""
        return proto.sinkhorn(cosine, self.parameters_["epsilon"], self.parameters_["sinkhorn_rounds"])

    def _likelihood(
        self, cosine: torch.Tensor, own: torch.Tensor, kept: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """(f)"""
        s = self.similarity(cosine)
        factor = self.negative_factor(s.detach())
        against = s if factor is None else factor.scatter(1, own, 1.0) * s
        return (against.logsumexp(dim=1) - (target * s.gather(1, kept)).sum(dim=1)).mean()


def first_prototypes(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> torch.Tensor:
    """(K, D) unit rows, freshly drawn."""
    count, kind = parameters["prototypes_per_class"], parameters["proto_init"]
    return proto.initial_prototypes(sizes.classes, count, sizes.dimension, kind, generator)


def _usage(weights: torch.Tensor) -> dict[str, torch.Tensor]:
    """Share of prototypes without samples, and entropy of prototype usage over its greatest value."""
    mass = weights.sum(dim=0)
    share = mass / mass.sum()
    entropy = torch.special.entr(share).sum() / math.log(len(mass))
    return {"dead_prototypes": (mass == 0).to(mass.dtype).mean(), "usage_entropy": entropy}
