"""Map of embeddings by t-SNE or UMAP: ID test images by class, OOD images as crosses, one panel a method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.features.store import read_features
from methods.metrics.vectors import unit_rows
from methods.reporting.figures.maps import bare, draw_set, evenly, flat, shades
from methods.reporting.figures.sources import Source, methods_of, of_method, ood_order, set_look
from methods.reporting.style import grid, legend_below

RECORD = {
    "title": "Embedding map",
    "needs": "features",
    "parameters": {
        "points": {"type": "integer", "minimum": 10, "default": 250, "description": "images a set at most"},
        "projection": {
            "enum": ["tsne", "umap"],
            "default": "tsne",
            "description": "t-SNE, or UMAP, which needs the package umap-learn",
        },
        "perplexity": {
            "type": "number",
            "exclusiveMinimum": 1,
            "default": 30.0,
            "description": "perplexity of t-SNE: about how many neighbours count",
        },
        "neighbours": {
            "type": "integer",
            "minimum": 2,
            "default": 15,
            "description": "neighbours of an image that UMAP looks at",
        },
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Normalised embeddings; sets with more images than asked for are thinned evenly."""
    names, order = methods_of(sources), ood_order(sources)
    figure, axes = grid(len(names), settings, height=2.2, narrow=2)
    for axis, (method, label) in zip(axes, names.items(), strict=True):
        own = of_method(sources, method)
        parts = [_sample(source, settings["points"]) for source in own]
        places = flat(np.concatenate([embedding for embedding, _ in parts]), dict(settings))
        split = np.split(places, np.cumsum([len(e) for e, _ in parts])[:-1])
        for source, place, (_, labels) in zip(own, split, parts, strict=True):
            if source.role == "id":
                axis.scatter(place[:, 0], place[:, 1], s=6, c=shades(labels), linewidths=0, label=source.title)
            else:
                colour = set_look(settings, source.dataset).colour
                draw_set(axis, place, colour, order.index(source.dataset), source.title)
        bare(axis, label)
    legend_below(figure, axes[0])
    return figure


def _sample(source: Source, points: int) -> tuple[np.ndarray, np.ndarray]:
    features, _ = read_features(source.path, arrays=())
    chosen = evenly(len(features.embedding), points)
    return unit_rows(features.embedding[chosen]), features.labels[chosen]
