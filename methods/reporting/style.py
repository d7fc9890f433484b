"""One style for all figures: vector, colour-blind safe, readable at column width, the same bytes every time.

What a figure's entry may say of it (``width``, ``style``) is in its settings and is applied by :func:`panels` and
:func:`grid`; both set every value anew, so that no figure inherits anything from the one before.
"""

import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib

matplotlib.use("Agg")

from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from methods.files import atomic

COLUMN_INCHES = 3.3
PAGE_INCHES = 6.9
# Okabe and Ito's colours without black (ID images) and yellow (too light on white), and two of Tol's that stay as far
# from all of them as these stay from one another, with red-green blindness too.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#882255", "#332288")
GREYS = ("#000000", "#6B6B6B", "#A6A6A6", "#3D3D3D", "#8A8A8A", "#222222", "#BDBDBD", "#555555")
ID_COLOUR = "#222222"
QUIET = "#999999"  # lines that only guide the eye
LINES = ("-", "--", "-.", ":")
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
FONT_SIZE = 7.0

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.6,
    "axes.grid": False,
    "axes.axisbelow": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.4,
    "lines.linewidth": 1.1,
    "lines.markersize": 3.0,
    "legend.framealpha": 0.75,  # lines below stay visible, words stay legible
    "legend.edgecolor": "none",
    "legend.borderpad": 0.2,
    "legend.handlelength": 3.6,  # long enough for a whole dash pattern with its marker
    "svg.hashsalt": "ood-repro",
    "pdf.fonttype": 42,
}
# Options of ``style`` that are values of matplotlib as they stand
_NAMES = {"font": "font.family", "line_width": "lines.linewidth", "grid": "axes.grid"}


class Look(NamedTuple):
    """How a method or set is drawn wherever it is drawn: colour, dashes, marker."""

    colour: str
    line: str
    marker: str


def look_of(name: str, order: Sequence[str], grey: bool = False) -> Look:
    """The look of a name by its place in ``order``.

    The first 32 names differ in colour or dashes, the first 25 in dashes or marker alone, as grey print needs it.
    """
    place, palette = list(order).index(name), GREYS if grey else COLOURS
    turn = place + place // len(palette)
    return Look(palette[place % len(palette)], LINES[turn % len(LINES)], MARKERS[turn % len(MARKERS)])


def is_grey(settings: Mapping[str, Any]) -> bool:
    """Whether a figure is asked for without colours."""
    return settings.get("style", {}).get("grey", False)


def palette(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """Colours of what is neither a method nor a set."""
    return GREYS if is_grey(settings) else COLOURS


def panels(
    rows: int, columns: int, height: float = 1.7, settings: Mapping[str, Any] | None = None
) -> tuple[Figure, list[list[Axes]]]:
    """A figure of rows x columns panels, ``height`` inches each.

    It is as wide as its settings say: without these a column for one panel, a page for more.
    """
    plt.rcParams.update(_style(settings or {}))
    wide = (settings or {}).get("width", "column" if columns == 1 else "page") == "page"
    size = (PAGE_INCHES if wide else COLUMN_INCHES, height * rows)
    figure, axes = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    return figure, [list(row) for row in axes]


def grid(
    count: int, settings: Mapping[str, Any], height: float, most: int = 3, narrow: int = 1
) -> tuple[Figure, list[Axes]]:
    """A figure of ``count`` panels in even rows of at most ``most`` on a page, of ``narrow`` in a column."""
    rows = -(-count // (narrow if settings.get("width") == "column" else most))
    figure, axes = panels(rows, -(-count // rows), height, settings)
    flat = [axis for row in axes for axis in row]
    for axis in flat[count:]:
        axis.remove()
    return figure, flat[:count]


def legend_below(figure: Figure, source: Axes | Sequence[Axes], title: str | None = None) -> None:
    """The legend of one panel, or of several, below all, in as many columns as its words leave room for.

    The figure grows by it. What several panels show is named once.
    """
    each_panel = [axis.get_legend_handles_labels() for axis in ([source] if isinstance(source, Axes) else source)]
    shown = {label: handle for panel in each_panel for handle, label in zip(*panel, strict=True)}
    handles, labels = list(shown.values()), list(shown)
    size = plt.rcParams["legend.fontsize"]
    longest = max((len(label) for label in labels), default=1)
    each = (0.55 * longest + 6) * size / 72  # inches of one entry; a letter is about 0.55 of its size wide
    columns = min(len(labels), max(1, int(figure.get_figwidth() / each)))
    if title:
        title = textwrap.fill(title, int(figure.get_figwidth() * 72 / (0.55 * size)))
    lines = -(-len(labels) // max(1, columns)) + (title.count("\n") + 1 if title else 0)
    figure.set_figheight(figure.get_figheight() + (1.45 * lines + 1) * size / 72)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, title=title)


def save(figure: Figure, svg: str | Path, pdf: str | Path) -> None:
    """Write both forms without dates."""
    with atomic(svg) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None, "Creator": "ood-repro"})
    with atomic(pdf) as temporary:
        empty = {"CreationDate": None, "Creator": "ood-repro", "Producer": None}
        figure.savefig(temporary, format="pdf", metadata=empty)
    plt.close(figure)


def _style(settings: Mapping[str, Any]) -> dict[Any, Any]:
    own = settings.get("style", {})
    size = own.get("font_size", FONT_SIZE)
    large = dict.fromkeys(["font.size", "axes.titlesize", "axes.labelsize"], size)
    small = ["legend.fontsize", "legend.title_fontsize", "xtick.labelsize", "ytick.labelsize"]
    return {
        **_STYLE,
        **large,
        **dict.fromkeys(small, size - 1),
        **{name: own[key] for key, name in _NAMES.items() if key in own},
    }
