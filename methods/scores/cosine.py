"""Largest cosine of an embedding to a class mean."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.features.rows import blocks
from methods.metrics.vectors import unit_rows
from methods.scores.moments import class_sums, normalised

RECORD = {
    "title": "Cosine",
    "paper": "common practice on contrastive features; no paper of its own",
    "tasks": ["single_label"],
    "needs": ["embedding"],
    "parameters": {},
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Directions of the class means of unit rows, (C, E)."""
    return {"centres": _mean_directions(train)}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c cos(h, m_c) of embeddings h (N, E) and class means m_c; 0 for a row of zeros."""
    return (normalised(features.embedding) @ fitted["centres"].T).max(axis=1)


def _mean_directions(train: Features) -> np.ndarray:
    """(C, E) directions of the class means of unit rows."""
    classes, index = np.unique(train.labels, return_inverse=True)
    sums = np.zeros((len(classes), train.embedding.shape[1]))
    for part, block in blocks(train.embedding):
        sums += class_sums(normalised(block), index[part], len(classes))
    return unit_rows(sums)
