"""Comparing methods over several OOD sets or seeds by their ranks (Demsar, JMLR 2006)."""

import math

import numpy as np
from scipy.stats import rankdata, studentized_range

from methods.errors import refuse
from methods.metrics.seeds import LEAST


def average_ranks(values: np.ndarray, direction: int = 1) -> np.ndarray:
    """(K,) mean rank of each method, 1 = best; equal values share the mean of their ranks.

    Args:
        values: (N, K) unrounded values of K methods on N OOD sets or seeds.
        direction: 1 if higher is better, -1 if lower is.

    Raises:
        ReproError: fewer than three rows, fewer than two methods, or a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    _require_enough(*values.shape)
    refuse(not np.isfinite(values).all(), "A value is missing, NaN or infinite: ranks need every method on every set.")
    return rankdata(-direction * values, axis=1).mean(axis=0)


def critical_difference(methods: int, rows: int, level: float = 0.05) -> float:
    """Nemenyi's critical difference q sqrt(K (K + 1) / (6 N)) of average ranks of K methods over N sets or seeds.

    Methods whose average ranks differ by less are not told apart; q is the upper ``level`` quantile of the studentised
    range of K independent normal values, divided by sqrt(2).

    Raises:
        ReproError: fewer than three rows, fewer than two methods, or no level between 0 and 1.
    """
    _require_enough(rows, methods)
    refuse(not 0 < level < 1, f"The level is {level}, expected a number between 0 and 1 such as 0.05.")
    q = studentized_range.isf(level, methods, np.inf) / math.sqrt(2)
    return float(q * math.sqrt(methods * (methods + 1) / (6 * rows)))


def cliques(ranks: np.ndarray, difference: float) -> list[tuple[int, int]]:
    """(first, last) of every largest run of (K,) rising ranks that lie within ``difference``, two methods at least."""
    ends = np.searchsorted(ranks, ranks + difference, side="left") - 1
    runs = [(first, int(end)) for first, end in enumerate(ends) if end > first]
    return [(first, end) for i, (first, end) in enumerate(runs) if i == 0 or end > runs[i - 1][1]]


def _require_enough(rows: int, methods: int) -> None:
    refuse(rows < LEAST, f"There are {rows} OOD sets or seeds: a comparison by ranks needs at least {LEAST}.")
    refuse(methods < 2, f"There are {methods} methods: a comparison by ranks needs at least two.")
