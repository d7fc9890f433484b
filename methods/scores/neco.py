"""NECO (Ben Ammar et al., ICLR 2024): share of a feature's length in the principal space, times the largest logit."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.scores.moments import as_float64, moments

RECORD = {
    "title": "NECO",
    "paper": "Ben Ammar et al., NECO: neural collapse based out-of-distribution detection, ICLR 2024",
    "tasks": ["single_label"],
    "needs": ["embedding", "logits"],
    "required": ["dimension"],
    "parameters": {
        "dimension": {
            "type": "integer",
            "minimum": 1,
            "description": "d, dimension of the principal space; tuned in the paper",
        },
        "times_maxlogit": {
            "type": "boolean",
            "default": True,
            "description": "multiply by the largest logit; the authors' code does not on a ResNet",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Mean and deviation (E,) of the training features, and the first d principal axes (E, d) of standardised ones.

    Raises:
        ReproError: d is larger than the number of features.
    """
    d, width = parameters["dimension"], train.embedding.shape[1]
    refuse(d > width, f"NECO asks for {d} principal axes of {width} features: choose at most {width}.")
    known = moments(train.embedding, np.zeros(len(train.embedding), dtype=np.int64))
    count = len(train.embedding)
    deviation = np.sqrt(np.maximum(np.diag(known.scatter), 0) / count)
    varies = deviation > count * np.finfo(np.float64).eps * np.abs(known.mean)
    deviation = np.where(varies, deviation, 1)
    _, axes = np.linalg.eigh(known.scatter / np.outer(deviation, deviation))
    return {"mean": known.mean, "deviation": deviation, "axes": axes[:, width - d :]}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) |P'x| / |x| [max_c z_c], x the standardised feature and P the axes; the ratio is 0 where x is 0."""
    x = (as_float64(features.embedding) - fitted["mean"]) / fitted["deviation"]
    length = np.linalg.norm(x, axis=1)
    ratio = np.linalg.norm(x @ fitted["axes"], axis=1) / np.where(length > 0, length, 1)
    return ratio * np.asarray(features.logits, dtype=np.float64).max(axis=1) if parameters["times_maxlogit"] else ratio
