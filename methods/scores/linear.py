"""What feature scores share: the linear classifier read again, the largest features, sums over training rows."""

from collections.abc import Mapping

import numpy as np
from scipy.special import logsumexp

from methods.errors import refuse
from methods.features.arrays import Readout
from methods.features.rows import Array, blocks
from methods.scores.moments import as_float64


def classifier(readout: Readout) -> dict[str, np.ndarray]:
    """Weight (C, E) and bias (C,) of the linear classifier, float64, for a detector to keep."""
    return {name: np.asarray(getattr(readout, name), dtype=np.float64) for name in ("weight", "bias")}


def logits(h: np.ndarray, fitted: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N, C) z = h W' + b of features h (N, E) in float64."""
    return as_float64(h) @ fitted["weight"].T + fitted["bias"]


def energy(h: np.ndarray, fitted: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) log sum_c exp z_c of the logits of features h (N, E)."""
    return logsumexp(logits(h, fitted), axis=1)


def largest(h: np.ndarray, percentile: float, title: str) -> np.ndarray:
    """(N, E) truth of the E - round(E percentile / 100) largest features of each row; of equal ones the first.

    Raises:
        ReproError: none is left.
    """
    width = h.shape[1]
    kept = width - round(width * percentile / 100)
    refuse(kept < 1, f"{title} keeps none of {width} features with the percentile {percentile:g}: choose a lower one.")
    least = np.partition(h, width - kept, axis=1)[:, width - kept, None]
    above, equal = ~(h <= least), h == least  # NaN stays, to be seen
    return above | (equal & (np.cumsum(equal, axis=1) <= kept - above.sum(axis=1, keepdims=True)))


def share_kept(h: np.ndarray, mask: np.ndarray, title: str) -> np.ndarray:
    """(N, 1) sum of all features over the sum of those in ``mask``; 1 for a row of zeros.

    Raises:
        ReproError: a feature is negative: the sums could cancel, and their ratio would mean nothing.
    """
    least = h.min()
    refuse(least < 0, f"{title} needs features that are nowhere negative (after a ReLU), found {least:.3g}.")
    kept = np.where(mask, h, 0).sum(axis=1, keepdims=True)
    return np.where(kept > 0, h.sum(axis=1, keepdims=True) / np.where(kept > 0, kept, 1), 1)


def mean_row(rows: Array) -> np.ndarray:
    """(E,) mean of (N, E) rows, float64."""
    return sum(as_float64(block).sum(axis=0) for _, block in blocks(rows)) / len(rows)
