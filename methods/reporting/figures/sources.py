"""What figures read, and small things they share."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from methods.reporting.style import ID_COLOUR, Look, is_grey, look_of

ID_LOOK: dict[str, Any] = {"histtype": "stepfilled", "color": ID_COLOUR, "alpha": 0.25}


@dataclass(frozen=True)
class Source:
    """One file a figure reads.

    Attributes:
        path: where it lies.
        method: recipe name; ``label`` is how it is called.
        role: ``id`` or ``ood`` for a set, empty for a file of a run.
        dataset: name of the set; ``title`` is how it is called.
        seed: of metrics and costs, of which a figure may show several seeds.
        needs: kind of file: scores, features, readout, history, metrics, cost or dilation.
        benchmark: of a further benchmark; empty for the one that the figure is about.
    """

    path: str
    method: str
    label: str
    role: str = ""
    dataset: str = ""
    title: str = ""
    seed: int | None = None
    needs: str = ""
    benchmark: str = ""


def of_method(sources: Sequence[Source], method: str) -> list[Source]:
    """Sources of one method, ID first."""
    return sorted((s for s in sources if s.method == method), key=lambda s: s.role != "id")


def methods_of(sources: Sequence[Source]) -> dict[str, str]:
    """Method -> label, in order."""
    return {source.method: source.label for source in sources}


def ood_order(sources: Sequence[Source]) -> list[str]:
    """Names of the OOD sets, in order."""
    return list(dict.fromkeys(source.dataset for source in sources if source.role == "ood"))


def common_bins(samples: Sequence[np.ndarray], count: int = 40) -> list[float]:
    """Edges of ``count`` bins that cover the middle 99.8 % of all samples together."""
    joined = np.concatenate(samples)
    low, high = np.quantile(joined, [0.001, 0.999])
    return [float(edge) for edge in np.linspace(low, high if high > low else low + 1, count + 1)]


def clipped(values: np.ndarray, bins: Sequence[float]) -> np.ndarray:
    """Values moved into the outermost bins, so that no image is lost from a histogram."""
    return np.clip(values, bins[0], bins[-1])


def panel_pairs(settings: Mapping[str, Any], sources: Sequence[Source]) -> list[tuple[str, str]]:
    """(method, score) of every panel."""
    return [(m, s) for m in methods_of(sources) for s in settings["run_scores"][m]]


def method_look(settings: Mapping[str, Any], method: str) -> Look:
    """How a method is drawn, in this figure as in every other of the paper."""
    return look_of(method, settings["method_order"], is_grey(settings))


def set_look(settings: Mapping[str, Any], dataset: str) -> Look:
    """How an OOD set is drawn."""
    return look_of(dataset, settings["set_order"], is_grey(settings))


def outline(look: Look) -> dict[str, Any]:
    """How the histogram of an OOD set is drawn: an outline in its colour and dashes."""
    return {"histtype": "step", "color": look.colour, "linestyle": look.line}


def drawn_line(look: Look, number: int = 0) -> dict[str, Any]:
    """How a line of many points is drawn: a marker now and then, at other places for lines of another ``number``."""
    every = (0.04 + 0.03 * (number % 6), 0.2)  # shares of the diagonal of the panel
    return {"color": look.colour, "linestyle": look.line, "marker": look.marker, "markevery": every}
