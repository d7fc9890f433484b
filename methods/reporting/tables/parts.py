"""A table, its columns and its cells.

Values are means over seeds with sample standard deviations, in percent with two decimals; CSV holds them in full.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from methods.metrics.seeds import Spread

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
    """One column: ``direction`` is 1 if higher is better, -1 if lower, 0 if nothing is compared."""

    key: str
    group: str
    name: str
    direction: int


@dataclass
class Table:
    """A finished table.

    Attributes:
        columns: value columns, left to right.
        rows: the two labels of each row, a method and a score where ``heads`` says nothing else.
        cells: for each row one spread or a text (blank, "n of m") a column.
        caption: what it shows, protocol, convention, seeds.
        notes: one line a mark.
        heads: what the two labels are.
        scale: factor of the values that readers see; CSV has them as they are.
    """

    columns: list[Column]
    rows: list[tuple[str, str]]
    cells: list[list[Spread | str]]
    caption: str
    notes: list[str] = field(default_factory=list)
    heads: tuple[str, str] = ("Method", "Score")
    scale: float = 100

    def best(self, column: int) -> set[int]:
        """Rows with the best mean of a column, if it has at least two."""
        direction = self.columns[column].direction
        means = {i: row[column].mean for i, row in enumerate(self.cells) if isinstance(row[column], Spread)}  # type: ignore[union-attr]
        if direction == 0 or len(means) < 2:
            return set()
        top = max(direction * value for value in means.values())
        return {i for i, value in means.items() if direction * value == top}


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
