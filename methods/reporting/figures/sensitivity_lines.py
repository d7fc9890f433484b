"""One metric over a value of the recipe, for recipes that differ in it; one panel a value."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.errors import refuse
from methods.metrics.seeds import Spread
from methods.reporting.figures.measured import metric_words, over_seeds, read_values
from methods.reporting.figures.sources import Source, method_look
from methods.reporting.style import LINES, MARKERS, Look, grid, legend_below

Panel = Mapping[str, Any]

RECORD = {
    "title": "Sensitivity to values of the recipe",
    "needs": "metrics",
    "deviation": "band",
    "required": ["panels"],
    "parameters": {
        "panels": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "array",
                "minItems": 2,
                "uniqueItems": True,
                "items": {"type": "string", "description": "a recipe"},
                "description": "recipes that differ in the value; the first has the value of the method itself",
            },
            "description": "dotted key of a recipe, such as objective.alpha -> recipes from which its values are read",
        },
        "metric": {
            "enum": ["auroc", "fpr95", "aupr_in", "aupr_out"],
            "default": "auroc",
            "description": "metric shown",
        },
        "fpr_rule": {
            "enum": ["closest", "at_least", "percentile", "ood_positive"],
            "default": "closest",
            "description": "threshold rule of FPR95",
        },
        "group": {
            "type": "string",
            "description": "group of OOD sets whose average is shown; by default the mean over the sets shown",
        },
        "spacing": {
            "enum": ["even", "linear", "log"],
            "default": "even",
            "description": "even steps from value to value, or an axis that is linear or logarithmic",
        },
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """A line a score: mean over seeds in a band of one deviation; the large open marker is the method itself."""
    values, count = read_values(sources), len(settings["panels"])
    figure, axes = grid(count, settings, height=1.8)
    for axis, panel in zip(axes, settings["panels"], strict=True):
        for number, (score, label) in enumerate(settings["scores"]):
            found = [over_seeds(values, sources, method, score, settings) for method, _ in panel["points"]]
            if sum(cell is not None for cell in found) > 1:
                look = method_look(settings, panel["base"])._replace(line=LINES[number % len(LINES)])
                _line(axis, settings, panel, found, look._replace(marker=MARKERS[number % len(MARKERS)]), label)
        refuse(not axis.lines, f"Fewer than two recipes over {panel['key']} have one of the scores: there is no line.")
        _axis(axis, settings, panel)
    low, high = (end(axis.get_ylim()[side] for axis in axes) for side, end in ((0, min), (1, max)))
    for axis in axes:
        axis.set_ylim(low, high)  # one scale, so that panels can be compared
        spec = axis.get_subplotspec()
        if spec is not None and spec.is_first_col():
            axis.set_ylabel(metric_words(settings))
    legend_below(figure, axes[0], f"{settings['against']}; open marker: the method itself")
    return figure


def _line(
    axis: Axes, settings: Mapping[str, Any], panel: Panel, found: Sequence[Spread | None], look: Look, label: str
) -> None:
    """One score; a recipe without it is left out."""
    there = [(place, cell) for place, cell in zip(_places(settings, panel), found, strict=True) if cell is not None]
    x, mean = [place for place, _ in there], np.array([cell.mean for _, cell in there])
    std = np.nan_to_num([cell.std for _, cell in there])
    axis.plot(x, mean, color=look.colour, linestyle=look.line, marker=look.marker, label=label)
    if std.any():
        axis.fill_between(x, mean - std, mean + std, color=look.colour, alpha=0.15, linewidth=0)
    base = [method for method, _ in panel["points"]].index(panel["base"])
    if (own := found[base]) is not None:
        (marker,) = axis.plot([_places(settings, panel)[base]], [own.mean], color=look.colour, marker=look.marker)
        marker.set(markersize=7, markerfacecolor="none", markeredgewidth=0.8)


def _axis(axis: Axes, settings: Mapping[str, Any], panel: Panel) -> None:
    """A tick at every value, which is written in its shortest form."""
    if settings["spacing"] == "log":
        axis.set_xscale("log")
    axis.set_xticks(_places(settings, panel), [f"{value:g}" for _, value in panel["points"]])
    axis.minorticks_off()
    axis.set_xlabel(panel["name"])


def _places(settings: Mapping[str, Any], panel: Panel) -> list[float]:
    values = [value for _, value in panel["points"]]
    return list(range(len(values))) if settings["spacing"] == "even" else values
