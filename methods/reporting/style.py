"""One style for all figures: vector, colour-blind safe, readable at column width, the same bytes every time."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.files import atomic

COLUMN_INCHES = 3.3
PAGE_INCHES = 6.9
# Okabe and Ito's colours; black and yellow are left out, the one for ID images, the other too light on white.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
ID_COLOUR = "#222222"
LINES = ("-", "--", "-.", ":")

_STYLE: dict[Any, Any] = {
    "font.size": 7,
    "axes.titlesize": 7,
    "axes.labelsize": 7,
    "legend.fontsize": 6,
    "xtick.labelsize": 6,
    "ytick.labelsize": 6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "lines.linewidth": 1.1,
    "legend.framealpha": 0.75,  # lines below stay visible, words stay legible
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "svg.hashsalt": "ood-repro",
    "pdf.fonttype": 42,
}


def panels(rows: int, columns: int, height: float = 1.7) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns panels, one column wide for one panel, a page wide for more."""
    plt.rcParams.update(_STYLE)
    width = COLUMN_INCHES if columns == 1 else PAGE_INCHES
    figure, axes = plt.subplots(rows, columns, figsize=(width, height * rows), squeeze=False, layout="constrained")
    return figure, [list(row) for row in axes]


def colour_of(name: str, order: Sequence[str]) -> str:
    """The colour of a method or set: its place in ``order``, so that it is the same in every figure."""
    return COLOURS[list(order).index(name) % len(COLOURS)]


def line_of(name: str, order: Sequence[str]) -> str:
    """A dash pattern by place in ``order``, so that lines stay apart in gray."""
    return LINES[list(order).index(name) % len(LINES)]


def save(figure: Figure, svg: str | Path, pdf: str | Path) -> None:
    """Write both forms without dates."""
    with atomic(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "ood-repro"})
    with atomic(pdf) as temporary:
        empty = {"CreationDate": None, "Creator": "ood-repro", "Producer": None}
        figure.savefig(temporary, format="pdf", metadata=empty)
    plt.close(figure)
