"""Average precision of every class, most frequent first, a column a method."""

from collections.abc import Mapping, Sequence
from typing import Any

from methods.errors import refuse
from methods.metrics.seeds import Spread, spread
from methods.reporting.tables.parts import Column, Rows, RunRows, Table, seeds_of
from methods.reporting.tables.words import (
    AREA_RULES,
    imported_notes,
    left_out_notes,
    origin,
    over_seeds,
    protocols_of,
    row_label,
)

RECORD = {"title": "Average precision of every class", "needs": "metrics", "tasks": ["multi_label"]}

Values = Mapping[tuple[str, str], str]  # (class, metric) -> value of one run


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """A row a class and the mean over all that are defined; of equally frequent classes the lower index comes first.

    Raises:
        ReproError: the runs were not evaluated on the same images.
    """
    rule, protocols = settings["aupr_rule"], protocols_of(settings)
    columns, values = [], []
    for method, label in settings["methods"]:
        for protocol in protocols:
            if own := seeds_of(runs, method, protocol):
                columns.append(Column(f"{method}:{protocol}", "AP", row_label(label, protocol, protocols), 0))
                values.append([_values(rows, rule) for rows in own.values()])
    positives = _positives([value for method in values for value in method])
    table = Table(columns, [], [], _caption(settings), _notes(settings, positives, values), ("Class", "Positives"))
    for name in sorted(positives, key=lambda name: -positives[name]):
        table.rows.append((name, str(positives[name])))
        table.cells.append([_cell([run[name, "ap"] for run in method]) for method in values])
    table.rows.append(("Mean", ""))
    table.cells.append([_cell([run["test", "map"] for run in method]) for method in values])
    return table


def _values(rows: Rows, rule: str) -> Values:
    wanted = {("class", "positives", "counted"), ("class", "ap", rule), ("id", "map", rule)}
    shown = (row for row in rows if (row["level"], row["metric"], row["rule"]) in wanted)
    return {(row["target"], row["metric"]): row["value"] for row in shown}


def _positives(runs: Sequence[Values]) -> dict[str, int]:
    """Class -> images that have it, in the order of the indices."""
    found = [{name: int(value) for (name, metric), value in run.items() if metric == "positives"} for run in runs]
    refuse(
        any(counts != found[0] for counts in found),
        "The runs of the table have different numbers of positives: delete their metrics.csv and run again.",
    )
    return found[0]


def _cell(texts: Sequence[str]) -> Spread | str:
    return "undefined" if "" in texts else spread([float(text) for text in texts])


def _caption(settings: Mapping[str, Any]) -> str:
    parts = [settings["caption"], f"Percent, {over_seeds(settings)}"]
    order = "Classes by their number of positives in the evaluated split, of equal ones the lower index first"
    return ". ".join([*parts, f"AP: {AREA_RULES[settings['aupr_rule']]}", order, origin(settings)]) + "."


def _notes(settings: Mapping[str, Any], positives: Mapping[str, int], values: Sequence[Sequence[Values]]) -> list[str]:
    notes = [*left_out_notes(settings), *imported_notes(settings)]
    if gone := [name for name in positives if values[0][0][name, "ap"] == ""]:
        notes.append(f"undefined: {', '.join(gone)}, which no image or every image has; the mean leaves such out.")
    return notes
