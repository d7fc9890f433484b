"""Histograms of scores: ID test images against every OOD set, one panel a method and score."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from methods.features.score_store import read_scores
from methods.reporting.figures.sources import (
    ID_LOOK,
    Source,
    clipped,
    common_bins,
    methods_of,
    of_method,
    outline,
    panel_pairs,
    set_look,
)
from methods.reporting.style import grid, legend_below

RECORD = {"title": "Score histograms", "needs": "scores", "parameters": {}}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Densities share their bins within a panel; values beyond the middle 99.8 % fall into the last bins."""
    pairs, labels = panel_pairs(settings, sources), dict(settings["scores"])
    scores = {source.path: read_scores(source.path)[0] for source in sources}
    figure, axes = grid(len(pairs), settings, height=1.7)
    for axis, (method, score) in zip(axes, pairs, strict=True):
        own = of_method(sources, method)
        values = {source.dataset: scores[source.path][score] for source in own}
        bins = common_bins(list(values.values()))
        for source in own:
            look = ID_LOOK if source.role == "id" else outline(set_look(settings, source.dataset))
            axis.hist(clipped(values[source.dataset], bins), bins=bins, density=True, label=source.title, **look)
        axis.set(title=methods_of(sources)[method], xlabel=f"{labels[score]} score (higher = more ID)", yticks=[])
    axes[0].set_ylabel("density")
    legend_below(figure, axes[0])
    return figure
