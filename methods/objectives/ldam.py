"""LDAM for several labels an image: rarer classes keep a larger margin (Cao et al., NeurIPS 2019).

m_c = max_margin * n_c^(-1/4) / max n^(-1/4), where n_c training images have class c. As EDGE's loss collection has it
for several labels, each logit of a label that is there loses the margins of all labels of its image; the loss is the
BCE of the logits so lowered, times a scale.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import class_sizes

RECORD = {
    "title": "LDAM",
    "paper": "Cao et al., Learning imbalanced datasets with label-distribution-aware margin loss, NeurIPS 2019, "
    "as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {
        "max_margin": {
            "type": "number",
            "minimum": 0,
            "default": 0.5,
            "description": "margin of the rarest class, in logits",
        },
        "scale": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 30.0,
            "description": "factor by which logits are multiplied",
        },
    },
}


class Ldam(Objective):
    """Mean over B * C of the BCE of scaled logits with margins."""

    margins: torch.Tensor

    def __init__(self, margins: torch.Tensor, scale: float) -> None:
        super().__init__()
        self.register_buffer("margins", margins, persistent=False)  # (C,), known from the training set
        self.scale = scale

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C) and multi-hot labels (B, C)."""
        assert outputs.logits is not None
        margin = (labels * self.margins.to(outputs.logits)).sum(dim=1, keepdim=True)
        total = binary_cross_entropy_with_logits(self.scale * (outputs.logits - labels * margin), labels)
        return Terms(total, {"bce": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Ldam:
    """The objective with the margins of the training set's classes."""
    rarity = class_sizes(sizes) ** -0.25
    return Ldam(parameters["max_margin"] * rarity / rarity.max(), parameters["scale"])
