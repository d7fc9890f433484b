"""Dilation distances of candidate outlier sets as bars, the nearest set on top (EDGE's selection of outliers)."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from methods.csv_file import read_csv
from methods.metrics.seeds import spread
from methods.reporting.figures.sources import Source
from methods.reporting.style import palette, panels

RECORD = {
    "title": "Dilation distance of candidate outlier sets",
    "needs": "dilation",
    "benchmark_keys": ["outlier_selection"],
    "parameters": {},
}


def draw(settings: Mapping[str, Any], sources: Sequence[Source]) -> Figure:
    """One bar a candidate: mean over seeds with its standard deviation; what is trained with is filled darker."""
    rows = [row for source in sources for row in read_csv(source.path)]
    form = settings["selection"]["form"]
    found = {
        part["name"]: spread([float(row[form]) for row in rows if row["dataset"] == part["name"]])
        for part in settings["candidates"]
    }
    order = sorted(settings["candidates"], key=lambda part: -found[part["name"]].mean)
    figure, axes = panels(1, 1, 0.6 + 0.3 * len(order), settings)
    axis = axes[0][0]
    for place, part in enumerate(order):
        value = found[part["name"]]
        error = np.nan_to_num(value.std) or None
        bar = axis.barh(place, value.mean, xerr=error, error_kw={"linewidth": 0.8}, color=palette(settings)[0])
        bar[0].set_alpha(1.0 if part["used"] else 0.45)
    names = [f"{part['title']}\n{part['split']}{', trained with' if part['used'] else ''}" for part in order]
    axis.set(xlabel=f"dilation distance\n({form})", yticks=range(len(order)), yticklabels=names)
    return figure
