"""Critical-difference diagram: average ranks over OOD sets, bars over what they do not tell apart (Demsar 2006)."""

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from methods.errors import refuse
from methods.metrics.ranks import average_ranks, cliques, critical_difference
from methods.metrics.seeds import LEAST
from methods.reporting.figures.measured import LOWER_IS_BETTER, NAMES, averaged, read_values, rule_of
from methods.reporting.figures.sources import Source, method_look, methods_of, of_method, panel_pairs
from methods.reporting.style import panels

RECORD = {
    "title": "Critical-difference diagram of average ranks",
    "needs": "metrics",
    "several_benchmarks": True,
    "least_seeds": 3,
    "parameters": {
        "metric": {
            "enum": ["auroc", "fpr95", "aupr_in", "aupr_out"],
            "default": "auroc",
            "description": "metric by which methods are ranked",
        },
        "fpr_rule": {
            "enum": ["closest", "at_least", "percentile", "ood_positive"],
            "default": "closest",
            "description": "threshold rule of FPR95",
        },
    },
}
_AXIS, _FIRST_BAR, _BAR_STEP = 0.42, 0.51, 0.08  # inches from the top
_ROW = 1.75  # lines from name to name


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Best rank first; ranks that one thick bar covers differ by less than the critical difference.

    Raises:
        ReproError: fewer than three seeds or OOD sets, or fewer than two methods and scores.
    """
    names, means = _means(settings, sources)
    direction = -1 if rule_of(settings)[0] in LOWER_IS_BETTER else 1
    ranks, difference = average_ranks(means, direction), critical_difference(means.shape[1], means.shape[0])
    order = np.argsort(ranks, kind="stable")
    figure, axes = panels(1, 1, 1, settings)
    figure.set_layout_engine("none")
    axis, width = axes[0][0], figure.get_figwidth()
    axis.set_position((0, 0, 1, 1))
    axis.set_axis_off()
    height = _diagram(axis, settings, [names[i] for i in order], ranks[order], difference) + _points() / 72
    note = textwrap.fill(_words(settings, means), int(width * 72 / (0.5 * _points())))
    axis.text(0.04, -height, note, va="top", fontsize="small")
    height += 1.5 * _points() / 72 * (note.count("\n") + 1)
    axis.set(xlim=(0, width), ylim=(-height, 0))
    figure.set_figheight(height)
    return figure


def _means(settings: Mapping[str, Any], sources: Sequence[Source]) -> tuple[list[tuple[str, str]], np.ndarray]:
    """(method, name) of every method and score, and (sets, methods and scores) means over seeds."""
    values, labels, names, means = read_values(sources), dict(settings["scores"]), [], []
    for method, score in panel_pairs(settings, sources):
        cells = [averaged(values, sources, (method, score), [t], rule_of(settings)) for t, _ in settings["columns"]]
        if all(cells):
            names.append((method, f"{methods_of(sources)[method]}, {labels[score]}"))
            means.append([cell.mean for cell in cells if cell is not None])
    seeds = min((len({s.seed for s in of_method(sources, method)}) for method, _ in names), default=0)
    refuse(seeds < LEAST, f"The figure {settings['caption']!r} compares by ranks, needs {LEAST} seeds and has {seeds}.")
    return names, np.array(means).T


def _diagram(
    axis: Axes, settings: Mapping[str, Any], names: Sequence[tuple[str, str]], ranks: np.ndarray, difference: float
) -> float:
    """Ruler, axis of ranks, bars, and a line from every rank to its name, in inches from the top; gives the last."""
    width = axis.get_window_extent().width / axis.figure.dpi
    row, groups = _ROW * _points() / 72, cliques(ranks, difference)
    lowest = _FIRST_BAR + _BAR_STEP * len(groups)
    rows = [-(lowest + row * (number + 0.5)) for number in range(len(names))]
    words = [f"{name}  {rank:.2f}" for (_, name), rank in zip(names, ranks, strict=True)]
    ends = [_inches(axis.text(0.04, y, text, va="center")) + 0.08 for text, y in zip(words, rows, strict=True)]
    left, right = max(ends) + 0.2, width - 0.1
    places = left + (ranks - 1) / (len(ranks) - 1) * (right - left)
    for (method, _), end, place, y in zip(names, ends, places, rows, strict=True):
        axis.plot([place, place, end], [-_AXIS, y, y], color=method_look(settings, method).colour, linewidth=0.8)
    for number, (first, last) in enumerate(groups):
        y = -(_FIRST_BAR + _BAR_STEP * number)
        axis.plot([places[first] - 0.03, places[last] + 0.03], [y, y], color="black", linewidth=2.4, zorder=3)
    _ruler(axis, np.linspace(left, right, len(ranks)), difference)
    return lowest + row * len(names)


def _ruler(axis: Axes, places: np.ndarray, difference: float) -> None:
    """The axis of ranks, and above it the critical difference in its units, as much of it as the axis has."""
    axis.plot(places[[0, -1]], [-_AXIS, -_AXIS], color="black", linewidth=0.8)
    for rank in range(1, len(places) + 1, -(-len(places) // 8)):
        axis.plot([places[rank - 1]] * 2, [-_AXIS, 0.05 - _AXIS], color="black", linewidth=0.8)
        axis.text(places[rank - 1], 0.06 - _AXIS, str(rank), ha="center", va="bottom", fontsize="small")
    end = min(places[0] + difference * (places[1] - places[0]), places[-1])
    axis.plot([places[0]] * 2 + [end] * 2, [-0.18, -0.15, -0.15, -0.18], color="black", linewidth=0.8)
    axis.text((places[0] + end) / 2, -0.14, f"CD = {difference:.2f}", ha="center", va="bottom", fontsize="small")


def _inches(text: Text) -> float:
    """Where a text ends."""
    figure = text.get_figure()
    assert figure is not None
    return text.get_position()[0] + text.get_window_extent().width / figure.dpi


def _points() -> float:
    """Size of letters."""
    return float(plt.rcParams["font.size"])


def _words(settings: Mapping[str, Any], means: np.ndarray) -> str:
    metric = NAMES[rule_of(settings)[0]]
    return f"Average rank by {metric} over {len(means)} OOD sets, 1 = best; bars: not told apart (Nemenyi, 5 %)."
