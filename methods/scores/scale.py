"""SCALE (Xu et al., ICLR 2024): energy of features scaled by how much of them lies in the largest ones."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier, energy, largest, share_kept
from methods.scores.moments import as_float64

RECORD = {
    "title": "SCALE",
    "paper": "Xu et al., Scaling for training time and post-hoc out-of-distribution detection enhancement, ICLR 2024",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "percentile": {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 100,
            "default": 85,
            "description": "percentile of an image's features, above which they count as large",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The classifier alone: SCALE learns nothing."""
    return classifier(readout)


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) lse(W h exp(r) + b), r = sum_e h_e / sum_K h_e with K the k largest of a row; nothing is set to zero.

    Raises:
        ReproError: a feature is negative: the sums could cancel.
    """
    h = as_float64(features.embedding)
    return energy(h * np.exp(share_kept(h, largest(h, parameters["percentile"], "SCALE"), "SCALE")), fitted)
