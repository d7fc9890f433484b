"""The part of the ROC that FPR95 is read from: false positive rate over true positive rate near 95 %."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from methods.reporting.figures.curves import Curve, draw_rates
from methods.reporting.figures.sources import Source
from methods.reporting.style import QUIET

RECORD = {
    "title": "False positive rate at high true positive rates",
    "needs": "scores",
    "parameters": {
        "from": {
            "type": "number",
            "minimum": 0,
            "exclusiveMaximum": 0.95,
            "default": 0.8,
            "description": "least true positive rate shown",
        },
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """Lower is better; where a line crosses the vertical one stands its FPR95."""

    def panel(axis: Any, curves: Sequence[Curve]) -> None:
        for fpr, tpr, look in curves:
            axis.plot(tpr, fpr, **look)
        axis.axvline(0.95, color=QUIET, linewidth=0.7)
        axis.set(xlabel="true positive rate", ylabel="false positive rate", xlim=(settings["from"], 1), ylim=(0, 1.01))
        for place in (axis.xaxis, axis.yaxis):
            place.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
            place.set_major_formatter(PercentFormatter(1, decimals=0))

    return draw_rates(settings, sources, panel, "vertical line: TPR 95 %")
