"""EDGE: unknown-aware multi-label learning by energy distribution gap expansion (Sun et al., AAAI 2025).

L = L_id + alpha * L_conf + beta_t * L_gap with JointEnergy E(x) = sum_c softplus(z_c(x)); beta_t is 0 before
``start_epoch``. The gap term pushes the energy of outliers below that of the k lowest-energy ID images of the
batch, which stand in for tail ID samples.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import binary_cross_entropy_with_logits, relu

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import joint_energy, logits_of, mean_energies

RECORD = {
    "title": "EDGE",
    "paper": "Sun et al., EDGE: unknown-aware multi-label learning by energy distribution gap expansion, AAAI 2025",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": True,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected", "released"],
    "switches": {
        "last_batch": "keep",
        "head_double_bn_update": True,
        "final_model": "last_epoch",
        "eval_transform": "released_random",
    },
    "parameters": {
        "alpha": {
            "type": "number",
            "minimum": 0,
            "default": 1.0,
            "description": "weight of L_conf, the BCE of outliers with no label at all",
        },
        "beta": {"type": "number", "minimum": 0, "default": 0.1, "description": "weight of L_gap, the energy gap"},
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "default": 32,
            "description": "k: ID images of lowest energy in a batch, which stand in for the tail",
        },
        "margin": {
            "type": "number",
            "default": 0.0,
            "description": "m of the hinge max(0, E(outlier) - E(ID) + m) that L_gap is the mean of",
        },
        "start_epoch": {
            "type": "integer",
            "minimum": 0,
            "default": 50,
            "description": "first epoch with the gap term, counted from 0",
        },
    },
}


class Edge(Objective):
    """BCE on ID images, all-negative BCE on outliers, pairwise energy hinge between the two."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)
        if parameters.get("last_batch") == "keep":
            self.least_batch = parameters["top_k"]

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses logits of B ID images (B, C), of M outliers (M, C) and multi-hot labels (B, C)."""
        logits, outlier_logits = logits_of(outputs, outlier_outputs)
        p = self.parameters_
        energy, outlier_energy = joint_energy(logits), joint_energy(outlier_logits)
        bce = binary_cross_entropy_with_logits(logits, labels)
        confidence = outlier_energy.mean() / labels.shape[1]
        gap = energy_gap(energy, outlier_energy, p["top_k"], p["margin"])
        beta = p["beta"] if context.epoch >= p["start_epoch"] else 0.0
        total = bce + p["alpha"] * confidence + beta * gap
        return Terms(
            total,
            {"bce": bce, "outlier_confidence": confidence, "energy_gap": gap},
            mean_energies(energy, outlier_energy),
        )


def energy_gap(energy: torch.Tensor, outlier_energy: torch.Tensor, top_k: int, margin: float) -> torch.Tensor:
    """Mean over M outliers and the k lowest ID energies of max(0, E_out - E_in + margin); k = min(k, B)."""
    tail = energy.topk(min(top_k, len(energy)), largest=False).values
    return relu(outlier_energy[:, None] - tail + margin).mean()


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Edge:
    """The objective; it has no state."""
    return Edge(parameters)
