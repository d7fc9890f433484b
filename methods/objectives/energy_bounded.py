"""Energy-bounded learning: the free energy of ID images below one margin, that of outliers above another.

L = L_id + weight * (mean max(0, F(x) - m_in)^2 + mean max(0, m_out - F(x_out))^2) with F = -logsumexp(z) (Liu et al.,
NeurIPS 2020). EDGE's release calls it energyML with BCE as L_id, and energy with softmax cross-entropy. Free energies
of confident images are negative, and so are the margins of the paper; the release has them positive by default, where
the first term is 0 for any image and the second pushes outliers far beyond (switch energy_margin_sign).
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import relu

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import ID_LOSSES, joint_energy, logits_of, mean_energies

RECORD = {
    "title": "Energy-bounded learning",
    "paper": "Liu et al., Energy-based out-of-distribution detection, NeurIPS 2020, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": True,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected", "released"],
    "switches": {
        "energy_margin_sign": "positive",
        "head_double_bn_update": True,
        "final_model": "last_epoch",
        "eval_transform": "released_random",
    },
    "parameters": {
        "id_loss": {
            "enum": ["bce", "cross_entropy"],
            "default": "bce",
            "description": "loss of ID images: BCE, or softmax cross-entropy with un-normalised labels",
        },
        "energy_weight": {"type": "number", "minimum": 0, "default": 0.1, "description": "weight of the two hinges"},
        "margin_in": {
            "type": "number",
            "default": 25.0,
            "description": "m_in without its sign, which the switch energy_margin_sign gives; choose it from energies",
        },
        "margin_out": {"type": "number", "default": 7.0, "description": "m_out without its sign"},
    },
}

_SIGNS = {"positive": 1, "negative": -1}


class EnergyBounded(Objective):
    """Loss of ID images and squared hinges on the free energies of both domains."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        sign = _SIGNS[parameters["energy_margin_sign"]]
        self.id_loss, self.energy_weight = parameters["id_loss"], parameters["energy_weight"]
        self.margin_in, self.margin_out = sign * parameters["margin_in"], sign * parameters["margin_out"]

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses logits of B ID images (B, C), of M outliers (M, C) and multi-hot labels (B, C)."""
        logits, outlier_logits = logits_of(outputs, outlier_outputs)
        own = ID_LOSSES[self.id_loss](logits, labels)
        above = relu(-logits.logsumexp(dim=1) - self.margin_in).square().mean()
        below = relu(self.margin_out + outlier_logits.logsumexp(dim=1)).square().mean()
        return Terms(
            own + self.energy_weight * (above + below),
            {self.id_loss: own, "id_energy_hinge": above, "outlier_energy_hinge": below},
            mean_energies(joint_energy(logits), joint_energy(outlier_logits)),
        )


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> EnergyBounded:
    """The objective; it has no state."""
    return EnergyBounded(parameters)
