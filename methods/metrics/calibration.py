"""Whether confidence is worth what it says."""

import numpy as np
from scipy.special import softmax

from methods.errors import refuse


def expected_calibration_error(logits: np.ndarray, labels: np.ndarray, bins: int = 15) -> float:
    """ECE of a classifier (Guo et al., ICML 2017): confidence is the maximum softmax probability.

    Args:
        logits: (N, C).
        labels: (N,) classes from 0.
        bins: of equal width between 0 and 1.

    Raises:
        ReproError: there is no image, unequal numbers, a logit that is not finite, or no bin.
    """
    logits = np.asarray(logits, dtype=np.float64)
    bad = int((~np.isfinite(logits)).any(axis=1).sum())
    refuse(bad > 0, f"Logits of {bad} of {len(logits)} images are NaN or infinite: extract the features again.")
    return calibration_error(softmax(logits, axis=1).max(axis=1), logits.argmax(axis=1) == labels, bins)


def calibration_error(confidence: np.ndarray, right: np.ndarray, bins: int = 15) -> float:
    """Sum over bins of their share of images times |accuracy - mean confidence|.

    Args:
        confidence: (N,) in [0, 1].
        right: (N,) whether the prediction is.
        bins: of equal width; a bin holds its upper edge, the first also 0.
    """
    refuse(bins < 1, f"{bins} bins are asked for: calibration needs at least one.")
    refuse(len(confidence) == 0, "There are no predictions: calibration needs at least one image.")
    refuse(len(confidence) != len(right), f"There are {len(confidence)} confidences but {len(right)} predictions.")
    within = (confidence >= 0) & (confidence <= 1)
    refuse(not within.all(), f"{int((~within).sum())} of {len(within)} confidences are NaN or not between 0 and 1.")
    edges = np.linspace(0, 1, bins + 1)
    place = np.maximum(np.searchsorted(edges, confidence, side="left") - 1, 0)
    gaps = np.bincount(place, weights=np.asarray(right, dtype=np.float64) - confidence)
    return float(np.abs(gaps).sum() / len(confidence))
