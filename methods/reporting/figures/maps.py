"""What maps of features in the plane share: t-SNE or UMAP, thinning, and how classes and sets are drawn."""

from typing import Any

import numpy as np
from matplotlib import colormaps
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

# Markers of OOD sets by their place, open so that points below stay visible
_OPEN_MARKERS = ("x", "+", "1", "2", "3", "4")


def evenly(count: int, points: int) -> np.ndarray:
    """Indices of at most ``points`` of ``count`` images, evenly spaced."""
    return np.unique(np.linspace(0, count - 1, points).round().astype(int))


def flat(vectors: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    """(N, 2) places of (N, D) unit rows, by what the settings ask for; the same every time on one machine."""
    with threadpool_limits(1):  # sums in one order
        return _umap(vectors, settings["neighbours"]) if settings["projection"] == "umap" else _tsne(vectors, settings)


def _tsne(vectors: np.ndarray, settings: dict[str, Any]) -> np.ndarray:
    perplexity = min(settings["perplexity"], (len(vectors) - 1) / 3)
    return TSNE(init="pca", perplexity=perplexity, random_state=0, n_jobs=1).fit_transform(vectors)


def _umap(vectors: np.ndarray, neighbours: int) -> np.ndarray:
    from umap import UMAP  # type: ignore[import-not-found]  # optional, and slow to import

    count = min(neighbours, len(vectors) - 1)
    return UMAP(n_neighbors=count, random_state=0, n_jobs=1).fit_transform(vectors)


def first_labels(labels: np.ndarray) -> np.ndarray:
    """(N,) class of each image, the first where there are several."""
    return labels.argmax(axis=1) if labels.ndim == 2 else labels


def shades(labels: np.ndarray) -> np.ndarray:
    """Greys by class, so that colours stand out."""
    single = first_labels(labels)
    return colormaps["Greys"](0.35 + 0.6 * single / max(1, single.max()))


def draw_set(axis: Any, places: np.ndarray, colour: str, number: int, title: str) -> None:
    """An OOD set as crosses and the like; ``number`` is its place among the sets."""
    marker = _OPEN_MARKERS[number % len(_OPEN_MARKERS)]
    axis.scatter(places[:, 0], places[:, 1], s=11, marker=marker, linewidths=0.7, color=colour, label=title)


def bare(axis: Any, title: str) -> None:
    """A map has no axes: distances in it have no unit."""
    axis.set(xticks=[], yticks=[], title=title)
    axis.spines[:].set_visible(False)
