"""Generalised entropy GEN (Liu et al., CVPR 2023): small probabilities weigh more than in Shannon's entropy."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import logsumexp

from methods.features.arrays import Features
from methods.scores.softmax import log_probabilities

RECORD = {
    "title": "GEN",
    "paper": "Liu et al., GEN: Pushing the limits of softmax-based out-of-distribution detection, CVPR 2023",
    "tasks": ["single_label"],
    "needs": ["logits"],
    "parameters": {
        "gamma": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 0.1,
            "description": "gamma, exponent of p (1 - p); smaller lets small probabilities count more",
        },
        "top_classes": {
            "type": "integer",
            "minimum": 1,
            "default": 100,
            "description": "M, how many of the most probable classes are summed; all where there are fewer",
        },
    },
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -sum_{m <= M} p_m^gamma (1 - p_m)^gamma, p_1 >= p_2 >= ... the sorted softmax of logits z (N, C).

    1 - p_1 is summed from the other classes: the difference would lose what the small exponent shows.

    Raises:
        ReproError: there is one class only.
    """
    log_p = -np.sort(-log_probabilities(features.logits), axis=1)
    others = log_p[:, 1:]  # each at most 1/2
    log_rest = np.column_stack([logsumexp(others, axis=1), np.log1p(-np.exp(others))])
    return -np.exp(parameters["gamma"] * (log_p + log_rest))[:, : parameters["top_classes"]].sum(axis=1)
