"""Negative entropy of the predicted class probabilities: a confident prediction counts as in-distribution."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features
from methods.scores.softmax import log_probabilities

RECORD = {
    "title": "Entropy",
    "paper": "Shannon, A mathematical theory of communication, 1948 (baseline; no OOD paper of its own)",
    "tasks": ["single_label"],
    "needs": ["logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) sum_c p_c log p_c with p = softmax(z) of logits z (N, C), between -log C and 0.

    Raises:
        ReproError: there is one class only.
    """
    log_p = log_probabilities(features.logits)
    return (np.exp(log_p) * log_p).sum(axis=1)
