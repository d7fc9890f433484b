"""Residual (Wang et al., CVPR 2022, the part of ViM without logits): length outside the principal space."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier
from methods.scores.vim import null_space, residual

RECORD = {
    "title": "Residual",
    "paper": "Wang et al., ViM: out-of-distribution with virtual-logit matching, CVPR 2022",
    "tasks": ["single_label", "multi_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "dimension": {
            "type": ["integer", "null"],
            "minimum": 1,
            "default": None,
            "description": "dimension of the principal space; null: 1000 for 2048 features and more, 512 from 768 on, "
            "else half",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Origin o (E,) and basis N of the null space (E, E - d), as in ViM."""
    return null_space(train.embedding, classifier(readout), parameters["dimension"], "Residual")


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -|N'(h - o)| of features h (N, E)."""
    return -residual(features.embedding, fitted)
