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


@dataclass(frozen=True)
class Ranking:
    """ID and OOD scores sorted once, to be counted as often as a bootstrap wants.

    Attributes:
        order: (n + m,) positions in n ID scores followed by m OOD scores, highest score first.
        positive: (n + m,) which of them, in this order, are ID.
        ends: (T,) where in this order each distinct score is last.
    """

    order: np.ndarray
    positive: np.ndarray
    ends: np.ndarray

    def counts(self, weights: np.ndarray) -> Counts:
        """Counts if each of the n + m images is there (n + m,) int64 times; thresholds without images stay."""
        ranked = weights[self.order]
        positives = np.cumsum(ranked * self.positive)[self.ends]
        return Counts(positives, np.cumsum(ranked)[self.ends] - positives)


def rank(positive_scores: np.ndarray, negative_scores: np.ndarray) -> Ranking:
    """Sort (n,) ID and (m,) OOD scores.

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
    order = np.argsort(-scores)  # equal scores share a threshold, so their order does not matter
    ranked = scores[order]
    ends = np.append(np.flatnonzero(ranked[1:] != ranked[:-1]), len(ranked) - 1)
    return Ranking(order, order < len(positive_scores), ends)


def count(positive_scores: np.ndarray, negative_scores: np.ndarray) -> Counts:
    """Counts at every distinct threshold of (n,) and (m,) scores; refuses what :func:`rank` refuses."""
    ranking = rank(positive_scores, negative_scores)
    return ranking.counts(np.ones(len(ranking.order), dtype=np.int64))


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
