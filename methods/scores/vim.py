"""Virtual-logit matching (Wang et al., CVPR 2022): energy less the part of a feature outside the principal space."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.features.rows import Array, blocks
from methods.scores.linear import classifier, energy, logits
from methods.scores.moments import moments

RECORD = {
    "title": "ViM",
    "paper": "Wang et al., ViM: out-of-distribution with virtual-logit matching, CVPR 2022",
    "tasks": ["single_label", "multi_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "dimension": {
            "type": ["integer", "null"],
            "minimum": 1,
            "default": None,
            "description": "dimension of the principal space; null: 1000 for 2048 features and more, 512 from 768 on, "
            "else half",
        },
    },
}

_LEAST_RESIDUAL = 1e-6  # of the length of features, which are stored as float32; below it there is only rounding


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier, origin o (E,), basis of the null space (E, E - d) and alpha (1,).

    alpha = mean_i max_c z_c(h_i) / mean_i |N'(h_i - o)| over the training features.
    """
    linear = classifier(readout)
    space = null_space(train.embedding, linear, parameters["dimension"], "ViM")
    sums = np.zeros(2)
    for _, h in blocks(train.embedding):
        sums += logits(h, linear).max(axis=1).sum(), residual(h, space).sum()
    return {**linear, **space, "alpha": sums[:1] / sums[1]}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) lse(z) - alpha |N'(h - o)|, logits z = W h + b."""
    return energy(features.embedding, fitted) - fitted["alpha"] * residual(features.embedding, fitted)


def null_space(
    rows: Array, linear: Mapping[str, np.ndarray], dimension: int | None, title: str
) -> dict[str, np.ndarray]:
    """Origin o = -pinv(W) b (E,), and the eigenvectors of sum_i (h_i - o)(h_i - o)' after the first d (E, E - d).

    Raises:
        ReproError: d leaves no direction, or nothing of the training features lies in those that are left.
    """
    width = rows.shape[1]
    d = usual_dimension(width) if dimension is None else dimension
    refuse(not 0 < d < width, f"{title} has a principal space of {d} of {width} features: choose 1 to {width - 1}.")
    origin = origin_of(linear)
    known = moments(rows, np.zeros(len(rows), dtype=np.int64))
    apart = known.mean - origin
    spread, axes = np.linalg.eigh(known.scatter + len(rows) * np.outer(apart, apart))
    inside = f"The ID training features have no part outside the {d} principal directions of {title}"
    left = spread[: width - d].sum() <= _LEAST_RESIDUAL**2 * spread.sum()
    refuse(left, f"{inside}: choose a smaller `dimension`, or see why the features vary so little.")
    return {"origin": origin, "null": axes[:, : width - d]}


def origin_of(linear: Mapping[str, np.ndarray]) -> np.ndarray:
    """-pinv(W) b (E,). Directions that W has by rounding alone do not count: rows of a softmax may add up to zero."""
    weight = linear["weight"]
    return -np.linalg.pinv(weight, rtol=max(weight.shape) * np.finfo(weight.dtype).eps) @ linear["bias"]


def residual(h: np.ndarray, space: Mapping[str, np.ndarray]) -> np.ndarray:
    """(N,) |N'(h - o)| of features h (N, E)."""
    return np.linalg.norm((h - space["origin"]) @ space["null"], axis=1)


def usual_dimension(width: int) -> int:
    if width >= 2048:
        return 1000
    return 512 if width >= 768 else width // 2
