"""KL matching (Hendrycks et al., ICML 2022): distance of a prediction to the typical prediction of a class.

The paper takes the typical predictions from a validation split; here they come from the ID training images, the only
ones that reach a fit.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.features.rows import blocks
from methods.scores.softmax import log_probabilities

RECORD = {
    "title": "KL matching",
    "paper": "Hendrycks et al., Scaling out-of-distribution detection for real-world settings, ICML 2022",
    "tasks": ["single_label"],
    "needs": ["logits"],
    "parameters": {},
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """(K, C) log d_k, the log of the mean softmax of training images predicted as class k.

    Means are taken in logarithms, so that no probability becomes zero; a class that is never predicted has no row.
    """
    assert train.logits is not None
    classes = train.logits.shape[1]
    log_sums, counts = np.full((classes, classes), -np.inf), np.zeros(classes)
    for _, block in blocks(train.logits):
        predicted = block.argmax(axis=1)
        order = np.argsort(predicted, kind="stable")
        present, starts, images = np.unique(predicted[order], return_index=True, return_counts=True)
        of_block = np.logaddexp.reduceat(log_probabilities(block)[order], starts, axis=0)
        log_sums[present] = np.logaddexp(log_sums[present], of_block)
        counts[present] += images
    seen = counts > 0
    return {"log_means": log_sums[seen] - np.log(counts[seen])[:, None]}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -min_k KL(p || d_k) = -min_k sum_c p_c (log p_c - log d_kc), p = softmax(z) of logits z (N, C).

    d_k (C,) is the mean softmax of the ID training images predicted as class k.

    Raises:
        ReproError: there is one class only.
    """
    log_p = log_probabilities(features.logits)
    p = np.exp(log_p)
    return (p @ fitted["log_means"].T).max(axis=1) - (p * log_p).sum(axis=1)
