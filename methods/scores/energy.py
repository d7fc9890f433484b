"""Energy score (Liu et al., NeurIPS 2020), with the sign that makes it higher in distribution.

With several labels an image it is the multi-class energy of Wang et al. (2021), their baseline for JointEnergy.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from scipy.special import logsumexp

from methods.features.arrays import Features

RECORD = {
    "title": "Energy",
    "paper": "Liu et al., Energy-based out-of-distribution detection, NeurIPS 2020",
    "tasks": ["single_label", "multi_label"],
    "needs": ["logits"],
    "parameters": {
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 1.0,
            "description": "T, by which logits are divided",
        },
    },
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) T * logsumexp(z / T) of logits z (N, C)."""
    temperature = parameters["temperature"]
    return temperature * logsumexp(np.asarray(features.logits, dtype=np.float64) / temperature, axis=1)
