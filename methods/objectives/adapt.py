"""ADAPT: learning from hard negative samples with several prototypes a class.

L = mean_i (log sum_j exp(w_ij s_ij) - sum_k q_ik s_ik) + lambda * L_con, with s_ij = softplus(z_i . p_j / tau).

w_ij is 1 for the prototypes of the sample's class and (s_ij + 1e-10)^beta, without gradient, for all others, so that
hard negatives weigh more; q_ik are the shares that Sinkhorn iterations give to the k best prototypes of its class.

L_con = mean_j (log sum_{l != j} exp(p_j . p_l / t) - mean_k p_j . p_k / t), the last mean over the other prototypes
of the class; t = base_temperature * (1 + base_alignment - a), a being the mean cosine of prototypes and the samples
they get, so that it is softer the worse they are aligned.

Prototypes move by p <- norm(m p + (1 - m) u), with u the sum of their samples, weighted by the shares.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import logsigmoid

from methods.errors import refuse
from methods.objectives.base import Sizes
from methods.objectives.multi_prototype import MultiPrototype, first_prototypes

RECORD = {
    "title": "ADAPT",
    "paper": "Learning from hard negative samples: multi-prototype contrastive learning for OOD detection (ADAPT)",
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
        "train_eval_norm": "mismatched",
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
        "beta": {
            "type": "number",
            "minimum": 0,
            "default": 0.15,
            "description": "exponent of the weight of hard negatives; 0 weighs all alike",
        },
        "contrast_weight": {
            "type": "number",
            "minimum": 0,
            "default": 1.0,
            "description": "lambda, weight of the prototype contrast L_con",
        },
        "base_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.4,
            "description": "temperature of the prototype contrast where the alignment is base_alignment",
        },
        "base_alignment": {
            "type": "number",
            "default": 0.5,
            "description": "mean cosine of prototypes and their samples at which that temperature holds",
        },
        "contrast_temperature": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "default": None,
            "description": "a fixed temperature of the prototype contrast; null for the adaptive one",
        },
        "logits": {
            "enum": ["softplus", "identity"],
            "default": "softplus",
            "description": "s of cosine over tau: its softplus, or itself as in PALM (then beta is 0)",
        },
        "update_column_norm": {
            "type": "boolean",
            "default": False,
            "description": "move a prototype by the mean of its samples, as PALM does, instead of their sum",
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

_SHIFT = 1e-10  # keeps the power of the hard-negative weight differentiable at zero, as released


class Adapt(MultiPrototype):
    """Multi-prototype contrast with softplus logits, weights of hard negatives and an adaptive temperature."""

    def similarity(self, cosine: torch.Tensor) -> torch.Tensor:
        """s = softplus(z . p / tau), written as -log sigmoid(-.), which takes half the time on a CPU."""
        scaled = cosine / self.parameters_["temperature"]
        return -logsigmoid(-scaled) if self.parameters_["logits"] == "softplus" else scaled

    def negative_factor(self, s: torch.Tensor) -> torch.Tensor | None:
        """(s + 1e-10)^beta."""
        beta = self.parameters_["beta"]
        return ((s + _SHIFT).log_() * beta).exp_() if beta else None  # pow takes twice as long

    def contrast_temperature(self, alignment: torch.Tensor) -> torch.Tensor | float:
        """tau_0 (1 + a_0 - a): sharper the better prototypes and samples are aligned."""
        p = self.parameters_
        if p["contrast_temperature"] is not None:
            return p["contrast_temperature"]
        return p["base_temperature"] * (1 + (p["base_alignment"] - alignment))


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Adapt:
    """The objective with freshly drawn prototypes.

    Raises:
        ReproError: a power of logits that can be negative.
    """
    refuse(
        parameters["logits"] == "identity" and parameters["beta"] > 0,
        f"ADAPT with logits: identity has no power beta = {parameters['beta']} of negative values: set beta: 0.",
    )
    return Adapt(parameters, sizes, first_prototypes(parameters, sizes, generator))
