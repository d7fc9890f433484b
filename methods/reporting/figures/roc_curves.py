"""ROC curves with ID as the positive class, one panel an OOD set."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from methods.reporting.figures.curves import Curve, draw_rates
from methods.reporting.figures.sources import Source
from methods.reporting.style import QUIET

RECORD = {"title": "ROC curves", "needs": "scores", "parameters": {}}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """True positive rate over false positive rate; colour and marker tell the method, dashes the score."""
    return draw_rates(settings, sources, _panel, "horizontal line: TPR 95 %")


def _panel(axis: Any, curves: Sequence[Curve]) -> None:
    for fpr, tpr, look in curves:
        axis.plot(fpr, tpr, **look)
    axis.axhline(0.95, color=QUIET, linewidth=0.5)
    axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
