"""What a training takes against what it brings: seconds or GPU hours and mean AUROC, one marker a method."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

from methods.csv_file import read_csv
from methods.errors import refuse
from methods.metrics.seeds import Spread, spread
from methods.reporting.figures.measured import metric_words, over_seeds, read_values
from methods.reporting.figures.sources import Source, method_look, methods_of, of_method
from methods.reporting.style import legend_below, panels

RECORD = {
    "title": "Cost of training against AUROC",
    "needs": "metrics",
    "also": ["cost"],
    "deviation": "bars",
    "parameters": {
        "cost": {
            "enum": ["seconds", "gpu_hours"],
            "default": "seconds",
            "description": "seconds of training, or hours on all GPUs together",
        },
        "group": {
            "type": "string",
            "description": "group of OOD sets whose average is shown; by default the mean over the sets shown",
        },
        "spacing": {"enum": ["linear", "log"], "default": "log", "description": "axis of the cost"},
    },
}
_WORDS = {"seconds": "training in seconds", "gpu_hours": "training in GPU hours"}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Each method by the first of the scores shown that it has; bars are one deviation over seeds."""
    values = read_values(sources)
    figure, axes = panels(1, 1, 2.3, settings)
    axis = axes[0][0]
    for method, label in methods_of(sources).items():
        cost, (score, auroc) = _cost(sources, method, settings["cost"]), _auroc(values, sources, method, settings)
        look, errors = method_look(settings, method), np.nan_to_num([cost.std, auroc.std])
        bars = {"elinewidth": 0.7, "xerr": errors[0], "yerr": errors[1]}
        words = f"{label}, {score}"
        axis.errorbar(cost.mean, auroc.mean, color=look.colour, fmt=look.marker, markersize=5, label=words, **bars)
    _axis(axis, settings)
    legend_below(figure, axis, settings["against"])
    return figure


def _auroc(values: Any, sources: Sequence[Source], method: str, settings: Mapping[str, Any]) -> tuple[str, Spread]:
    """Label and AUROC of the first score shown that a method has.

    Raises:
        ReproError: it has none of them on the sets shown.
    """
    found = [(label, over_seeds(values, sources, method, score, settings)) for score, label in settings["scores"]]
    there = [(label, value) for label, value in found if value is not None]
    refuse(not there, f"{method} has none of the scores of {settings['caption']!r} on its sets: name others.")
    return there[0]


def _cost(sources: Sequence[Source], method: str, kind: str) -> Spread:
    """Cost of the trainings of a method, over seeds.

    Raises:
        ReproError: GPU hours of a training without a GPU.
    """
    rows = [read_csv(source.path)[0] for source in of_method(sources, method) if source.needs == "cost"]
    if kind == "seconds":
        return spread([float(row["seconds"]) for row in rows])
    without = [row["device"] for row in rows if float(row["peak_gpu_bytes"]) == 0]
    refuse(bool(without), f"{method} was trained on {', '.join(sorted(set(without)))}, no GPU: draw `cost: seconds`.")
    return spread([float(row["seconds"]) * float(row.get("devices", 1)) / 3600 for row in rows])


def _axis(axis: Any, settings: Mapping[str, Any]) -> None:
    """Plain numbers on the axis of the cost."""
    axis.set(xlabel=_WORDS[settings["cost"]], ylabel=metric_words(settings))
    if settings["spacing"] == "log":
        axis.set_xscale("log")
        axis.xaxis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7)))
        axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axis.xaxis.set_minor_formatter(NullFormatter())
