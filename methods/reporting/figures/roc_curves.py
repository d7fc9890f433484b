"""ROC curves with ID as the positive class, one panel an OOD set."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.features.score_store import read_scores
from methods.metrics.counts import count
from methods.metrics.ranking import auroc
from methods.reporting.figures.sources import Source, methods_of, of_method, ood_order, panel_pairs
from methods.reporting.style import LINES, colour_of, panels

_COLUMNS = 2

RECORD = {"title": "ROC curves", "needs": "scores", "parameters": {}}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """True positive rate over false positive rate; colour tells the method, dashes the score."""
    sets, pairs, labels = ood_order(sources), panel_pairs(settings, sources), dict(settings["scores"])
    scores = {source.path: read_scores(source.path)[0] for source in sources}
    columns = min(len(sets), _COLUMNS)
    figure, axes = panels(-(-len(sets) // columns), columns, height=2.3)
    flat = [axis for row in axes for axis in row]
    for axis, name in zip(flat, sets, strict=False):
        for method, score in pairs:
            inside, outside = _pair(of_method(sources, method), name)
            counts = count(scores[inside.path][score], scores[outside.path][score])
            fpr = np.concatenate([[0], counts.negatives / counts.negatives[-1]])
            tpr = np.concatenate([[0], counts.positives / counts.positives[-1]])
            label = f"{methods_of(sources)[method]}, {labels[score]}"
            label += f" ({100 * auroc(counts):.1f})" if len(sets) == 1 else ""
            dash = LINES[list(labels).index(score) % len(LINES)]
            axis.plot(fpr, tpr, color=colour_of(method, settings["method_order"]), linestyle=dash, label=label)
        axis.axhline(0.95, color="#999999", linewidth=0.5)
        axis.set(xlabel="false positive rate", ylabel="true positive rate", xlim=(0, 1), ylim=(0, 1.01))
        axis.set_title(next(s.title for s in sources if s.dataset == name))
    for axis in flat[len(sets) :]:
        axis.set_axis_off()
    title = "AUROC in brackets; gray line: TPR 95 %" if len(sets) == 1 else "gray line: TPR 95 %"
    handles, names = flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside lower center", ncols=columns + 1, title=title, title_fontsize=6)
    return figure


def _pair(sources: Sequence[Source], dataset: str) -> tuple[Source, Source]:
    """The ID set and the OOD set ``dataset`` of one method."""
    return next(s for s in sources if s.role == "id"), next(s for s in sources if s.dataset == dataset)
