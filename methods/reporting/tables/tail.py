"""Methods and scores on all ID images, those of the head and those of the tail (EDGE's analysis)."""

from collections.abc import Mapping
from typing import Any

from methods.reporting.tables.detection import add_methods, metric_columns, shown_sets, target_title
from methods.reporting.tables.parts import Column, RunRows, Table
from methods.reporting.tables.words import detection_caption, detection_notes

RECORD = {
    "title": "Methods and scores on all, head and tail ID",
    "needs": "metrics",
    "column_a_set": True,
    "tasks": ["multi_label"],
    "benchmark_keys": ["head_classes"],
}

# Part of the ID images -> level and beginning of the target of its rows
_PARTS = {"all": "", "head": "tail:head:", "tail": "tail:tail:"}


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Columns for all, head and tail ID against the average of every group named, else against every OOD set."""
    head, tail = (_images(part, runs) for part in ("head", "tail"))
    notes = [*detection_notes(settings), split_note(settings["head_classes"], head, tail)]
    notes += [f"n/a: no ID image is in the {part}." for part, count in (("head", head), ("tail", tail)) if not count]
    return add_methods(Table(_columns(settings), [], [], detection_caption(settings), notes), settings, runs)


def _columns(settings: Mapping[str, Any]) -> list[Column]:
    targets = [("group", group) for group in settings["groups"]]
    targets = targets or [("set", name) for name in shown_sets(settings)]
    columns = []
    for level, target in targets:
        title = target_title(settings, level, target)
        for part, beginning in _PARTS.items():
            columns += metric_columns(settings, f"{beginning}{level}:{target}", f"{title}, {part} ID")
    return columns


def _images(part: str, runs: RunRows) -> int:
    """Number of ID test images of a part, the same in every run."""
    return next(
        int(row["value"])
        for _, rows in runs
        for row in rows
        if (row["level"], row["target"], row["metric"]) == ("tail", part, "id_images")
    )


def split_note(classes: int, head: int, tail: int) -> str:
    """What head and tail are, for the notes of a table."""
    what = "the most frequent class" if classes == 1 else f"one of the {classes} most frequent classes"
    return (
        f"Head ID: the {head} ID test images with {what} of this split (of equally frequent ones the lower index), "
        f"tail ID: the {tail} others."
    )
