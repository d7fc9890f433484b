"""Relative Mahalanobis distance (Ren et al., 2021): to the nearest class, less that to all training features."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.mahalanobis_within import tied_whitening
from methods.scores.moments import centred, chosen_transform, moments, nearest_squared, whitening

RECORD = {
    "title": "Relative Mahalanobis",
    "paper": "Ren et al., A simple fix to Mahalanobis distance for improving near-OOD detection, 2021",
    "tasks": ["single_label"],
    "needs": ["embedding"],
    "parameters": {
        "normalise": {
            "type": "boolean",
            "default": False,
            "description": "true scales features to length 1; the paper does not",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean (E,), whitenings within classes (E, R) and of all features (E, Q), class means about the mean (C, R).

    Raises:
        ReproError: no class varies.
    """
    known = moments(train.embedding, train.labels, chosen_transform(parameters))
    within = tied_whitening(known)
    background = whitening(known.scatter / known.counts.sum())
    means = (known.means - known.mean) @ within
    return {"mean": known.mean, "within": within, "background": background, "whitened_means": means}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -min_c d_c + d_0 for d_c = (f - mu_c)' pinv(Sigma) (f - mu_c), d_0 = (f - mu)' pinv(Sigma_0) (f - mu).

    Sigma is the tied within-class covariance, Sigma_0 the covariance of all training features, both with 1/n.
    """
    rows, prepare = features.embedding, centred(parameters, fitted["mean"])
    alone = np.zeros((1, fitted["background"].shape[1]))
    nearest = nearest_squared(rows, prepare, fitted["within"], fitted["whitened_means"])
    return nearest_squared(rows, prepare, fitted["background"], alone) - nearest
