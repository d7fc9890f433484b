"""Methods and scores against OOD sets."""

from collections.abc import Mapping
from typing import Any

from methods.reporting.tables.detection import add_methods, metric_columns, shown_sets, target_title
from methods.reporting.tables.parts import Column, RunRows, Table
from methods.reporting.tables.words import detection_caption, detection_notes, id_column

RECORD = {"title": "Methods and scores against OOD sets", "needs": "metrics", "column_a_set": True}


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """A row a method and score, columns for ID, every OOD set and the averages of groups.

    Args:
        settings: the table's entry joined with labels, sets and seeds.
        runs: ((method, protocol, seed), rows of metrics.csv) of every run.
    """
    caption = detection_caption(settings, id_column(settings))
    return add_methods(Table(_columns(settings), [], [], caption, detection_notes(settings)), settings, runs)


def _columns(settings: Mapping[str, Any]) -> list[Column]:
    name = "mAP" if settings["task"] == "multi_label" else "Acc."
    targets = [("set", name) for name in shown_sets(settings)]
    targets += [("group", group) for group in settings["groups"]]
    columns = [Column("id", "ID", name, 0)]
    for level, target in targets:
        columns += metric_columns(settings, f"{level}:{target}", target_title(settings, level, target))
    return columns
