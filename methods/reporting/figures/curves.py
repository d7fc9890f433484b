"""What figures of true and false positive rates share: a panel an OOD set, a line a method and score."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.features.score_store import read_scores
from methods.metrics.counts import Counts, count
from methods.metrics.ranking import auroc
from methods.reporting.figures.sources import (
    Source,
    drawn_line,
    method_look,
    methods_of,
    of_method,
    ood_order,
    panel_pairs,
)
from methods.reporting.style import LINES, grid, legend_below

# False positive rates, true positive rates, and how the line of a method and score is drawn
Curve = tuple[np.ndarray, np.ndarray, dict[str, Any]]


def draw_rates(
    settings: Mapping[str, Any],
    sources: Sequence[Source],
    panel: Callable[[Axes, Sequence[Curve]], None],
    note: str = "",
) -> Figure:
    """``panel`` draws the curves of one OOD set; ``note`` is what the title of the legend says besides."""
    sets, scores = ood_order(sources), {source.path: read_scores(source.path)[0] for source in sources}
    figure, axes = grid(len(sets), settings, height=2.3, most=2)
    for axis, name in zip(axes, sets, strict=True):
        panel(axis, _curves(settings, sources, scores, name))
        axis.set_title(next(source.title for source in sources if source.dataset == name))
    parts = ["AUROC in brackets" if len(sets) == 1 else "", note]
    legend_below(figure, axes[0], "; ".join(filter(None, parts)) or None)
    return figure


def _curves(settings: Mapping[str, Any], sources: Sequence[Source], scores: Any, name: str) -> list[Curve]:
    labels, found = dict(settings["scores"]), []
    for number, (method, score) in enumerate(panel_pairs(settings, sources)):
        inside, outside = _pair(of_method(sources, method), name)
        counts = count(scores[inside.path][score], scores[outside.path][score])
        words = f"{methods_of(sources)[method]}, {labels[score]}"
        words += f" ({100 * auroc(counts):.1f})" if len(ood_order(sources)) == 1 else ""
        look = method_look(settings, method)._replace(line=LINES[list(labels).index(score) % len(LINES)])
        found.append((*_rates(counts), {**drawn_line(look, number), "label": words}))
    return found


def _rates(counts: Counts) -> tuple[np.ndarray, np.ndarray]:
    """False and true positive rate at every threshold, from none to all accepted."""
    fpr, tpr = (values / values[-1] for values in (counts.negatives, counts.positives))
    return np.concatenate([[0.0], fpr]), np.concatenate([[0.0], tpr])


def _pair(sources: Sequence[Source], dataset: str) -> tuple[Source, Source]:
    """The ID set and the OOD set ``dataset`` of one method."""
    return next(s for s in sources if s.role == "id"), next(s for s in sources if s.dataset == dataset)
