"""Maximum softmax probability (Hendrycks and Gimpel, ICLR 2017).

With several labels an image the softmax still runs over all labels, although sigmoids were trained (Wang et al., 2021).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features
from methods.scores.softmax import log_probabilities

RECORD = {
    "title": "MSP",
    "paper": "Hendrycks and Gimpel, A baseline for detecting misclassified and OOD examples, ICLR 2017",
    "tasks": ["single_label", "multi_label"],
    "needs": ["logits"],
    "parameters": {
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 1.0,
            "description": "T, by which logits are divided before the softmax",
        },
    },
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c softmax(z / T)_c of logits z (N, C).

    Raises:
        ReproError: there is one class only.
    """
    return np.exp(log_probabilities(features.logits, parameters["temperature"]).max(axis=1))
