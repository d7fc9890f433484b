"""Focal loss for several labels an image (Lin et al., ICCV 2017).

A label costs -(1 - p_t)^gamma log p_t, where p_t is the probability of what is true of it: sigmoid(z) where it is
there, sigmoid(-z) where it is not. Other than in ASL the power has a gradient.
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
    "title": "Focal loss",
    "paper": "Lin et al., Focal loss for dense object detection, ICCV 2017, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {
        "gamma": {"type": "number", "minimum": 0, "default": 4.0, "description": "power of 1 - p_t"},
        "reduction": {
            "enum": ["sum", "mean"],
            "default": "sum",
            "description": "over images and classes: as released, or with the scale of BCE",
        },
    },
}

FLOOR = 1e-8  # on probabilities in logarithms, as released


class FocalLoss(Objective):
    """Sum over B * C of the weighted logarithms."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.gamma, self.reduction = parameters["gamma"], parameters["reduction"]

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C) and multi-hot labels (B, C)."""
        assert outputs.logits is not None
        z = torch.where(labels > 0, outputs.logits, -outputs.logits)  # p_t = sigmoid(z)
        weight = (self.gamma * logsigmoid(-z)).exp()  # (1 - p_t)^gamma, whose gradient is finite for any power
        total = -reduced(logsigmoid(z).clamp(min=math.log(FLOOR)) * weight, self.reduction)
        return Terms(total, {"focal": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> FocalLoss:
    """The objective; it has no state."""
    return FocalLoss(parameters)
