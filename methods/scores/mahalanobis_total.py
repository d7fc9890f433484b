"""Mahalanobis distance with the total covariance, as the released ADAPT and CIDER evaluations define it.

Not to be mixed up with the tied within-class covariance of Lee et al. (2018): the two rank images differently.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.scores.moments import moments, nearest_squared, normalised, whitening

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
    found = moments(train.embedding, train.labels, normalised)
    equal = found.total.diagonal().max() < _LEAST_VARIANCE
    refuse(bool(equal), "All ID training embeddings are equal: the Mahalanobis distance is undefined.")
    axes = whitening(found.total)
    return {"whitening": axes, "whitened_means": found.means @ axes}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c -1/2 (f - mu_c)' pinv(Sigma) (f - mu_c) of normalised embeddings f (N, D)."""
    return -nearest_squared(features.embedding, normalised, fitted["whitening"], fitted["whitened_means"]) / 2
