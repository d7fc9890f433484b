"""Vectors on the sphere."""

import numpy as np


def unit_rows(x: np.ndarray) -> np.ndarray:
    """Rows of (N, D) scaled to length 1; a zero row stays zero."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return x / np.where(length > 0, length, 1)
