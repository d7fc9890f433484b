"""LogitNorm: cross-entropy of logits of constant length (Wei et al., ICML 2022).

With several labels an image the multi-hot vector stands in as a soft label whose entries are not normalised, as in the
loss collection of EDGE's release: every label adds its own cross-entropy.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import cross_entropy

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms

RECORD = {
    "title": "LogitNorm",
    "paper": "Wei et al., Mitigating neural network overconfidence with logit normalization, ICML 2022",
    "tasks": ["single_label", "multi_label"],
    "views": 1,
    "needs_outliers": False,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected"],
    "parameters": {
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.04,
            "description": "tau, by which logits of length 1 are divided; 1 in the multi-label release",
        },
    },
}

_SHIFT = 1e-7  # on the length, as released: logits of zeros stay zeros


class LogitNorm(Objective):
    """Mean over the batch of -log softmax(z / (tau |z|)) at the label, summed where there are several."""

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses ``outputs.logits`` (B, C), and labels (B,) or multi-hot (B, C)."""
        assert outputs.logits is not None
        length = outputs.logits.norm(dim=1, keepdim=True) + _SHIFT
        total = cross_entropy(outputs.logits / (length * self.temperature), labels)
        return Terms(total, {"cross_entropy": total}, {"logit_length": length.mean()})


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> LogitNorm:
    """The objective; it has no state."""
    return LogitNorm(parameters["temperature"])
