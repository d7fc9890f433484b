"""Training curves: loss terms, monitors and learning rate over the epochs, one row a method.

A quantity looks the same in every row, and one legend below names all: inside a panel it would cover lines.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from methods.csv_file import read_csv
from methods.reporting.figures.sources import Source
from methods.reporting.style import Look, grid, is_grey, legend_below, look_of

_LINE = 24  # letters that fit above a panel where four share a page

RECORD = {"title": "Training curves", "needs": "history", "parameters": {}}

PANELS = ("loss", "monitor", "energy", "learning rate")
# Quantities that are no losses, by the panel they share.
MONITORS = {
    "alignment": "monitor",
    "contrast_temperature": "monitor",
    "dead_prototypes": "monitor",
    "usage_entropy": "monitor",
    "validation_map": "monitor",
    "validation_accuracy": "monitor",
    "id_energy": "energy",
    "outlier_energy": "energy",
    "learning_rate": "learning rate",
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Terms that were logged decide which panels there are; in a column they stand one below the other."""
    histories = [(source.label, read_csv(source.path)) for source in sources]
    kinds = list(dict.fromkeys(_panel(name) for _, rows in histories for name in rows[0] if name != "epoch"))
    kinds.sort(key=PANELS.index)
    shown = [(label, rows, kind, _names(rows[0], kind)) for label, rows in histories for kind in kinds]
    quantities = list(dict.fromkeys(name for kind in kinds for panel in shown if panel[2] == kind for name in panel[3]))
    if settings.get("width") == "column":
        shown = [panel for panel in shown if panel[3]]
    figure, axes = grid(len(shown), settings, height=1.5, most=len(kinds))
    for axis, (label, rows, kind, names) in zip(axes, shown, strict=True):
        if names:
            _curves(axis, rows, {name: look_of(name, quantities, is_grey(settings)) for name in names})
            axis.set(title=_title(label, kind), xlabel="epoch")
        else:
            axis.set_axis_off()
    legend_below(figure, axes)
    return figure


def _curves(axis: Axes, rows: Sequence[Mapping[str, str]], looks: Mapping[str, Look]) -> None:
    epochs = [float(row["epoch"]) for row in rows]
    for name, look in looks.items():
        values = [float(row[name]) for row in rows]
        axis.plot(epochs, values, color=look.colour, linestyle=look.line, label=_words(name))
    axis.xaxis.set_major_locator(MaxNLocator(integer=True))


def _title(label: str, kind: str) -> str:
    """On two lines where one would be wider than a panel of a full row."""
    return f"{label}: {kind}" if len(label) + len(kind) <= _LINE else f"{label}:\n{kind}"


def _names(columns: Mapping[str, str], kind: str) -> list[str]:
    """Columns of a panel; a total of one term alone would draw the same line twice."""
    names = [name for name in columns if name != "epoch" and _panel(name) == kind]
    return names[1:] if kind == "loss" and len(names) == 2 else names


def _panel(name: str) -> str:
    return MONITORS.get(name, "loss")


def _words(name: str) -> str:
    return name.replace("_", " ").replace("validation map", "validation mAP")
