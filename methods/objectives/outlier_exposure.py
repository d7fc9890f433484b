"""Outlier exposure for several labels: outliers are pushed towards equal logits (Hendrycks et al., ICLR 2019).

L = L_id + weight * mean over outliers of (logsumexp(z) - mean_c z_c), the cross-entropy to the uniform distribution up
to a constant. EDGE's release calls it OEML with BCE as L_id, and OE with softmax cross-entropy.
"""

from collections.abc import Mapping
from typing import Any

import torch

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import ID_LOSSES, joint_energy, logits_of, mean_energies

RECORD = {
    "title": "Outlier exposure",
    "paper": "Hendrycks et al., Deep anomaly detection with outlier exposure, ICLR 2019, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": True,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected", "released"],
    "switches": {"head_double_bn_update": True, "final_model": "last_epoch", "eval_transform": "released_random"},
    "parameters": {
        "id_loss": {
            "enum": ["bce", "cross_entropy"],
            "default": "bce",
            "description": "loss of ID images: BCE, or softmax cross-entropy with un-normalised labels",
        },
        "outlier_weight": {"type": "number", "minimum": 0, "default": 0.5, "description": "weight of the outliers"},
    },
}


class OutlierExposure(Objective):
    """Loss of ID images and distance of outliers from equal logits."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.id_loss, self.outlier_weight = parameters["id_loss"], parameters["outlier_weight"]

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses logits of B ID images (B, C), of M outliers (M, C) and multi-hot labels (B, C)."""
        logits, outlier_logits = logits_of(outputs, outlier_outputs)
        own = ID_LOSSES[self.id_loss](logits, labels)
        unevenness = (outlier_logits.logsumexp(dim=1) - outlier_logits.mean(dim=1)).mean()
        return Terms(
            own + self.outlier_weight * unevenness,
            {self.id_loss: own, "outlier_unevenness": unevenness},
            mean_energies(joint_energy(logits), joint_energy(outlier_logits)),
        )


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> OutlierExposure:
    """The objective; it has no state."""
    return OutlierExposure(parameters)
