"""Mahalanobis distance with the total covariance, as the released ADAPT and CIDER evaluations define it.

Not to be mixed up with the tied within-class covariance of Lee et al. (2018): the two rank images differently.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.metrics.vectors import unit_rows

RECORD = {
    "title": "Mahalanobis (total covariance)",
    "paper": "released evaluation of ADAPT and CIDER",
    "tasks": ["single_label"],
    "needs": ["embedding"],
    "parameters": {},
}

_LEAST_VARIANCE = 1e-14  # of unit rows stored as float32; below it there is only rounding


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Whitening of the pseudo-inverse covariance (D, R) and whitened class means (C, R), float64.

    The covariance of all normalised training embeddings (unbiased, between-class spread included) is inverted on the
    directions whose variance is above rounding.

    Raises:
        ReproError: all embeddings are equal.
    """
    f = unit_rows(train.embedding.astype(np.float64))
    spread = f.var(axis=0).max()
    refuse(spread < _LEAST_VARIANCE, "All ID training embeddings are equal: the Mahalanobis distance is undefined.")
    means = np.stack([f[train.labels == c].mean(axis=0) for c in np.unique(train.labels)])
    variance, axes = np.linalg.eigh(np.atleast_2d(np.cov(f, rowvar=False)))
    kept = variance > variance.max() * len(variance) * np.finfo(np.float64).eps
    whitening = axes[:, kept] / np.sqrt(variance[kept])
    return {"whitening": whitening, "whitened_means": means @ whitening}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c -1/2 (f - mu_c)' pinv(Sigma) (f - mu_c) of normalised embeddings f (N, D)."""
    w = unit_rows(features.embedding.astype(np.float64)) @ fitted["whitening"]
    m = fitted["whitened_means"]
    squared = (w**2).sum(axis=1)[:, None] - 2 * w @ m.T + (m**2).sum(axis=1)
    return -squared.min(axis=1) / 2
