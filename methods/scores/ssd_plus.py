"""SSD+ (Sehwag et al., ICLR 2021) on supervised contrastive features, in the three definitions that are in use."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.scores.moments import Moments, moments, normalised, whitening

RECORD = {
    "title": "SSD+",
    "paper": "Sehwag et al., SSD: a unified framework for self-supervised outlier detection, ICLR 2021",
    "tasks": ["single_label"],
    "needs": ["embedding"],
    "parameters": {
        "variant": {
            "enum": ["single", "palm", "class"],
            "default": "single",
            "description": "one Gaussian; PALM's release, which subtracts the mean a second time; one for each class",
        },
    },
}

_LEAST_SPREAD = 1e-10  # added to each deviation, as the releases do
_LEAST_VARIANCE = 1e-12  # of standardised features of a class; below it there is only rounding


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean and deviation (E,) of unit rows; centres (G, E) and whitenings (G, E, R) of the standardised rows.

    There is one Gaussian (G = 1), or one for each class; missing directions of a whitening are columns of zeros.

    Raises:
        ReproError: nothing varies, or, one Gaussian a class, a class has no two different images.
    """
    known = moments(train.embedding, train.labels, normalised)
    scale = {"mean": known.mean, "deviation": np.sqrt(_variance(known)) + _LEAST_SPREAD}
    if parameters["variant"] == "class":
        centres = (known.means - known.mean) / scale["deviation"]
        return {**scale, "centres": centres, "whitenings": _class_whitenings(train, scale, known.classes)}
    covariance = known.scatter / known.counts.sum() / np.outer(scale["deviation"], scale["deviation"])
    centre = known.mean if parameters["variant"] == "palm" else np.zeros_like(known.mean)
    return {**scale, "centres": centre[None], "whitenings": whitening(covariance)[None]}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) max_g -(x - m_g)' pinv(Sigma_g) (x - m_g), x = (f - mean) / deviation of unit rows f; Sigma_g with 1/n.

    m_g is 0 for one Gaussian, the mean of the unit rows in PALM's release, else the class mean of x.
    """
    x = _standardised(features.embedding, fitted)
    gaussians = zip(fitted["centres"], fitted["whitenings"], strict=True)
    return np.max([-(((x - centre) @ w) ** 2).sum(axis=1) for centre, w in gaussians], axis=0)


def _standardised(rows: np.ndarray, scale: Mapping[str, np.ndarray]) -> np.ndarray:
    return (normalised(rows) - scale["mean"]) / scale["deviation"]


def _variance(known: Moments) -> np.ndarray:
    return np.maximum(np.diag(known.scatter), 0) / known.counts.sum()


def _class_whitenings(train: Features, scale: Mapping[str, np.ndarray], classes: np.ndarray) -> np.ndarray:
    """(C, E, R) of each class's own covariance; the rows of one class are in memory at a time."""
    found = []
    for c in classes:
        x = _standardised(train.embedding[np.flatnonzero(train.labels == c)], scale)
        same = f"The ID training images of class {c} ({len(x)}) all have the same features: SSD+ with one Gaussian a "
        refuse(x.var(axis=0).max() < _LEAST_VARIANCE, f"{same}class is undefined; use the variant single.")
        found.append(whitening(np.cov(x, rowvar=False, bias=True).reshape(x.shape[1], -1)))
    most = max(w.shape[1] for w in found)
    return np.stack([np.pad(w, ((0, 0), (0, most - w.shape[1]))) for w in found])
