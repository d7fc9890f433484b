"""Binary cross-entropy on every label: the classifier JointEnergy is computed on (Wang et al. 2021)."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "BCE",
    "paper": "Wang et al., Can multi-label classification networks know what they don't know?, NeurIPS 2021",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected", "released"],
    "switches": {"bn_freeze_after_first_epoch": True, "final_model": "last_epoch"},
    "parameters": {},
}


class BinaryCrossEntropy(Objective):
    """Mean over B * C of the binary cross-entropy."""

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C) and multi-hot labels (B, C)."""
        assert outputs.logits is not None
        total = binary_cross_entropy_with_logits(outputs.logits, labels)
        return Terms(total, {"bce": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> BinaryCrossEntropy:
    """The objective; it has no state."""
    return BinaryCrossEntropy()
