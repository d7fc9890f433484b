"""Detection metrics from two sets of scores; higher = more in-distribution, ID is the positive class.

All metrics come from one pair of counts at every distinct threshold, so ties are exact and counts are int64.
"""

from collections.abc import Callable

import numpy as np

from methods.metrics.counts import Counts, average_precision, before, count, trapezoid_precision


def auroc(counts: Counts) -> float:
    """P(s_ID > s_OOD) + P(s_ID = s_OOD) / 2."""
    won = np.diff(counts.positives, prepend=0) * (
        2 * counts.negatives[-1] - before(counts.negatives) - counts.negatives
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


def fpr_percentile(id_scores: np.ndarray, ood_scores: np.ndarray, tpr: float = 0.95) -> float:
    """Share of OOD scores strictly above the interpolated (1 - ``tpr``) quantile of ID scores (PALM's rule)."""
    return float((ood_scores > np.quantile(id_scores, 1 - tpr)).mean())


def detection_error(counts: Counts) -> float:
    """Least (1 - TPR + FPR) / 2 over all thresholds: the error of the best one if ID and OOD are equally frequent."""
    positives, negatives = counts.positives[-1], counts.negatives[-1]
    errors = (positives - counts.positives) * negatives + counts.negatives * positives
    return float(errors.min() / (2 * positives * negatives))


FPR_RULES: dict[str, Callable[[Counts], float]] = {
    "closest": fpr_closest,
    "at_least": fpr_at_least,
    "ood_positive": fpr_ood_positive,
}


def detection_metrics(id_scores: np.ndarray, ood_scores: np.ndarray) -> list[tuple[str, str, float]]:
    """Every metric of one pair of sets as (metric, rule, value)."""
    counts = count(id_scores, ood_scores)
    swapped = counts.swapped()
    rows = [("auroc", "", auroc(counts))]
    rows += [("fpr95", name, rule(counts)) for name, rule in FPR_RULES.items()]
    rows.append(("fpr95", "percentile", fpr_percentile(id_scores, ood_scores)))
    for name, rule in (("average_precision", average_precision), ("trapezoid", trapezoid_precision)):
        rows += [("aupr_in", name, rule(counts)), ("aupr_out", name, rule(swapped))]
    return [*rows, ("detection_error", "", detection_error(counts))]


def _fpr(counts: Counts, index: int) -> float:
    return float(counts.negatives[index] / counts.negatives[-1])
