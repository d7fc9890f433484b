"""Mahalanobis distance with the tied within-class covariance (Lee et al., NeurIPS 2018), without input perturbation."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.scores.moments import Moments, centred, chosen_transform, moments, nearest_squared, whitening

RECORD = {
    "title": "Mahalanobis (within-class covariance)",
    "paper": "Lee et al., A simple unified framework for detecting OOD samples and adversarial attacks, NeurIPS 2018",
    "tasks": ["single_label"],
    "needs": ["embedding"],
    "parameters": {
        "normalise": {
            "type": "boolean",
            "default": False,
            "description": "true scales features to length 1, as is usual on contrastive ones; the paper does not",
        },
    },
}

_LEAST_SHARE = 1e-12  # of the variance that lies within classes; below it there is only rounding


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Overall mean (E,), whitening of the tied covariance (E, R), class means about the mean, whitened (C, R).

    Raises:
        ReproError: no class varies.
    """
    known = moments(train.embedding, train.labels, chosen_transform(parameters))
    w = tied_whitening(known)
    return {"mean": known.mean, "whitening": w, "whitened_means": (known.means - known.mean) @ w}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c -1/2 (f - mu_c)' pinv(Sigma) (f - mu_c); Sigma = 1/n sum_i (f_i - mu_y(i))(f_i - mu_y(i))'."""
    prepare = centred(parameters, fitted["mean"])
    return -nearest_squared(features.embedding, prepare, fitted["whitening"], fitted["whitened_means"]) / 2


def tied_whitening(known: Moments) -> np.ndarray:
    """(E, R) W with W W' = pseudo-inverse of the tied within-class covariance.

    Raises:
        ReproError: all images of each class have the same features.
    """
    within, total = np.trace(known.within), np.trace(known.scatter) / known.counts.sum()
    refuse(
        within <= _LEAST_SHARE * total,
        "All ID training features of a class are equal, in every class: their covariance has no inverse. "
        "Train on more images a class, or use a score without a within-class covariance.",
    )
    return whitening(known.within)
