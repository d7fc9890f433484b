"""NCI (Liu and Qin, CVPR 2025): how a centred feature lies along the weight of its class, and its length."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier, logits, mean_row
from methods.scores.moments import as_float64

RECORD = {
    "title": "NCI",
    "paper": "Liu and Qin, Detecting out-of-distribution through the lens of neural collapse, CVPR 2025",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "alpha": {
            "type": "number",
            "minimum": 0,
            "default": 0.0001,
            "description": "weight of the length; the authors choose among 0.0001, 0.001, 0.01 and 0.1 on validation",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier and mean training feature (E,)."""
    return {**classifier(readout), "mean": mean_row(train.embedding)}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) w_c'(h - mean) / |h - mean| + alpha |h|_1, c the predicted class; the quotient is 0 at the mean."""
    h = as_float64(features.embedding)
    centred = h - fitted["mean"]
    along = np.einsum("ne,ne->n", fitted["weight"][logits(h, fitted).argmax(axis=1)], centred)
    length = np.linalg.norm(centred, axis=1)
    return along / np.where(length > 0, length, 1) + parameters["alpha"] * np.abs(h).sum(axis=1)
