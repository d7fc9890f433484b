"""OECC: outlier exposure with confidence control (Papadopoulos et al., Neurocomputing 2021), for several labels.

With p = softmax(z): L = L_id + lambda1 * (max_c p_c(x) - A_tr)^2 + lambda2 * sum_c |p_c(x_out) - 1/C|. The release sums
both terms over the images of a batch, so that their weight grows with it, and trains ID images with softmax
cross-entropy (switches oecc_reduction, oecc_id_loss).
"""

from collections.abc import Mapping
from typing import Any

import torch

from methods.networks.model import Outputs
from methods.objectives.base import Context, Objective, Sizes, Terms
from methods.objectives.multi_label import ID_LOSSES, joint_energy, logits_of, mean_energies, reduced

RECORD = {
    "title": "OECC",
    "paper": "Papadopoulos et al., Outlier exposure with confidence control for out-of-distribution detection, "
    "Neurocomputing 2021, as released with EDGE",
    "tasks": ["multi_label"],
    "views": 1,
    "needs_outliers": True,
    "needs": ["head"],
    "gives": ["logits"],
    "protocols": ["corrected", "released"],
    "switches": {
        "oecc_reduction": "sum",
        "oecc_id_loss": "cross_entropy",
        "head_double_bn_update": True,
        "final_model": "last_epoch",
        "eval_transform": "released_random",
    },
    "required": ["training_accuracy"],
    "parameters": {
        "training_accuracy": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "description": "A_tr, which the largest probability of an ID image is drawn to; as released the mAP of a "
            "classifier trained with BCE: VOC .8801, COCO .7573, NUS-WIDE .6018",
        },
        "lambda1": {"type": "number", "minimum": 0, "default": 0.07, "description": "weight of the ID confidence"},
        "lambda2": {"type": "number", "minimum": 0, "default": 0.05, "description": "weight of the outliers"},
    },
}


class Oecc(Objective):
    """Loss of ID images, their confidence drawn to a target, and outliers drawn to equal probabilities."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        super().__init__()
        self.parameters_ = dict(parameters)

    def loss(self, outputs: Outputs, outlier_outputs: Outputs | None, labels: torch.Tensor, context: Context) -> Terms:
        """Uses logits of B ID images (B, C), of M outliers (M, C) and multi-hot labels (B, C)."""
        logits, outlier_logits = logits_of(outputs, outlier_outputs)
        p, id_loss = self.parameters_, self.parameters_["oecc_id_loss"]
        own = ID_LOSSES[id_loss](logits, labels)
        top = logits.softmax(dim=1).max(dim=1).values
        uneven = (outlier_logits.softmax(dim=1) - 1 / logits.shape[1]).abs().sum(dim=1)
        control = reduced((top - p["training_accuracy"]).square(), p["oecc_reduction"])
        distance = reduced(uneven, p["oecc_reduction"])
        return Terms(
            own + p["lambda1"] * control + p["lambda2"] * distance,
            {id_loss: own, "id_confidence": control, "outlier_distance": distance},
            mean_energies(joint_energy(logits), joint_energy(outlier_logits)),
        )


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Oecc:
    """The objective; it has no state."""
    return Oecc(parameters)
