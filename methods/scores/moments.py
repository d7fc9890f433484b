"""Means and covariances of training features in float64, one pass over blocks of rows, never all rows in memory."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import qr
from scipy.linalg.blas import dgemm, dsyrk, dtrmm
from scipy.sparse import csr_array

from methods.errors import refuse
from methods.features.rows import Array, blocks
from methods.metrics.vectors import unit_rows

_SCORED = 1024  # rows whitened at a time

Transform = Callable[[np.ndarray], np.ndarray]


def as_float64(rows: np.ndarray) -> np.ndarray:
    """The rows as they are."""
    return np.asarray(rows, dtype=np.float64)


def normalised(rows: np.ndarray) -> np.ndarray:
    """Rows of length 1, float64."""
    return unit_rows(as_float64(rows))


def chosen_transform(parameters: Mapping[str, Any]) -> Transform:
    """Unit rows or rows as they are, by the parameter ``normalise``."""
    return normalised if parameters["normalise"] else as_float64


def centred(parameters: Mapping[str, Any], mean: np.ndarray) -> Transform:
    """The chosen transform, less the ``mean`` (D,) of transformed training rows."""
    transform = chosen_transform(parameters)
    return lambda rows: transform(rows) - mean


@dataclass(frozen=True)
class Moments:
    """Of N rows of D values in C classes; every class has at least one row.

    Attributes:
        counts: (C,) rows of each class.
        classes: (C,) their labels, ascending.
        means: (C, D) class means.
        mean: (D,) mean of all rows.
        scatter: (D, D) sum over rows of (x - mean)(x - mean)'.
    """

    counts: np.ndarray
    classes: np.ndarray
    means: np.ndarray
    mean: np.ndarray
    scatter: np.ndarray

    @property
    def total(self) -> np.ndarray:
        """(D, D) unbiased covariance of all rows, the spread between classes included."""
        return self.scatter / (self.counts.sum() - 1)

    @property
    def within(self) -> np.ndarray:
        """(D, D) tied covariance of rows about their own class mean, divided by N."""
        apart = (self.means - self.mean) * np.sqrt(self.counts)[:, None]
        return (self.scatter - apart.T @ apart) / self.counts.sum()


def moments(rows: Array, labels: np.ndarray, transform: Transform = as_float64) -> Moments:
    """Moments of ``transform(rows)``; the first block's mean is subtracted on the way, against cancellation.

    Args:
        rows: (N, D).
        labels: (N,) classes.
        transform: applied to each block, to float64.

    Raises:
        ReproError: fewer than two rows.
    """
    refuse(len(rows) < 2, f"There are {len(rows)} ID training features: a covariance needs at least two.")
    classes, index = np.unique(labels, return_inverse=True)
    counts = np.bincount(index)
    first = transform(rows[: min(len(rows), 8192)])
    shift, sums = first.mean(axis=0), np.zeros((len(classes), first.shape[1]))
    products = np.zeros((first.shape[1], first.shape[1]), order="F")
    for part, block in blocks(rows):
        x = transform(block) - shift
        products = dsyrk(1.0, x.T, beta=1.0, c=products, overwrite_c=1)
        sums += class_sums(x, index[part], len(classes))
    mean = sums.sum(axis=0) / len(rows)
    scatter = np.triu(products) + np.triu(products, 1).T - len(rows) * np.outer(mean, mean)
    return Moments(counts, classes, sums / counts[:, None] + shift, mean + shift, scatter)


def class_sums(x: np.ndarray, index: np.ndarray, classes: int) -> np.ndarray:
    """(C, D) sums of the rows x (N, D) of each class, index (N,) in 0..C-1."""
    members = csr_array((np.ones(len(index)), (index, np.arange(len(index)))), shape=(classes, len(index)))
    return members @ x


def whitening(covariance: np.ndarray) -> np.ndarray:
    """(D, R) W with W W' = pseudo-inverse of a (D, D) covariance, on the directions that are above rounding.

    W is zero above its diagonal, so that whitening costs half a matrix product where R = D.

    Raises:
        ReproError: no direction varies.
    """
    variance, axes = np.linalg.eigh(covariance)
    kept = variance > max(variance.max(), 0) * len(variance) * np.finfo(np.float64).eps
    refuse(not kept.any(), "The ID training features are all equal: their covariance has no inverse.")
    (upper,) = qr((axes[:, kept] / np.sqrt(variance[kept])).T, mode="r")
    return np.ascontiguousarray(upper.T)


def nearest_squared(rows: Array, prepare: Transform, axes: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """(N,) squared distance of each whitened row to the nearest whitened centre.

    Rows are taken block by block, so that what is made of them on the way stays in the processor's cache. All products
    are scipy's: its BLAS and that of numpy have threads of their own, which get in each other's way.

    Args:
        rows: (N, D).
        prepare: applied to each block, to float64.
        axes: (D, R) from :func:`whitening`.
        centres: (C, R), whitened.
    """
    towards, lengths = dgemm(1.0, centres, axes, trans_b=1), (centres**2).sum(axis=1)
    found = np.empty(len(rows))
    for part, block in blocks(rows, _SCORED):
        x = prepare(block)
        products = dgemm(-2.0, towards, x.T).T
        products += lengths
        found[part] = products.min(axis=1) + squared_lengths(x, axes)
    return np.maximum(found, 0)


def squared_lengths(x: np.ndarray, axes: np.ndarray) -> np.ndarray:
    """(N,) squared lengths of the whitened rows x W of x (N, D), W from :func:`whitening`."""
    square = axes.shape[0] == axes.shape[1]
    white = dtrmm(1.0, axes.T, x.T).T if square else dgemm(1.0, axes.T, x.T).T
    return np.einsum("ij,ij->i", white, white)
