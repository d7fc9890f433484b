"""PALM: learning with mixtures of prototypes (Lu et al., ICLR 2024).

L = mean_i (log sum_j exp(s_ij) - sum_k q_ik s_ik) + lambda * L_con, with s_ij = z_i . p_j / tau for all prototypes;
q_ik are the shares that Sinkhorn iterations give to the sample's k best prototypes of its class.

L_con = mean_j (log sum_{l != j} exp(p_j . p_l / t) - mean_k p_j . p_k / t), the last mean over the other prototypes
of the class; t is contrast_temperature.

Prototypes move by p <- norm(m p + (1 - m) u), with u the mean of their samples, weighted by the shares.
"""

from collections.abc import Mapping
from typing import Any

import torch

from methods.objectives.base import Sizes
from methods.objectives.multi_prototype import MultiPrototype, first_prototypes

RECORD = {
    "title": "PALM",
    "paper": "Lu et al., Learning with mixture of prototypes for out-of-distribution detection, ICLR 2024",
    "tasks": ["single_label"],
    "views": 2,
    "needs_outliers": False,
    "needs": ["projector"],
    "gives": ["prototypes"],
    "protocols": ["corrected", "released"],
    "switches": {
        "lr_timing": "after_step",
        "lr_on_skipped_step": "hold",
        "ema_on_skipped_step": "update",
        "criterion_precision": "autocast",
        "checkpoint_rule": "best_train_loss",
    },
    "parameters": {
        "prototypes_per_class": {
            "type": "integer",
            "minimum": 1,
            "default": 6,
            "description": "prototypes of each class, M",
        },
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "k: how many prototypes of its class a sample is pulled to; all of them if M is less",
        },
        "prototype_momentum": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.999,
            "description": "m of the moving average by which prototypes follow their samples; 1 would hold them still",
        },
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.1,
            "description": "tau, by which cosines in the likelihood are divided",
        },
        "contrast_weight": {
            "type": "number",
            "minimum": 0,
            "default": 1.0,
            "description": "lambda, weight of the prototype contrast L_con",
        },
        "contrast_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.5,
            "description": "t, by which cosines in the prototype contrast are divided",
        },
        "update_column_norm": {
            "type": "boolean",
            "default": True,
            "description": "move a prototype by the mean of its samples instead of their sum",
        },
        "epsilon": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.05,
            "description": "regularisation of the Sinkhorn iterations; smaller makes shares sharper",
        },
        "sinkhorn_rounds": {
            "type": "integer",
            "minimum": 1,
            "default": 3,
            "description": "number of Sinkhorn iterations",
        },
        "proto_init": {
            "enum": ["uniform01", "gaussian"],
            "default": "uniform01",
            "description": "what the numbers of the first prototypes are drawn from: uniform from 0 to 1, or normal",
        },
        "proto_grad": {
            "enum": ["through_ema", "learnable"],
            "default": "through_ema",
            "description": "what the prototype contrast moves: the encoder through the EMA, or the prototypes too",
        },
    },
}


class Palm(MultiPrototype):
    """Multi-prototype contrast with cosines as logits and a fixed temperature."""

    def similarity(self, cosine: torch.Tensor) -> torch.Tensor:
        """s = z . p / tau."""
        return cosine / self.parameters_["temperature"]

    def contrast_temperature(self, alignment: torch.Tensor) -> float:
        """Fixed."""
        return self.parameters_["contrast_temperature"]


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Palm:
    """The objective with freshly drawn prototypes."""
    return Palm(parameters, sizes, first_prototypes(parameters, sizes, generator))
