"""Supervised contrastive learning (Khosla et al., NeurIPS 2020), the training behind SSD+ and KNN+.

L = tau / base_temperature * mean_i l_i, with l_i = log sum_{j != i} exp(z_i . z_j / tau) - mean_k z_i . z_k / tau, i
and j being all views of a batch, k the other views of the class of i.
"""

from collections.abc import Mapping
from typing import Any

import torch

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "SupCon",
    "paper": "Khosla et al., Supervised contrastive learning, NeurIPS 2020",
    "tasks": ["single_label"],
    "views": 2,
    "needs_outliers": False,
    "needs": ["projector"],
    "gives": [],
    "protocols": ["corrected", "released"],
    "switches": {"cider_lr_epoch": "zero_based"},
    "parameters": {
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
            "description": "the loss is multiplied by tau over it; give it the value of tau for a factor of 1",
        },
    },
}


class SupCon(Objective):
    """Every row is drawn to the rows of its class among all others."""

    def __init__(self, temperature: float, base_temperature: float) -> None:
        super().__init__()
        self.temperature, self.factor = temperature, temperature / base_temperature

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.projection`` (2B, D), view-major; every row has its other view as a positive."""
        assert outputs.projection is not None
        z = outputs.projection
        y = labels.repeat(len(z) // len(labels))
        itself = torch.eye(len(z), dtype=torch.bool, device=z.device)
        similarity = (z @ z.T / self.temperature).masked_fill(itself, -torch.inf)
        positive = (y[:, None] == y) & ~itself
        pull = torch.where(positive, similarity, 0.0).sum(dim=1) / positive.sum(dim=1)
        total = self.factor * (similarity.logsumexp(dim=1) - pull).mean()
        return Terms(total, {"supcon": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> SupCon:
    """The objective; it has no state."""
    return SupCon(parameters["temperature"], parameters["base_temperature"])
