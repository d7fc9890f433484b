"""DICE (Sun and Li, ECCV 2022): energy of a classifier that keeps only the weights that contribute most."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier, energy, mean_row

RECORD = {
    "title": "DICE",
    "paper": "Sun and Li, DICE: leveraging sparsification for out-of-distribution detection, ECCV 2022",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "sparsity": {
            "type": "number",
            "exclusiveMinimum": 0,
            "exclusiveMaximum": 1,
            "default": 0.9,
            "description": "p, the share of weights set to zero",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Sparse weight (C, E) and bias (C,): W_ce stays where W_ce mean_i(h_ie) is above the p-quantile of all."""
    linear = classifier(readout)
    contribution = linear["weight"] * mean_row(train.embedding)
    kept = contribution > np.quantile(contribution, parameters["sparsity"])
    return {**linear, "weight": np.where(kept, linear["weight"], 0)}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) lse((W * M) h + b) of features h (N, E), M the mask of the weights that stay."""
    return energy(features.embedding, fitted)
