"""Softmax cross-entropy: the classifier every post-hoc score is compared on."""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "Cross-entropy",
    "paper": "baseline",
    "tasks": ["single_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {},
}


class CrossEntropy(Objective):
    """Mean over the batch of -log softmax at the label."""

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C)."""
        assert outputs.logits is not None
        total = cross_entropy(outputs.logits, labels)
        return Terms(total, {"cross_entropy": total})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> CrossEntropy:
    """The objective; it has no state."""
    return CrossEntropy()
