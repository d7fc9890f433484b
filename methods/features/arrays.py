"""What a network says about images, as plain arrays: what scores and metrics work on."""

from dataclasses import dataclass

import numpy as np

from methods.errors import ReproError

ARRAYS = ("embedding", "pooled", "logits", "projection")

# Arrays that a detector learnt, by score instance and name.
Fitted = dict[str, dict[str, np.ndarray]]


@dataclass(frozen=True)
class Features:
    """Features of N images; absent parts are None. Read lazily, arrays are :class:`methods.features.rows.Rows`.

    Attributes:
        embedding: (N, E) un-normalised input of the classifier, the backbone's output where there is none.
        labels: (N,) int64 or (N, C) uint8.
        sample_ids: N names.
        pooled: (N, F) output of the backbone where it is not the embedding.
        logits: (N, C).
        projection: (N, D) unit rows.
    """

    embedding: np.ndarray
    labels: np.ndarray
    sample_ids: tuple[str, ...]
    pooled: np.ndarray | None = None
    logits: np.ndarray | None = None
    projection: np.ndarray | None = None


@dataclass(frozen=True)
class Readout:
    """What sits on top of the embedding: classifier (C, E) and (C,), prototypes (K, D) and their classes (K,)."""

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    prototypes: np.ndarray | None = None
    prototype_classes: np.ndarray | None = None


def check_finite(array: np.ndarray, what: str, ids: tuple[str, ...]) -> None:
    """Refuse NaN and infinity, naming how many images have them and the first."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = ids[int(np.argmax(bad))]
        raise ReproError(f"{what} are NaN or infinite for {int(bad.sum())} of {len(bad)} images (first: {first}).")
