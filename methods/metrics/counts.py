"""Counts at every distinct threshold: the one primitive under all ranking metrics, and the areas under precision."""

from dataclasses import dataclass

import numpy as np

from methods.errors import refuse


@dataclass(frozen=True)
class Counts:
    """At each of T distinct thresholds, from the highest down: how many positives and negatives reach it.

    Attributes:
        positives: (T,) int64, ends with the number of positives.
        negatives: (T,) int64, ends with the number of negatives.
    """

    positives: np.ndarray
    negatives: np.ndarray

    def swapped(self) -> "Counts":
        """Counts after negating the scores and exchanging the classes."""
        return Counts(_reversed(self.negatives), _reversed(self.positives))


def count(positive_scores: np.ndarray, negative_scores: np.ndarray) -> Counts:
    """Counts at every distinct threshold of (n,) and (m,) scores.

    Raises:
        ReproError: one of the sets is empty or holds NaN or infinity.
    """
    for name, scores in (("ID", positive_scores), ("OOD", negative_scores)):
        refuse(len(scores) == 0, f"There are no {name} scores: a metric needs at least one ID and one OOD image.")
        refuse(
            not np.isfinite(scores).all(),
            f"{int((~np.isfinite(scores)).sum())} of {len(scores)} {name} scores are NaN or infinite: "
            "the score or its features are broken, no metric is defined.",
        )
    scores = np.concatenate([positive_scores, negative_scores])
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    positives = np.cumsum(order < len(positive_scores), dtype=np.int64)[ends]
    return Counts(positives, ends + 1 - positives)


def average_precision(counts: Counts) -> float:
    """Sum over thresholds of (R_n - R_{n-1}) P_n, the positives being the class of interest."""
    recall = counts.positives / counts.positives[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * _precision(counts)))


def trapezoid_precision(counts: Counts) -> float:
    """Area under the precision-recall curve by trapezoids, the curve starting at recall 0 and precision 1."""
    recall = np.concatenate([[0.0], counts.positives / counts.positives[-1]])
    return float(np.trapezoid(np.concatenate([[1.0], _precision(counts)]), recall))


def _precision(counts: Counts) -> np.ndarray:
    return counts.positives / (counts.positives + counts.negatives)


def before(cumulative: np.ndarray) -> np.ndarray:
    """Cumulative counts one threshold earlier, starting from 0."""
    return np.concatenate([[0], cumulative[:-1]])


def _reversed(cumulative: np.ndarray) -> np.ndarray:
    return cumulative[-1] - before(cumulative)[::-1]
