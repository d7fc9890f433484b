"""Local outlier factor (Breunig et al., SIGMOD 2000) of logits, as in the multi-label comparison of Wang et al. (2021).

The papers fit it on logits of the validation split: ``fit_on: validation``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.neighbors import NearestNeighbors

from methods.errors import refuse
from methods.features.arrays import Features, Readout

RECORD = {
    "title": "LOF",
    "paper": "Breunig et al., LOF: Identifying density-based local outliers, SIGMOD 2000",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {
        "neighbours": {
            "type": "integer",
            "minimum": 1,
            "default": 20,
            "description": "k, nearest neighbours whose densities are compared",
        },
        "fit_on": {
            "enum": ["train", "validation"],
            "default": "train",
            "description": "ID split that it is fitted on; the papers take validation",
        },
    },
}

_LEAST_DISTANCE = 1e-10  # as scikit-learn: the density of duplicates stays finite


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Logits (M, C) of the images of ``fit_on``, distance to their k-th neighbour (M,) and their density (M,).

    Raises:
        ReproError: there are not more than k images.
    """
    logits, k = np.asarray(train.logits, dtype=np.float64), parameters["neighbours"]
    refuse(len(logits) <= k, f"LOF asks for {k} neighbours among {len(logits)} ID images to fit on: choose fewer.")
    distances, nearest = NearestNeighbors(n_neighbors=k).fit(logits).kneighbors()
    return {"logits": logits, "reach": distances[:, -1], "density": _density(distances, distances[nearest, -1])}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -mean_{o in N_k(z)} density(o) / density(z) of logits z (N, C); equals scikit-learn's score_samples.

    N_k(z) are the k nearest logits of the ID images it was fitted on, and density(z) = 1 / mean_{o in N_k(z)}
    max(||z - o||, d_k(o)) with the distance d_k(o) of o to its own k-th nearest.
    """
    search = NearestNeighbors(n_neighbors=parameters["neighbours"]).fit(fitted["logits"])
    distances, nearest = search.kneighbors(np.asarray(features.logits, dtype=np.float64))
    own = _density(distances, fitted["reach"][nearest])
    return -(fitted["density"][nearest] / own[:, None]).mean(axis=1)


def _density(distances: np.ndarray, reach: np.ndarray) -> np.ndarray:
    """(N,) local reachability density of (N, k) distances to neighbours that reach (N, k) far themselves."""
    return 1 / (np.maximum(distances, reach).mean(axis=1) + _LEAST_DISTANCE)
