"""fDBD (Liu and Qin, ICML 2024): mean distance to the decision boundaries, over the distance to the mean feature."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier, logits, mean_row

RECORD = {
    "title": "fDBD",
    "paper": "Liu and Qin, Fast decision boundary based out-of-distribution detector, ICML 2024",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {},
}

_LEAST_DISTANCE = 1e-8  # to the mean, so that the mean itself has a score


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier, mean training feature (E,) and |w_a - w_b| of all pairs of classes (C, C), 1 on the diagonal.

    Raises:
        ReproError: there is one class, or two classes have equal weights: no boundary lies between them.
    """
    linear = classifier(readout)
    weight = linear["weight"]
    apart = np.stack([np.linalg.norm(weight - row, axis=1) for row in weight])
    np.fill_diagonal(apart, 1)
    equal = np.argwhere(apart == 0)
    refuse(len(weight) < 2, "fDBD measures distances to other classes, but the classifier has one class.")
    if len(equal):
        pair = f"the classes {equal[0][0]} and {equal[0][1]} have equal weights"
        refuse(True, f"fDBD needs a boundary between all classes, but {pair}: train longer, or leave the score out.")
    return {**linear, "mean": mean_row(train.embedding), "apart": apart}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) mean over c != p of |z_p - z_c| / |w_p - w_c|, divided by |h - mean|; p is the predicted class."""
    z = logits(features.embedding, fitted)
    distances = (z.max(axis=1, keepdims=True) - z) / fitted["apart"][z.argmax(axis=1)]
    to_mean = np.linalg.norm(features.embedding - fitted["mean"], axis=1)
    return distances.sum(axis=1) / (z.shape[1] - 1) / np.maximum(to_mean, _LEAST_DISTANCE)
