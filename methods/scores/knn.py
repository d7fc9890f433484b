"""Distance to the k-th nearest training feature on the sphere (Sun et al., ICML 2022)."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features
from methods.metrics.vectors import unit_rows

RECORD = {
    "title": "KNN",
    "paper": "Sun et al., Out-of-distribution detection with deep nearest neighbors, ICML 2022",
    "tasks": ["single_label"],
    "needs": ["embedding", "train_embedding"],
    "required": ["k"],
    "parameters": {"k": {"type": "integer", "minimum": 1, "description": "which nearest neighbour"}},
}

_ROWS = 1024  # queries a matrix product


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -||f - f_(k)||^2 = 2 cos - 2 for normalised embeddings f; exact search.

    Raises:
        ReproError: the training set has fewer than k images.
    """
    k, bank = parameters["k"], unit_rows(fitted["train_embedding"])
    refuse(k > len(bank), f"KNN asks for neighbour {k} of {len(bank)} training images: choose a smaller k.")
    queries = unit_rows(features.embedding)
    parts = np.array_split(queries, -(-len(queries) // _ROWS))
    nearest = [np.partition(part @ bank.T, len(bank) - k, axis=1)[:, len(bank) - k] for part in parts]
    return 2 * np.concatenate(nearest).astype(np.float64) - 2
