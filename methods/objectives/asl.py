"""ASL: asymmetric loss for several labels an image (Ridnik et al., ICCV 2021).

With p = sigmoid(z) and q = min(1 - p + clip, 1): a label that is there costs -(1 - p)^gamma_positive log p, one that is
not -(1 - q)^gamma_negative log q. The powers are weights without a gradient.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import reduced

RECORD = {
    "title": "ASL",
    "paper": "Ridnik et al., Asymmetric loss for multi-label classification, ICCV 2021, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {
        "gamma_positive": {
            "type": "number",
            "minimum": 0,
            "default": 1.0,
            "description": "power of the weight of labels that are there",
        },
        "gamma_negative": {
            "type": "number",
            "minimum": 0,
            "default": 4.0,
            "description": "power of the weight of labels that are not there",
        },
        "clip": {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 1,
            "default": 0.05,
            "description": "probability below which a label that is not there costs nothing",
        },
        "reduction": {
            "enum": ["sum", "mean"],
            "default": "sum",
            "description": "over images and classes: as released, or with the scale of BCE",
        },
    },
}

FLOOR = 1e-8  # on probabilities in logarithms, as released


class AsymmetricLoss(Objective):
    """Sum over B * C of the two weighted logarithms."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C) and multi-hot labels (B, C)."""
        assert outputs.logits is not None
        z, p = outputs.logits, self.parameters_
        there = logsigmoid(z).clamp(min=math.log(FLOOR)) * power(torch.sigmoid(-z), p["gamma_positive"])
        clipped = (torch.sigmoid(-z) + p["clip"]).clamp(FLOOR, 1)
        other = clipped.log() * power((torch.sigmoid(z) - p["clip"]).clamp(min=0), p["gamma_negative"])
        total = -reduced(torch.where(labels > 0, there, other), p["reduction"])
        return Terms(total, {"asl": total})


def power(base: torch.Tensor, exponent: float) -> torch.Tensor:
    """``base ** exponent`` without a gradient."""
    return base.detach() ** exponent


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> AsymmetricLoss:
    """The objective; it has no state."""
    return AsymmetricLoss(parameters)
