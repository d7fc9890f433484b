"""Energies of head ID, tail ID and OOD images of multi-label benchmarks (EDGE's analysis).

Tail ID are the images without any of the ``head_classes`` most frequent classes (a key of the benchmark, see
:mod:`methods.metrics.tail`); the others are head ID.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.features.score_store import read_scores
from methods.metrics.tail import tail_of
from methods.reporting.figures.sources import (
    ID_LOOK,
    Source,
    clipped,
    common_bins,
    methods_of,
    of_method,
    outline,
    set_look,
)
from methods.reporting.style import grid, legend_below

RECORD = {
    "title": "Energy histograms of head ID, tail ID and OOD",
    "needs": "scores",
    "tasks": ["multi_label"],
    "benchmark_keys": ["head_classes"],
    "parameters": {
        "score": {"type": "string", "default": "joint_energy", "description": "score instance shown"},
    },
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """One panel a method; densities share their bins within a panel."""
    names = methods_of(sources)
    shown = dict(settings["scores"]).get(settings["score"], settings["score"])
    figure, axes = grid(len(names), settings, height=1.6)
    for axis, (method, label) in zip(axes, names.items(), strict=True):
        groups = _groups(of_method(sources, method), settings)
        bins = common_bins([values for values, _ in groups.values()])
        for name, (values, dataset) in groups.items():
            inside = {**ID_LOOK, "alpha": 0.2 if name == "head ID" else 0.55}
            look = outline(set_look(settings, dataset)) if dataset else inside
            axis.hist(clipped(values, bins), bins=bins, density=True, label=f"{name} ({len(values)})", **look)
        axis.set(title=label, xlabel=shown, yticks=[])
    axes[0].set_ylabel("density")
    legend_below(figure, axes)
    return figure


def _groups(sources: Sequence[Source], settings: Mapping[str, Any]) -> dict[str, tuple[np.ndarray, str]]:
    groups: dict[str, tuple[np.ndarray, str]] = {}
    for source in sources:
        scores, labels, _ = read_scores(source.path)
        values = scores[settings["score"]]
        if source.role == "id":
            tail = tail_of(labels, settings["head_classes"])
            groups |= {"head ID": (values[~tail], ""), "tail ID": (values[tail], "")}
        else:
            groups[source.title] = (values, source.dataset)
    return groups
