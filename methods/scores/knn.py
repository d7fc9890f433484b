"""Distance to the k-th nearest training feature on the sphere (Sun et al., ICML 2022)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features
from methods.features.rows import Array, blocks
from methods.metrics.vectors import unit_rows

RECORD = {
    "title": "KNN",
    "paper": "Sun et al., Out-of-distribution detection with deep nearest neighbors, ICML 2022",
    "tasks": ["single_label"],
    "needs": ["embedding", "train_embedding"],
    "required": ["k"],
    "accelerated": True,  # searches on a GPU where there is one
    "sweep": "k",  # instances that differ in k alone are scored by one search
    "parameters": {
        "k": {"type": "integer", "minimum": 1, "description": "the distance to the k-th nearest training image counts"}
    },
}

_QUERIES = 1024  # rows a matrix product
_BANK = 16384  # training features held in memory at a time
_SAMPLE = 16  # every 16th product tells about where the largest k begin


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -||f - f_(k)||^2 = 2 cos - 2 for normalised embeddings f; exact search.

    Raises:
        ReproError: the training set has fewer than k images.
    """
    return sweep(features, fitted, parameters, [parameters["k"]])[parameters["k"]]


def sweep(
    features: Features, fitted: Mapping[str, Any], parameters: Mapping[str, Any], values: Sequence[int]
) -> dict[int, np.ndarray]:
    """Scores for every k of ``values`` from one search."""
    bank, most = fitted["train_embedding"], max(values)
    refuse(most > len(bank), f"KNN asks for neighbour {most} of {len(bank)} training images: choose a smaller k.")
    search = largest_cosines
    if fitted.get("accelerate"):
        from methods.scores import knn_gpu  # imports torch

        search = knn_gpu.largest_cosines if knn_gpu.available() else search
    cosines = search(unit_rows(features.embedding), bank, most)
    cosines.sort(axis=1)
    return {k: 2 * cosines[:, -k].astype(np.float64) - 2 for k in values}


def largest_cosines(queries: np.ndarray, bank: Array, count: int) -> np.ndarray:
    """(N, count) largest cosines of each unit row of ``queries`` with the rows of ``bank``, in no order.

    The bank is read once, a piece at a time; of each row of products only what exceeds the smallest one kept so far is
    looked at again.
    """
    kept = np.full((len(queries), count), -np.inf, dtype=queries.dtype)
    for _, rows in blocks(bank, _BANK):
        piece = unit_rows(rows.astype(queries.dtype, copy=False)).T
        for start in range(0, len(queries), _QUERIES):
            _merge(kept[start : start + _QUERIES], queries[start : start + _QUERIES] @ piece)
    return kept


def _merge(kept: np.ndarray, products: np.ndarray) -> None:
    """Put the largest of ``kept`` (n, count) and ``products`` (n, m) into ``kept``."""
    count = kept.shape[1]
    for row, floor in enumerate(_floors(kept, products)):
        own = products[row]
        candidates = own[own > floor]
        if np.isneginf(kept[row, 0]):  # nothing kept yet: the floor was a guess
            if len(candidates) < count:
                candidates = own
            pool = np.concatenate([candidates, kept[row][: max(count - len(candidates), 0)]])
        else:
            pool = np.concatenate([candidates, kept[row]])
        kept[row] = np.partition(pool, len(pool) - count)[len(pool) - count :] if len(pool) > count else pool


def _floors(kept: np.ndarray, products: np.ndarray) -> np.ndarray:
    """(n,) values below which nothing needs to be looked at: the smallest kept or, at first, a guess from a sample."""
    count, width = kept.shape[1], products.shape[1]
    if not np.isneginf(kept[0, 0]):
        return kept.min(axis=1)
    sample = products[:, ::_SAMPLE]
    place = sample.shape[1] - 1 - min(2 * count * sample.shape[1] // width + 4, sample.shape[1] - 1)
    return np.partition(sample, place, axis=1)[:, place]
