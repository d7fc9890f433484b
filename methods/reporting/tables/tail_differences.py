"""Methods held against one of them on head ID and tail ID alone (EDGE's analysis), with intervals."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.metrics.tail import tail_of
from methods.reporting.tables.differences import ScoresOfRuns, SetScores, compare
from methods.reporting.tables.parts import Table
from methods.reporting.tables.tail import split_note

RECORD = {
    "title": "Differences between methods on head and tail ID, with intervals",
    "needs": "scores",
    "column_a_set": True,
    "compares": True,
    "tasks": ["multi_label"],
    "benchmark_keys": ["head_classes"],
}


def make(settings: Mapping[str, Any], runs: SetScores) -> Table:
    """The table `differences` twice: with the head and with the tail of the ID images in the place of all.

    Raises:
        ReproError: head or tail is empty, or no method shares a score with ``against``.
    """
    inside = runs[0][0][3]
    tail = tail_of(runs[0][1][1], settings["head_classes"])
    parts = {"head ID": _of_part(runs, inside, ~tail), "tail ID": _of_part(runs, inside, tail)}
    note = split_note(settings["head_classes"], int((~tail).sum()), int(tail.sum()))
    return compare(settings, parts, [note])


def _of_part(runs: SetScores, inside: str, kept: np.ndarray) -> ScoresOfRuns:
    """Scores of all runs, of the ID set ``inside`` those of the images that are ``kept`` alone."""
    return [
        (key, {name: values[kept] for name, values in scores.items()} if key[3] == inside else scores)
        for key, (scores, _) in runs
    ]
