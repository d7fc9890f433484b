"""Training curves: loss terms, monitors and learning rate over the epochs, one row a method."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from methods.csv_file import read_csv
from methods.reporting.figures.sources import Source
from methods.reporting.style import COLOURS, LINES, panels

RECORD = {"title": "Training curves", "needs": "history", "parameters": {}}

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
    """Terms that were logged decide which panels there are."""
    histories = [(source.label, read_csv(source.path)) for source in sources]
    kinds = list(dict.fromkeys(_panel(name) for _, rows in histories for name in rows[0] if name != "epoch"))
    kinds.sort(key=("loss", "monitor", "energy", "learning rate").index)
    figure, axes = panels(len(histories), len(kinds), height=1.6)
    for row, (label, history) in zip(axes, histories, strict=True):
        epochs = [float(entry["epoch"]) for entry in history]
        for axis, kind in zip(row, kinds, strict=True):
            names = _names(history[0], kind)
            for number, name in enumerate(names):
                values = [float(entry[name]) for entry in history]
                axis.plot(
                    epochs,
                    values,
                    color=COLOURS[number % len(COLOURS)],
                    linestyle=LINES[number % len(LINES)],
                    label=_words(name),
                )
            if names:
                axis.set(title=f"{label}: {kind}", xlabel="epoch")
                axis.xaxis.set_major_locator(MaxNLocator(integer=True))
                axis.legend()
            else:
                axis.set_axis_off()
    return figure


def _names(columns: Mapping[str, str], kind: str) -> list[str]:
    """Columns of a panel; a total of one term alone would draw the same line twice."""
    names = [name for name in columns if name != "epoch" and _panel(name) == kind]
    return names[1:] if kind == "loss" and len(names) == 2 else names


def _panel(name: str) -> str:
    return MONITORS.get(name, "loss")


def _words(name: str) -> str:
    return name.replace("_", " ").replace("validation map", "validation mAP")
