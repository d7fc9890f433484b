"""MaxProb and SumProb (Wang et al., NeurIPS 2021): sigmoid probabilities of the labels, the largest or their sum."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import expit

from methods.features.arrays import Features

RECORD = {
    "title": "MaxProb / SumProb",
    "paper": "Wang et al., Can multi-label classification networks know what they don't know?, NeurIPS 2021",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {
        "aggregate": {
            "enum": ["max", "sum"],
            "default": "max",
            "description": "the largest probability (MaxProb) or the sum of all (SumProb)",
        },
    },
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c sigma(z_c) or sum_c sigma(z_c) of logits z (N, C), sigma(z) = 1 / (1 + exp(-z))."""
    probabilities = expit(np.asarray(features.logits, dtype=np.float64))
    return probabilities.max(axis=1) if parameters["aggregate"] == "max" else probabilities.sum(axis=1)
