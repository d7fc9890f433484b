"""Maximum softmax probability (Hendrycks and Gimpel, ICLR 2017)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import logsumexp

from methods.features.arrays import Features

RECORD = {
    "title": "MSP",
    "paper": "Hendrycks and Gimpel, A baseline for detecting misclassified and OOD examples, ICLR 2017",
    "tasks": ["single_label"],
    "needs": ["logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c softmax(z)_c of logits z (N, C)."""
    z = np.asarray(features.logits, dtype=np.float64)
    return np.exp(z.max(axis=1) - logsumexp(z, axis=1))
