"""ASH (Djurisic et al., ICLR 2023): energy of features of which only the largest stay, on pooled features."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.scores.linear import classifier, energy, largest, share_kept
from methods.scores.moments import as_float64

RECORD = {
    "title": "ASH",
    "paper": "Djurisic et al., Extremely simple activation shaping for out-of-distribution detection, ICLR 2023",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "variant": {
            "enum": ["s", "p", "b"],
            "default": "s",
            "description": "what is done to the features that stay: scaled, left as they are, or set to one value",
        },
        "percentile": {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 100,
            "default": 90,
            "description": "percentile of an image's features, below which they are set to zero",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """The classifier alone: ASH learns nothing."""
    return classifier(readout)


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) lse(W g(h) + b) of features h (N, E), K the k largest of a row, r = sum_e h_e / sum_K h_e.

    On K, g(h) is h exp(r) for ASH-S, h for ASH-P and sum_e h_e / k for ASH-B; elsewhere it is 0. A row of zeros stays.

    Raises:
        ReproError: a feature is negative and the variant is s or b, which need sums that cannot cancel.
    """
    h = as_float64(features.embedding)
    variant = parameters["variant"]
    title = f"ASH-{variant.upper()}"
    kept = largest(h, parameters["percentile"], title)
    if variant == "p":
        return energy(np.where(kept, h, 0), fitted)
    ratio = share_kept(h, kept, title)
    shaped = h * np.exp(ratio) if variant == "s" else h.sum(axis=1, keepdims=True) / kept.sum(axis=1, keepdims=True)
    return energy(np.where(kept, shaped, 0), fitted)
