"""AUROC of every method and score against every OOD set as a map of cells with their numbers."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib import colormaps
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from methods.errors import refuse
from methods.reporting.figures.measured import averaged, read_values, rule_of
from methods.reporting.figures.sources import Source, methods_of, panel_pairs
from methods.reporting.style import is_grey, panels

RECORD = {
    "title": "AUROC heat map",
    "needs": "metrics",
    "several_benchmarks": True,
    "parameters": {
        "groups": {
            "type": "array",
            "items": {"type": "string", "description": "a group"},
            "default": [],
            "description": "groups of OOD sets whose averages stand beside the sets",
        },
        "lowest": {
            "type": "number",
            "minimum": 0,
            "maximum": 99,
            "default": 50,
            "description": "AUROC in percent from which colours begin; below it all cells look alike",
        },
    },
}
_FEW = 7  # columns that have room in one column of text
_ROOM = 0.22  # inches that a number with a decimal takes; narrower cells have whole numbers


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """A row a method and score, a column a set or average of a group; mean over seeds, blank where there is none."""
    names, rows, cells = _cells(settings, sources)
    columns = [title for _, title in settings["columns"]]
    wide = {"width": "column" if len(columns) <= _FEW else "page", **settings}
    figure, axes = panels(1, 1, 0.55 + 0.17 * len(rows) + 0.035 * max(map(len, columns)), wide)
    narrow = 0.55 * figure.get_figwidth() / len(columns) < _ROOM
    axis, colours = axes[0][0], colormaps["Greys" if is_grey(settings) else "cividis"]
    scale = Normalize(settings["lowest"], 100, clip=True)
    axis.pcolormesh(np.ma.masked_invalid(cells), cmap=colours, norm=scale, edgecolors="white", linewidth=0.8)
    for i, j in np.argwhere(np.isfinite(cells)):
        dark = np.dot(colours(scale(cells[i, j]))[:3], [0.2126, 0.7152, 0.0722]) < 0.45
        axis.text(
            j + 0.5, i + 0.5, f"{cells[i, j]:.{0 if narrow else 1}f}", ha="center", va="center", **_number(dark, narrow)
        )
    _label(axis, columns, [f"{names[method]}, {score}" for method, score in rows], 90 if narrow else 40)
    return figure


def _cells(settings: Mapping[str, Any], sources: Sequence[Source]) -> tuple[dict[str, str], list, np.ndarray]:
    """Labels of methods, (method, label of the score) of every row, and (rows, columns) percent."""
    values, labels, rows, found = read_values(sources), dict(settings["scores"]), [], []
    for method, score in panel_pairs(settings, sources):
        cells = [averaged(values, sources, (method, score), [t], rule_of(settings)) for t, _ in settings["columns"]]
        if any(cells):
            rows.append((method, labels[score]))
            found.append([np.nan if cell is None else cell.mean for cell in cells])
    refuse(not rows, f"The heat map {settings['caption']!r} has no cell: no run has one of its scores on its sets.")
    return methods_of(sources), rows, np.array(found)


def _number(dark: bool, narrow: bool) -> dict[str, Any]:
    return {"color": "white" if dark else "black", "fontsize": "x-small" if narrow else "small"}


def _label(axis: Any, columns: Sequence[str], rows: Sequence[str], turned: int) -> None:
    axis.set_xticks(np.arange(len(columns)) + 0.5, columns, rotation=turned, ha="left", rotation_mode="anchor")
    axis.set_yticks(np.arange(len(rows)) + 0.5, rows)
    axis.tick_params(length=0, top=False, labeltop=True, labelbottom=False, pad=2)
    axis.invert_yaxis()
    axis.grid(visible=False)
    for spine in axis.spines.values():
        spine.set_visible(False)
