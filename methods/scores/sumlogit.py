"""SumLogit (Wang et al., NeurIPS 2021): logits of all labels added up, the ablation beside JointEnergy."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features

RECORD = {
    "title": "SumLogit",
    "paper": "Wang et al., Can multi-label classification networks know what they don't know?, NeurIPS 2021",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) sum_c z_c of logits z (N, C)."""
    return np.asarray(features.logits, dtype=np.float64).sum(axis=1)
