"""PALM: learning with mixtures of prototypes (Lu et al., ICLR 2024)."""

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
        "contrast_weight": {"type": "number", "minimum": 0, "default": 1.0, "description": "lambda"},
        "contrast_temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 0.5,
            "description": "temperature of the prototype contrast",
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


class Palm(MultiPrototype):
    """PALM's logits and fixed temperature."""

    def similarity(self, cosine: torch.Tensor) -> torch.Tensor:
        """s = z . p / tau."""
        return cosine / self.parameters_["temperature"]

    def contrast_temperature(self, alignment: torch.Tensor) -> float:
        """Fixed."""
        return self.parameters_["contrast_temperature"]


def build(parameters: Mapping[str, Any], sizes: Sizes, generator: torch.Generator) -> Palm:
    """The objective with freshly drawn prototypes."""
    return Palm(parameters, sizes, first_prototypes(parameters, sizes, generator))
