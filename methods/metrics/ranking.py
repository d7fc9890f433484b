"""Detection metrics from two sets of scores; higher = more in-distribution, ID is the positive class.

All metrics come from one pair of counts at every distinct threshold, so ties are exact and counts are int64.
"""

from collections.abc import Callable
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


def auroc(counts: Counts) -> float:
    """P(s_ID > s_OOD) + P(s_ID = s_OOD) / 2."""
    won = np.diff(counts.positives, prepend=0) * (
        2 * counts.negatives[-1] - _before(counts.negatives) - counts.negatives
    )
    return float(won.sum() / (2 * counts.positives[-1] * counts.negatives[-1]))


def fpr_closest(counts: Counts, tpr: float = 0.95) -> float:
    """FPR at the threshold whose TPR is closest to ``tpr``; of two equally close the higher TPR (the papers' rule)."""
    rates = counts.positives / counts.positives[-1]
    rates = rates[: int(np.argmax(rates == 1)) + 1]
    distance = np.abs(rates - tpr)
    best = len(rates) - 1 - int(np.argmin(distance[::-1]))
    return _fpr(counts, best)


def fpr_at_least(counts: Counts, tpr: float = 0.95) -> float:
    """FPR at the highest threshold with TPR of at least ``tpr``."""
    return _fpr(counts, int(np.argmax(counts.positives >= tpr * counts.positives[-1])))


def fpr_ood_positive(counts: Counts, tpr: float = 0.95) -> float:
    """The same with OOD as the positive class (OpenOOD): share of ID images flagged when 95 % of OOD are."""
    return fpr_at_least(counts.swapped(), tpr)


FPR_RULES: dict[str, Callable[[Counts], float]] = {
    "closest": fpr_closest,
    "at_least": fpr_at_least,
    "ood_positive": fpr_ood_positive,
}


def average_precision(counts: Counts) -> float:
    """Sum over thresholds of (R_n - R_{n-1}) P_n, the positives being the class of interest."""
    recall = counts.positives / counts.positives[-1]
    return float(np.sum(np.diff(recall, prepend=0.0) * _precision(counts)))


def trapezoid_precision(counts: Counts) -> float:
    """Area under the precision-recall curve by trapezoids, the curve starting at recall 0 and precision 1."""
    recall = np.concatenate([[0.0], counts.positives / counts.positives[-1]])
    return float(np.trapezoid(np.concatenate([[1.0], _precision(counts)]), recall))


def detection_metrics(id_scores: np.ndarray, ood_scores: np.ndarray) -> list[tuple[str, str, float]]:
    """Every metric of one pair of sets as (metric, rule, value)."""
    counts = count(id_scores, ood_scores)
    swapped = counts.swapped()
    rows = [("auroc", "", auroc(counts))]
    rows += [("fpr95", name, rule(counts)) for name, rule in FPR_RULES.items()]
    for name, rule in (("average_precision", average_precision), ("trapezoid", trapezoid_precision)):
        rows += [("aupr_in", name, rule(counts)), ("aupr_out", name, rule(swapped))]
    return rows


def _fpr(counts: Counts, index: int) -> float:
    return float(counts.negatives[index] / counts.negatives[-1])


def _precision(counts: Counts) -> np.ndarray:
    return counts.positives / (counts.positives + counts.negatives)


def _before(cumulative: np.ndarray) -> np.ndarray:
    return np.concatenate([[0], cumulative[:-1]])


def _reversed(cumulative: np.ndarray) -> np.ndarray:
    return cumulative[-1] - _before(cumulative)[::-1]
