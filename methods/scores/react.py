"""ReAct (Sun et al., NeurIPS 2021): energy of features whose large activations are cut."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.features.arrays import Features, Readout
from methods.features.rows import Array, blocks
from methods.scores.linear import classifier, energy
from methods.scores.moments import as_float64

RECORD = {
    "title": "ReAct",
    "paper": "Sun et al., ReAct: out-of-distribution detection with rectified activations, NeurIPS 2021",
    "tasks": ["single_label", "multi_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "percentile": {
            "type": "number",
            "minimum": 0,
            "maximum": 100,
            "default": 90,
            "description": "percentile of all ID activations, at which they are cut",
        },
        "fit_on": {
            "enum": ["train", "validation"],
            "default": "train",
            "description": "ID split whose activations count; OpenOOD takes validation",
        },
        "variant": {
            "enum": ["clip", "zero"],
            "default": "clip",
            "description": "cut activations to the threshold, as the paper does, or set them to zero, as EDGE does",
        },
        "threshold": {
            "type": ["number", "null"],
            "default": None,
            "description": "fixed threshold instead of the percentile; EDGE's release zeroes from 1 on",
        },
    },
}

_BITS = 16  # of a float settled in one pass


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier and threshold (1,)."""
    fixed = parameters["threshold"]
    threshold = percentile(train.embedding, parameters["percentile"]) if fixed is None else fixed
    return {**classifier(readout), "threshold": np.array([threshold], dtype=np.float64)}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) lse(W g(h) + b); g(h) = min(h, t), or, variant zero, h where h < t and else 0."""
    h, threshold = as_float64(features.embedding), fitted["threshold"]
    clipped = parameters["variant"] == "clip"
    return energy(np.minimum(h, threshold) if clipped else np.where(h >= threshold, 0, h), fitted)


def percentile(rows: Array, percent: float) -> float:
    """Percentile of all values of (N, E) floats, linear between neighbours; never holds more than a block."""
    position = percent / 100 * (len(rows) * rows.shape[1] - 1)
    below = int(position)
    low = _value_at(rows, below)
    return low if below == position else low + (position - below) * (_value_at(rows, below + 1) - low)


def _value_at(rows: Array, rank: int) -> float:
    """The value at ``rank`` (from 0) of all values in order, found from its leading bits on, 16 in each pass."""
    width = 8 * rows.dtype.itemsize
    prefix, digits = 0, (1 << _BITS) - 1
    for shift in range(width - _BITS, -1, -_BITS):
        counts = np.zeros(1 << _BITS, dtype=np.int64)
        for _, block in blocks(rows):
            keys = _ordered_keys(block) >> np.uint64(shift)
            counts += np.bincount(keys[keys >> np.uint64(_BITS) == prefix] & np.uint64(digits), minlength=1 << _BITS)
        digit = int(np.searchsorted(np.cumsum(counts), rank, side="right"))
        rank -= int(counts[:digit].sum())
        prefix = prefix << _BITS | digit
    return _value_of(prefix, rows.dtype)


def _ordered_keys(x: np.ndarray) -> np.ndarray:
    """uint64 keys in the order of floats: the sign bit flipped, and all bits of negative numbers."""
    bits = np.ascontiguousarray(x).view(f"u{x.itemsize}").ravel()
    sign = bits.dtype.type(1 << (8 * x.itemsize - 1))
    return np.where(bits & sign, ~bits, bits | sign).astype(np.uint64)


def _value_of(key: int, dtype: np.dtype) -> float:
    """The float of a key."""
    sign = 1 << (8 * dtype.itemsize - 1)
    bits = key ^ sign if key & sign else key ^ (2 * sign - 1)
    return float(np.array([bits], dtype=f"u{dtype.itemsize}").view(dtype)[0])
