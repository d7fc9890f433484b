"""Detection on ID images without the most frequent classes, over how many of these are left out (EDGE's analysis)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.csv_file import read_csv
from methods.errors import refuse
from methods.metrics.seeds import spread
from methods.metrics.tail import step_part
from methods.reporting.figures.sources import Source, method_look, methods_of, of_method
from methods.reporting.style import grid, legend_below

RECORD = {
    "title": "Tail curves: AUROC and FPR95 without the most frequent classes",
    "needs": "metrics",
    "deviation": "band",
    "tasks": ["multi_label"],
    "benchmark_keys": ["tail_steps"],
    "parameters": {
        "score": {"type": "string", "default": "joint_energy", "description": "score instance shown"},
        "group": {
            "type": "string",
            "description": "group of OOD sets whose average is shown; by default the mean over the sets shown",
        },
        "fpr_rule": {
            "enum": ["closest", "at_least", "percentile", "ood_positive"],
            "default": "closest",
            "description": "threshold rule of FPR95",
        },
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """A line a method: the mean over its seeds, in a band of one standard deviation where there are several."""
    curves = {source.path: _curves(source.path, settings) for source in sources}
    steps = sorted({step for own in curves.values() for curve in own.values() for step in curve})
    refuse(not steps, f"No run has the score {settings['score']!r} on the tail: there is no curve to draw.")
    figure, axes = grid(2, settings, height=2.3)
    for axis, metric, name in zip(axes, _metrics(settings), ("AUROC", "FPR95"), strict=True):
        for method, label in methods_of(sources).items():
            own = [curves[source.path][metric] for source in of_method(sources, method)]
            if any(own):
                _line(axis, [[100 * curve[step] for curve in own] for step in steps], steps, method, label, settings)
        axis.set(xlabel="most frequent classes left out", ylabel=f"{name} in percent", xticks=_ticks(steps))
    legend_below(figure, axes[0], _title(settings, steps))
    return figure


def _line(
    axis: Any, values: Sequence[Sequence[float]], steps: Sequence[int], method: str, label: str, settings: Any
) -> None:
    found, look = [spread(seeds) for seeds in values], method_look(settings, method)
    mean, std = np.array([part.mean for part in found]), np.nan_to_num([part.std for part in found])
    axis.plot(steps, mean, color=look.colour, linestyle=look.line, marker=look.marker, label=label)
    if std.any():
        low, high = np.clip([mean - std, mean + std], 0, 100)
        axis.fill_between(steps, low, high, color=look.colour, alpha=0.15, linewidth=0)


def _ticks(steps: Sequence[int]) -> list[int]:
    """Steps far enough apart for their numbers to stand side by side."""
    ticks: list[int] = []
    for step in steps:
        if not ticks or step - ticks[-1] >= steps[-1] / 15:
            ticks.append(step)
    return ticks


def _metrics(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    return [("auroc", ""), ("fpr95", settings["fpr_rule"])]


def _curves(path: str, settings: Mapping[str, Any]) -> dict[tuple[str, str], dict[int, float]]:
    """Metric -> step -> value of one run, averaged over the targets shown; steps without ID images are not there."""
    rows = [row for row in read_csv(path) if row["level"] == "tail" and row["score"] == settings["score"]]
    values = {(row["target"], row["metric"], row["rule"]): row["value"] for row in rows}
    found: dict[tuple[str, str], dict[int, float]] = {metric: {} for metric in _metrics(settings)}
    for metric, curve in found.items():
        for step in settings["tail_steps"]:
            texts = [values.get((f"{step_part(step)}:{target}", *metric), "") for target in settings["targets"]]
            if "" not in texts:
                curve[step] = float(np.mean([float(text) for text in texts]))
    return found


def _title(settings: Mapping[str, Any], steps: Sequence[int]) -> str:
    label = dict(settings["scores"]).get(settings["score"], settings["score"])
    empty = ", ".join(str(step) for step in settings["tail_steps"] if step not in steps)
    gone = f"; no ID image is left without {empty}" if empty else ""
    return f"{label}, {settings['against']}; FPR95 by the rule {settings['fpr_rule']}{gone}"
