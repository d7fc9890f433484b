"""Maximum logit, for one label or several (Hendrycks et al., ICML 2022)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features

RECORD = {
    "title": "MaxLogit",
    "paper": "Hendrycks et al., Scaling out-of-distribution detection for real-world settings, ICML 2022",
    "tasks": ["single_label", "multi_label"],
    "needs": ["logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c z_c of logits z (N, C)."""
    return np.asarray(features.logits, dtype=np.float64).max(axis=1)
