"""What tables of detection metrics share: a row a method and score, its cells looked up in metrics.csv."""

from collections.abc import Mapping, Sequence
from typing import Any

from methods.errors import refuse
from methods.metrics.seeds import Spread, spread
from methods.reporting.tables.parts import METRICS, BySeed, Column, Rows, RunRows, Table, seeds_of
from methods.reporting.tables.words import protocols_of, row_label
from methods.reporting.tuned import MARK, is_tuned, tuned_note

ID_RULES = ("classifier", "prototype", "class_mean", "average_precision")

# Rows of one run by score, level, target, metric and rule; a table looks up hundreds among thousands.
Index = Mapping[tuple[str, ...], Mapping[str, str]]


def add_methods(table: Table, settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Fill a table that has only columns; its row a method, protocol and score.

    Raises:
        ReproError: there is no row.
    """
    protocols = protocols_of(settings)
    for method, label in settings["methods"]:
        for protocol in protocols:
            own = seeds_of(runs, method, protocol)
            _add_rows(table, (method, row_label(label, protocol, protocols)), own, settings)
    refuse(
        not table.rows,
        f"The table {settings['caption']!r} has no row: no run has one of its scores on an OOD set that can be had "
        "here. Look at datasets.unavailable in the config and at the table's scores.",
    )
    return table


def shown_sets(settings: Mapping[str, Any]) -> list[str]:
    """OOD sets that have columns: those that the table names, else all."""
    return list(settings.get("shown", [part["name"] for part in settings["sets"]]))


def target_title(settings: Mapping[str, Any], level: str, name: str) -> str:
    """How a column calls a set or the average of a group, with a star where a set stands in for another."""
    if level == "set":
        part = next(part for part in settings["sets"] if part["name"] == name)
        return part["title"] + ("*" if part["relation"] else "")
    mark = "*" if any(part["relation"] and name in part["groups"] for part in settings["sets"]) else ""
    return settings.get("labels", {}).get(name, f"Average {name}") + mark


def metric_columns(settings: Mapping[str, Any], key: str, title: str) -> list[Column]:
    """A column a metric; ``key`` is level and target."""
    return [Column(f"{key}:{metric}", title, *METRICS[metric]) for metric in settings["metrics"]]


def _add_rows(table: Table, method: tuple[str, str], by_seed: BySeed, settings: Mapping[str, Any]) -> None:
    """One row a score that the runs of one method (name, label) have, with a note on each that was tuned."""
    own = list(by_seed.values())
    indexed = [_index(rows) for rows in own]
    present = {row["score"] for rows in own for row in rows if row["level"] != "tuned"}
    for score, label in settings["scores"]:
        if score not in settings["run_scores"][method[0]] or score not in present:
            continue
        mark = MARK if is_tuned(own, score) else ""
        if mark:
            table.notes.append(tuned_note(score, label, method[1], by_seed, settings["tuning"]["sets"]))
        table.rows.append((method[1], label + mark))
        table.cells.append([_cell(indexed, score, column, settings) for column in table.columns])


def _index(rows: Rows) -> Index:
    return {(row["score"], row["level"], row["target"], row["metric"], row["rule"]): row for row in rows}


def _cell(runs: Sequence[Index], score: str, column: Column, settings: Mapping[str, Any]) -> Spread | str:
    found = [_pick(index, score, column, settings) for index in runs]
    if any(row is None for row in found):
        return "n/a"
    texts = [row["value"] for row in found if row is not None]
    if "" in texts:
        return next(row["complete"] for row in found if row is not None and row["value"] == "")
    return spread([float(text) for text in texts])


def _pick(index: Index, score: str, column: Column, settings: Mapping[str, Any]) -> Mapping[str, str] | None:
    if column.key == "id":
        own = {key[4]: row for key, row in index.items() if key[1] == "id"}
        return next((own[rule] for rule in ID_RULES if rule in own), None)
    level, place = column.key.split(":", 1)
    target, metric = place.rsplit(":", 1)
    rule = {"fpr95": settings["fpr_rule"], "auroc": ""}.get(metric, settings["aupr_rule"])
    return index.get((score, level, target, metric, rule))
