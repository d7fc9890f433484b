"""Mahalanobis distance for several labels an image, as the released EDGE and JointEnergy evaluations define it.

This is the part on features. The releases also move the input against the gradient first, and EDGE takes the training
features from augmented images; here they are plain (``ml_mahalanobis_features: plain``).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.features.rows import Array, blocks
from methods.scores.moments import as_float64, whitening

RECORD = {
    "title": "Mahalanobis (multi-label)",
    "paper": "Lee et al., NeurIPS 2018, as released with JointEnergy (Wang et al., 2021) and EDGE",
    "tasks": ["multi_label"],
    "needs": ["embedding"],
    "parameters": {
        "aggregate": {
            "enum": ["max", "sum"],
            "default": "max",
            "description": "how the labels that have a mean are joined",
        },
    },
}

_LEAST_SHARE = 1e-14  # of the whole spread; below it there is only rounding


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Whitening (D, R) of the shared biased covariance, whitened label means (L, R) about a centre (D,), float64.

    The centre is the first image: distances do not depend on it, but lose no digits to a large common offset.
    An image counts once for each of its labels, one without labels not at all; labels without images have no mean.

    Raises:
        ReproError: labels are not multi-hot, no image has one, or features do not vary about the means of the labels.
    """
    refuse(train.labels.ndim != 2, f"Labels have shape {train.labels.shape}, expected (N, C): choose another score.")
    centre = as_float64(_pooled(train)[0])
    counts, sums, products = _pair_moments(_pooled(train), train.labels, centre)
    pairs, counts, sums = counts.sum(), counts[counts > 0], sums[counts > 0]
    refuse(pairs == 0, "No ID training image has a label: multi-label Mahalanobis needs at least one a label.")
    covariance = (products - (sums / counts[:, None]).T @ sums) / pairs
    equal = np.trace(covariance) * pairs <= _LEAST_SHARE * np.trace(products)
    refuse(bool(equal), "ID training features of the same label are all equal: their covariance has no inverse.")
    axes = whitening(covariance)
    return {"centre": centre, "whitening": axes, "whitened_means": sums / counts[:, None] @ axes}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_c g_c or sum_c g_c with g_c = -1/2 (f - mu_c)' inv(Sigma) (f - mu_c) of pooled features f (N, D).

    mu_c (D,) is the mean over ID training images that have label c; Sigma (D, D) the biased covariance of f - mu_c over
    all pairs of an image and one of its labels.
    """
    w = (as_float64(_pooled(features)[:]) - fitted["centre"]) @ fitted["whitening"]
    m = fitted["whitened_means"]
    squared = (w**2).sum(axis=1)[:, None] - 2 * w @ m.T + (m**2).sum(axis=1)
    return -np.maximum(squared.min(axis=1) if parameters["aggregate"] == "max" else squared.sum(axis=1), 0) / 2


def _pooled(features: Features) -> Array:
    return features.embedding if features.pooled is None else features.pooled


def _pair_moments(rows: Array, labels: np.ndarray, centre: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Pairs (C,), sums (C, D) and products (D, D) of rows - centre over all pairs of an image and a label."""
    sums, products = np.zeros((labels.shape[1], len(centre))), np.zeros((len(centre), len(centre)))
    for part, block in blocks(rows):
        x, y = as_float64(block) - centre, as_float64(labels[part])
        sums += y.T @ x
        products += (x * y.sum(axis=1)[:, None]).T @ x
    return labels.sum(axis=0, dtype=np.int64), sums, products
