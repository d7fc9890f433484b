"""Knowing the classes and noticing the unknown in one number."""

import numpy as np

from methods.errors import refuse
from methods.metrics.counts import rank
from methods.metrics.ranking import auroc


def oscr(id_scores: np.ndarray, predicted: np.ndarray, labels: np.ndarray, ood_scores: np.ndarray) -> float:
    """Open-set classification rate: area under CCR over FPR (Dhamija et al., NeurIPS 2018), from 0 to the accuracy.

    CCR(t) is the share of all ID images that are predicted right and score t or more, FPR(t) the share of OOD images
    that score t or more. The area by trapezoids is the accuracy times the AUROC of the right predictions.

    Args:
        id_scores: (N,), higher = more in-distribution.
        predicted: (N,) classes.
        labels: (N,) true classes.
        ood_scores: (M,).

    Raises:
        ReproError: a set is empty or not finite, or the ID arrays are of unequal length.
    """
    lengths = len(id_scores), len(predicted), len(labels)
    refuse(len(set(lengths)) > 1, f"ID scores, predictions and labels have the lengths {lengths}: expected one length.")
    ranking = rank(id_scores, ood_scores)
    right = np.asarray(predicted) == np.asarray(labels)
    if not right.any():
        return 0.0
    weights = np.append(right, np.ones(len(ood_scores), dtype=bool)).astype(np.int64)
    return float(right.mean() * auroc(ranking.counts(weights)))
