"""Map of projections of ID test images and of the prototypes that a method learnt, one panel a method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.errors import refuse
from methods.features.arrays import Readout
from methods.features.store import read_features, read_readout
from methods.metrics.vectors import unit_rows
from methods.provenance import require_same
from methods.reporting.figures.maps import bare, draw_set, evenly, flat
from methods.reporting.figures.sources import Source, methods_of, of_method, ood_order, set_look
from methods.reporting.style import QUIET, grid, legend_below, palette

RECORD = {
    "title": "Prototype map",
    "needs": "features",
    "also": ["readout"],
    "tasks": ["single_label"],
    "gives": ["prototypes"],
    "sets": "named",
    "parameters": {
        "points": {"type": "integer", "minimum": 10, "default": 500, "description": "images a set at most"},
        "classes": {
            "type": "array",
            "minItems": 1,
            "maxItems": 8,
            "uniqueItems": True,
            "items": {"type": "string", "description": "a class of the ID set"},
            "description": "classes in colour, the others are grey; the first eight by default",
        },
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

_DOT: dict[str, Any] = {"s": 8, "linewidths": 0}
_STAR: dict[str, Any] = {"s": 45, "marker": "*", "edgecolors": "black", "linewidths": 0.5, "zorder": 3}

Group = tuple[np.ndarray, np.ndarray]  # places in the plane, classes


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Images are dots, prototypes stars, in the space in which prototypes live: unit rows of the projector."""
    names = methods_of(sources)
    figure, axes = grid(len(names), settings, height=2.4)
    for axis, (method, label) in zip(axes, names.items(), strict=True):
        _panel(axis, of_method(sources, method), settings)
        bare(axis, label)
    legend_below(figure, axes[0])
    return figure


def _panel(axis: Any, sources: Sequence[Source], settings: Mapping[str, Any]) -> None:
    sets, readout = [source for source in sources if source.role], _readout(sources)
    parts = [_sample(source, settings["points"]) for source in sets]
    prototypes, classes = readout.prototypes, readout.prototype_classes
    assert prototypes is not None
    assert classes is not None
    places = flat(np.concatenate([*(rows for rows, _ in parts), unit_rows(prototypes)]), dict(settings))
    *split, stars = np.split(places, np.cumsum([len(rows) for rows, _ in parts]))
    for source, place in zip(sets[1:], split[1:], strict=True):
        number = ood_order(sets).index(source.dataset)
        draw_set(axis, place, set_look(settings, source.dataset).colour, number, source.title)
    _classes(axis, settings, (split[0], parts[0][1]), (stars, classes))


def _classes(axis: Any, settings: Mapping[str, Any], images: Group, prototypes: Group) -> None:
    """Images, and above them prototypes, in the colour of their class; classes that are not shown are grey."""
    shown = settings["shown_classes"]
    colours = dict(zip((index for index, _ in shown), palette(settings), strict=False))
    for (places, classes), look, named in ((images, _DOT, True), (prototypes, _STAR, False)):
        other = ~np.isin(classes, list(colours))
        words = "other classes" if named and other.any() else None
        axis.scatter(*places[other].T, color=QUIET, label=words, **look)
        for index, name in shown:
            own = places[classes == index]
            axis.scatter(*own.T, color=colours[index], label=name if named else None, **look)
    axis.scatter([], [], color="white", label="prototypes", **_STAR)


def _readout(sources: Sequence[Source]) -> Readout:
    """Prototypes of the model that made the features.

    Raises:
        ReproError: they are of another model, or there are none.
    """
    file = next(source.path for source in sources if source.needs == "readout")
    features = next(source.path for source in sources if source.role == "id")
    readout, made = read_readout(file)
    require_same(file, features, "model", (made, read_features(features, arrays=())[1]))
    refuse(readout.prototypes is None, f"{file} holds no prototypes: leave the method out of the figure.")
    return readout


def _sample(source: Source, points: int) -> tuple[np.ndarray, np.ndarray]:
    features, _ = read_features(source.path, arrays=("projection",))
    refuse(features.projection is None, f"{source.path} holds no projections: leave the method out of the figure.")
    assert features.projection is not None
    chosen = evenly(len(features.projection), points)
    return unit_rows(features.projection[chosen]), features.labels[chosen]
