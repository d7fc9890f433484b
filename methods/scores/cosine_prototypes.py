"""Largest cosine of a projection to a prototype that the model learnt."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.moments import normalised

RECORD = {
    "title": "Cosine to prototypes",
    "paper": "common practice on prototype-based contrastive features; no paper of its own",
    "tasks": ["single_label"],
    "needs": ["projection", "prototypes"],
    "parameters": {},
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Prototypes of length 1, (K, D)."""
    assert readout.prototypes is not None
    return {"prototypes": normalised(readout.prototypes)}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_k cos(z, p_k) of projections z (N, D) and prototypes p_k; 0 for a row of zeros."""
    assert features.projection is not None
    return (normalised(features.projection) @ fitted["prototypes"].T).max(axis=1)
