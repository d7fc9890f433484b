"""t-SNE map of embeddings: ID test images by class, OOD images as crosses, one panel a method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.figure import Figure
from sklearn.manifold import TSNE
from threadpoolctl import threadpool_limits

from methods.features.store import read_features
from methods.metrics.vectors import unit_rows
from methods.reporting.figures.sources import Source, methods_of, of_method
from methods.reporting.style import colour_of, panels

RECORD = {
    "title": "Embedding map",
    "needs": "features",
    "parameters": {
        "points": {"type": "integer", "minimum": 10, "default": 250, "description": "images a set at most"},
        "perplexity": {"type": "number", "exclusiveMinimum": 1, "default": 30.0, "description": "of t-SNE"},
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Normalised embeddings; sets with more images than asked for are thinned evenly."""
    names = methods_of(sources)
    figure, axes = panels(1, len(names), height=2.7)
    for axis, (method, label) in zip(axes[0], names.items(), strict=True):
        own = of_method(sources, method)
        parts = [_sample(source, settings["points"]) for source in own]
        places = _map(np.concatenate([embedding for embedding, _ in parts]), settings["perplexity"])
        split = np.split(places, np.cumsum([len(e) for e, _ in parts])[:-1])
        for source, place, (_, labels) in zip(own, split, parts, strict=True):
            x, y = place[:, 0], place[:, 1]
            if source.role == "id":
                axis.scatter(x, y, s=6, c=_shades(labels), linewidths=0, label=source.title)
            else:
                colour = colour_of(source.dataset, settings["set_order"])
                axis.scatter(x, y, s=8, marker="x", linewidths=0.6, color=colour, label=source.title)
        axis.set(xticks=[], yticks=[], title=label)
    axes[0][0].legend(loc="best", markerscale=1.5)
    return figure


def _sample(source: Source, points: int) -> tuple[np.ndarray, np.ndarray]:
    features, _ = read_features(source.path, arrays=())
    chosen = np.unique(np.linspace(0, len(features.embedding) - 1, points).round().astype(int))
    return unit_rows(features.embedding[chosen]), features.labels[chosen]


def _map(embedding: np.ndarray, perplexity: float) -> np.ndarray:
    with threadpool_limits(1):  # sums in one order, so that the picture is the same every time
        perplexity = min(perplexity, (len(embedding) - 1) / 3)
        return TSNE(init="pca", perplexity=perplexity, random_state=0, n_jobs=1).fit_transform(embedding)


def _shades(labels: np.ndarray) -> np.ndarray:
    """Grays by class (by the first label where there are several), so that OOD colours stand out."""
    single = labels.argmax(axis=1) if labels.ndim == 2 else labels
    return colormaps["Greys"](0.35 + 0.6 * single / max(1, single.max()))
