"""JointEnergy (Wang et al., NeurIPS 2021): energies of all labels added up."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features

RECORD = {
    "title": "JointEnergy",
    "paper": "Wang et al., Can multi-label classification networks know what they don't know?, NeurIPS 2021",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {},
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) sum_c log(1 + exp z_c) of logits z (N, C)."""
    return np.logaddexp(0, np.asarray(features.logits, dtype=np.float64)).sum(axis=1)
