"""VS: vector scaling of the logits by how often a class occurs (Kini et al., NeurIPS 2021), for several labels.

The BCE of z_c / D_c + tau * log(n_c / sum n), with D_c = n_c^-gamma / min n^-gamma where n_c training images have
class c: logits of rare classes count less, and start lower.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import class_sizes

RECORD = {
    "title": "VS",
    "paper": "Kini et al., Label-imbalanced and group-sensitive classification under overparameterization, "
    "NeurIPS 2021, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {
        "gamma": {"type": "number", "minimum": 0, "default": 0.3, "description": "power of the class sizes in D"},
        "tau": {
            "type": "number",
            "minimum": 0,
            "default": 1.0,
            "description": "weight of the logarithm of the class's share",
        },
    },
}


class VectorScaling(Objective):
    """Mean over B * C of the BCE of scaled and shifted logits."""

    divisors: torch.Tensor
    shifts: torch.Tensor

    def __init__(self, divisors: torch.Tensor, shifts: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("divisors", divisors, persistent=False)  # (C,), known from the training set
        self.register_buffer("shifts", shifts, persistent=False)

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C) and multi-hot labels (B, C)."""
        assert outputs.logits is not None
        scaled = outputs.logits / self.divisors.to(outputs.logits) + self.shifts.to(outputs.logits)
        total = binary_cross_entropy_with_logits(scaled, labels)
        return Terms(total, {"bce": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> VectorScaling:
    """The objective with the class sizes of the training set."""
    counts = class_sizes(sizes)
    rarity = counts ** -parameters["gamma"]
    return VectorScaling(rarity / rarity.min(), parameters["tau"] * (counts / counts.sum()).log())
