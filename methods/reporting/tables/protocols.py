"""The released protocol beside the corrected one: how much of a number is protocol."""

from collections.abc import Mapping, Sequence
from typing import Any

from methods.metrics.seeds import Spread, spread
from methods.reporting.tables import main
from methods.reporting.tables.parts import Column, RunRows, Table

RECORD = {
    "title": "Released against corrected protocol",
    "needs": "metrics",
    "both_protocols": True,
    "column_a_set": True,
}

_SIDES = ("released", "corrected")


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """A row a method and score under both protocols; a set's columns are released, corrected and their difference.

    Methods whose released code holds no quirk have no released protocol, and no row.
    """
    sides = [_side(settings, runs, protocol) for protocol in _SIDES]
    both = [row for row in sides[0].rows if row in sides[1].rows]
    table = Table(_columns(sides[0].columns), both, [], sides[0].caption, sides[0].notes)
    for row in both:
        pair = [side.cells[side.rows.index(row)] for side in sides]
        table.cells.append(
            [cell for released, corrected in zip(*pair, strict=True) for cell in _three(released, corrected)]
        )
    gone = [row for side in sides for row in side.rows if row not in both]
    if names := list(dict.fromkeys(method for method, *_ in gone)):
        table.notes.append(f"Under one protocol alone, and so not shown: {', '.join(names)}.")
    return table


def _side(settings: Mapping[str, Any], runs: RunRows, protocol: str) -> Table:
    """The main table of one protocol, with the caption of both."""
    own = [(name, rows) for name, rows in runs if name[1] == protocol]
    with_runs = [[method, label] for method, label in settings["methods"] if any(name[0] == method for name, _ in own)]
    names = [list(name) for name, _ in own]
    found = main.make({**settings, "runs": names, "methods": with_runs}, own)
    found.caption = found.caption.replace(f"Protocol: {protocol}", "Protocol: released and corrected")
    return found


def _columns(columns: Sequence[Column]) -> list[Column]:
    found = []
    for column in columns:
        title = f"{column.group} {column.name}".strip()
        found += [Column(f"{column.key}:{name}", title, name, 0) for name in (*_SIDES, "difference")]
    return found


def _three(released: Spread | str, corrected: Spread | str) -> list[Spread | str]:
    """Both values and corrected minus released."""
    if isinstance(released, str) or isinstance(corrected, str):
        return [released, corrected, ""]
    return [released, corrected, spread([corrected.mean - released.mean])]
