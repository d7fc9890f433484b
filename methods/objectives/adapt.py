"""ADAPT: learning from hard negative samples with several prototypes a class.

Softplus keeps the logits of the likelihood positive; negatives enter with their value to the power 1 + beta, the extra
factor without gradient, so that hard ones weigh more. The prototype contrast is softer the worse prototypes and samples
are aligned.
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
        "prototypes_per_class": {"type": "integer", "minimum": 1, "default": 6, "description": "M"},
        "top_k": {
            "type": "integer",
            "minimum": 1,
            "default": 5,
            "description": "own prototypes kept a sample, k",
        },
        "prototype_momentum": {
            "type": "number",
            "minimum": 0,
            "maximum": 1,
            "default": 0.999,
            "description": "EMA momentum m",
        },
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.1,
            "description": "tau of the likelihood",
        },
        "beta": {
            "type": "number",
            "minimum": 0,
            "default": 0.15,
            "description": "exponent of the hard-negative weight",
        },
        "contrast_weight": {"type": "number", "minimum": 0, "default": 1.0, "description": "lambda"},
        "base_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.4,
            "description": "temperature at base alignment",
        },
        "base_alignment": {
            "type": "number",
            "default": 0.5,
            "description": "alignment with the base temperature",
        },
        "contrast_temperature": {
            "type": ["number", "null"],
            "exclusiveMinimum": 0,
            "default": None,
            "description": "fixed, instead of the adaptive one",
        },
        "logits": {
            "enum": ["softplus", "identity"],
            "default": "softplus",
            "description": "of the likelihood; identity: cosine over tau, as in PALM (then beta is 0)",
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
            "description": "Sinkhorn regularisation",
        },
        "sinkhorn_rounds": {"type": "integer", "minimum": 1, "default": 3, "description": "Sinkhorn rounds"},
        "proto_init": {
            "enum": ["uniform01", "gaussian"],
            "default": "uniform01",
            "description": "distribution of first prototypes",
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
    """ADAPT's logits, hard-negative factor and adaptive temperature."""

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
