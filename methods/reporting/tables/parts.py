"""A table, its columns and its cells.

Values are means over seeds with sample standard deviations, in percent with two decimals; CSV holds them in full.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from methods.metrics.seeds import Spread
from methods.metrics.uncertainty import exceeds_noise

METRICS = {
    "fpr95": ("FPR95", -1),
    "auroc": ("AUROC", 1),
    "aupr_in": ("AUPR-in", 1),
    "aupr_out": ("AUPR-out", 1),
}

Rows = Sequence[Mapping[str, str]]  # of metrics.csv or cost.csv
RunRows = Sequence[tuple[tuple[str, str, int], Rows]]  # (method, protocol, seed) and its rows
BySeed = Mapping[int, Rows]


@dataclass(frozen=True)
class Column:
    """One column: ``direction`` is 1 if higher is better, -1 if lower, 0 if nothing is compared.

    A column of ``words`` holds texts; one for the ``machine`` stands in the CSV alone.
    """

    key: str
    group: str
    name: str
    direction: int
    words: bool = False
    machine: bool = False


@dataclass
class Table:
    """A finished table.

    Attributes:
        columns: value columns, left to right.
        rows: the labels of each row, a method and a score where ``heads`` says nothing else.
        cells: for each row one spread or a text (blank, "n of m") a column.
        caption: what it shows, protocol, convention, seeds.
        notes: one line a mark.
        heads: what the labels are.
        scale: factor of the values that readers see; CSV has them as they are.
    """

    columns: list[Column]
    rows: list[tuple[str, ...]]
    cells: list[list[Spread | str]]
    caption: str
    notes: list[str] = field(default_factory=list)
    heads: tuple[str, ...] = ("Method", "Score")
    scale: float = 100

    def marked(self, column: int) -> tuple[int | None, int | None]:
        """Row of the best and of the second-best mean of a column, each only if it beats the next beyond the noise."""
        direction = self.columns[column].direction
        found = {i: cell for i, row in enumerate(self.cells) if isinstance(cell := row[column], Spread)}
        order = sorted(found, key=lambda i: -direction * found[i].mean) if direction else []
        clear = [exceeds_noise(found[a], found[b]) for a, b in pairwise(order)]
        best = order[0] if clear[:1] == [True] else None
        return best, order[1] if clear[1:2] == [True] else None

    def marking(self) -> list[str]:
        """A note on what bold and underlined mean; none where nothing is compared."""
        compared = [cell for row in self.cells for c, cell in zip(self.columns, row, strict=True) if c.direction]
        counts = [cell.count for cell in compared if isinstance(cell, Spread)]
        if len(self.rows) < 2 or not counts:
            return []
        if max(counts) < 2:
            return ["No value is marked as best: one seed does not tell how large the noise is."]
        return [
            "Bold: best, underlined: second; only where the next is further than the noise over seeds (Welch, 5 %)."
        ]


def seeds_of(runs: RunRows, method: str, protocol: str) -> dict[int, Rows]:
    """Seed -> rows of the runs of one method under one protocol."""
    return {seed: rows for (name, p, seed), rows in runs if name == method and p == protocol}


def percent(cell: Spread | str, scale: float = 100) -> str:
    """``12.34 ± 0.56``; a single seed has no deviation."""
    if isinstance(cell, str):
        return cell
    if math.isnan(cell.std):
        return f"{scale * cell.mean:.2f}"
    return f"{scale * cell.mean:.2f} ± {scale * cell.std:.2f}"
