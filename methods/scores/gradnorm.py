"""GradNorm (Huang et al., NeurIPS 2021) of the classifier's weight, in closed form."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features
from methods.scores.moments import as_float64
from methods.scores.softmax import log_probabilities

RECORD = {
    "title": "GradNorm",
    "paper": "Huang et al., On the importance of gradients for detecting distributional shifts, NeurIPS 2021",
    "tasks": ["single_label"],
    "needs": ["embedding", "logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) L1 norm of dL/dW, L the cross-entropy to the target 1 for every class, of a linear classifier W (C, E).

    dL/dW = (C p - 1) h' has rank one, so its norm is exactly sum_c |C p_c - 1| sum_e |h_e| for p = softmax(z).

    Raises:
        ReproError: there is one class only.
    """
    p = np.exp(log_probabilities(features.logits))
    return np.abs(p.shape[1] * p - 1).sum(axis=1) * np.abs(as_float64(features.embedding)).sum(axis=1)
