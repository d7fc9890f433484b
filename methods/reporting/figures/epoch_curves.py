"""A metric against the epochs of a training, from the snapshots that its recipe keeps; one panel a score."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.errors import refuse
from methods.metrics.seeds import Spread
from methods.reporting.figures.measured import metric_words, over_seeds, read_values
from methods.reporting.figures.sources import Source, method_look
from methods.reporting.style import grid, legend_below

RECORD = {
    "title": "A metric against the epochs",
    "needs": "metrics",
    "deviation": "band",
    "with_snapshots": True,
    "parameters": {
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
        "axis": {
            "enum": ["epochs", "share"],
            "default": "epochs",
            "description": "epochs, or their share of the training, by which trainings of different length compare",
        },
        "spacing": {"enum": ["linear", "log"], "default": "linear", "description": "axis of the epochs"},
    },
}
_WORDS = {"epochs": "epochs", "share": "epochs in percent of the training"}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """A line a method, from its first snapshot to the end of its training; a band of one deviation over seeds."""
    values = read_values(sources)
    drawn = [(score, _lines(values, sources, settings, score)) for score, _ in settings["scores"]]
    shown = [(score, lines) for score, lines in drawn if lines]
    refuse(not shown, "No method has one of the scores after two of its epochs: evaluate its snapshots as well.")
    figure, axes = grid(len(shown), settings, height=2.0)
    labels = dict(settings["scores"])
    for axis, (score, lines) in zip(axes, shown, strict=True):
        for course, found in lines:
            _line(axis, settings, course, found)
        axis.set(title=labels[score], xlabel=_WORDS[settings["axis"]])
        if settings["spacing"] == "log":
            axis.set_xscale("log")
    low, high = (end(axis.get_ylim()[side] for axis in axes) for side, end in ((0, min), (1, max)))
    for axis in axes:
        axis.set_ylim(low, high)  # one scale, so that panels can be compared
    axes[0].set_ylabel(metric_words(settings))
    legend_below(figure, axes, settings["against"])
    return figure


def _lines(
    values: Any, sources: Sequence[Source], settings: Mapping[str, Any], score: str
) -> list[tuple[Mapping[str, Any], list[tuple[float, Spread]]]]:
    """(course of a method, its points) for methods that have the score after two epochs or more."""
    found = []
    for course in settings["courses"]:
        cells = [(epoch, over_seeds(values, sources, method, score, settings)) for epoch, method in course["points"]]
        there = [(epoch, cell) for epoch, cell in cells if cell is not None]
        if len(there) > 1:
            found.append((course, there))
    return found


def _line(
    axis: Axes, settings: Mapping[str, Any], course: Mapping[str, Any], found: Sequence[tuple[float, Spread]]
) -> None:
    whole = course["points"][-1][0] / 100 if settings["axis"] == "share" else 1
    look, x = method_look(settings, course["method"]), [epoch / whole for epoch, _ in found]
    mean, std = (np.array([getattr(cell, part) for _, cell in found]) for part in ("mean", "std"))
    axis.plot(x, mean, color=look.colour, linestyle=look.line, marker=look.marker, label=course["label"])
    if (std := np.nan_to_num(std)).any():
        axis.fill_between(x, mean - std, mean + std, color=look.colour, alpha=0.15, linewidth=0)
