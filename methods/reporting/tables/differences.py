"""Methods held against one of them: differences on every OOD set, with intervals over images and over seeds."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.metrics.counts import count
from methods.metrics.seeds import Spread, spread
from methods.metrics.uncertainty import (
    STATISTICS,
    Interval,
    Metric,
    bootstrap_sets,
    percentile_interval,
    welch_interval,
)
from methods.reporting.tables.detection import target_title
from methods.reporting.tables.parts import METRICS, Column, Table
from methods.reporting.tables.words import detection_notes, origin, protocols_of, row_label

RECORD = {
    "title": "Differences between methods, with intervals",
    "needs": "scores",
    "column_a_set": True,
    "compares": True,
}
RESAMPLES = 1000

HEADS = ("Methods", "Score", "OOD set")
Scores = Mapping[str, np.ndarray]  # of one run on one set, by score instance
Key = tuple[str, str, int, str]  # method, protocol, seed, data set
SetScores = Sequence[tuple[Key, tuple[Scores, np.ndarray]]]  # with the labels of the set's images
ScoresOfRuns = Sequence[tuple[Key, Scores]]


def make(settings: Mapping[str, Any], runs: SetScores) -> Table:
    """A row a method, score and OOD set: the method's metric minus that of ``against``, both as means over seeds.

    The interval over images is the percentile interval of 1,000 resamples of ID and OOD images, the same ones for both
    methods, all seeds and (of the ID images) all sets; the trainings are taken as they are. That over seeds is Welch's.

    Args:
        settings: those of a main table with ``against``.
        runs: scores and labels of every run on the ID test set and the OOD sets, the ID set first.

    Raises:
        ReproError: no method shares a score with ``against``.
    """
    return compare(settings, {"": [(key, scores) for key, (scores, _) in runs]}, [])


def compare(settings: Mapping[str, Any], parts: Mapping[str, ScoresOfRuns], notes: Sequence[str]) -> Table:
    """The table of :func:`make` for each part of the ID images, whose name follows that of the OOD set."""
    table = Table(_columns(settings), [], [], _caption(settings), [*detection_notes(settings), *notes], HEADS)
    labels, protocols = dict(settings["methods"]), protocols_of(settings)
    for method, label in settings["methods"]:
        for protocol in protocols if method != settings["against"] else ():
            name = f"{row_label(label, protocol, protocols)} - {labels[settings['against']]}"
            for part, runs in parts.items():
                sides = [_by_set(runs, name, protocol) for name in (method, settings["against"])]
                if all(sides):
                    _add_rows(table, name, part, sides, settings)
    refuse(
        not table.rows,
        f"The table {settings['caption']!r} has no row: no method shares a score and a protocol with "
        f"{settings['against']}. Look at the table's methods and scores.",
    )
    return table


def _add_rows(
    table: Table, name: str, part: str, sides: list[dict[str, list[Scores]]], settings: Mapping[str, Any]
) -> None:
    """Rows of a pair of methods on a part of the ID images: for each score that both have, the sets and the groups."""
    shared = [set.intersection(*(set(run) for run in next(iter(side.values())))) for side in sides]
    for score, label in settings["scores"]:
        if score in shared[0] & shared[1]:
            found = _Differences(score, sides)
            for title, sets in _targets(settings, found.sets):
                table.rows.append((name, label, f"{title}, {part}" if part else title))
                table.cells.append(_cells(found, sets, settings))


class _Differences:
    """One score of two methods: exact values and resampled ones of every run on every set."""

    def __init__(self, score: str, sides: list[dict[str, list[Scores]]]) -> None:
        inside, *self.sets = sides[0]
        values = [{name: [run[score] for run in runs] for name, runs in side.items()} for side in sides]
        self.first = len(values[0][inside])  # runs of the first method stand before those of the second
        joined = {name: [*values[0][name], *values[1][name]] for name in (inside, *self.sets)}
        outside = {name: joined[name] for name in self.sets}
        pairs = {name: list(zip(joined[inside], scores, strict=True)) for name, scores in outside.items()}
        self.exact = {
            name: {metric: [value(count(*pair)) for pair in of_set] for metric, value in STATISTICS.items()}
            for name, of_set in pairs.items()
        }
        self.resampled = bootstrap_sets(joined[inside], outside, RESAMPLES)

    def of(self, sets: Sequence[str], metric: Metric) -> tuple[float, Interval, Interval | None]:
        """Difference of the means over seeds of the average over ``sets``, its interval over images and over seeds."""
        exact = np.mean([self.exact[name][metric] for name in sets], axis=0)
        drawn = np.mean([self.resampled[name][metric] for name in sets], axis=0)
        first, second = spread(list(exact[: self.first])), spread(list(exact[self.first :]))
        difference = first.mean - second.mean
        both = drawn[: self.first].mean(axis=0) - drawn[self.first :].mean(axis=0)
        return difference, percentile_interval(difference, both), welch_interval(first, second)


def _by_set(runs: ScoresOfRuns, method: str, protocol: str) -> dict[str, list[Scores]]:
    """Data set -> scores of every seed of a method, in the order of the runs."""
    found: dict[str, list[Scores]] = {}
    for (name, own, _, dataset), scores in runs:
        if (name, own) == (method, protocol):
            found.setdefault(dataset, []).append(scores)
    return found


def _targets(settings: Mapping[str, Any], sets: Sequence[str]) -> list[tuple[str, list[str]]]:
    """(title, sets) of every row: each set shown, and the average of each group whose sets are all here."""
    shown = settings.get("shown", sets)
    found = [(target_title(settings, "set", name), [name]) for name in shown if name in sets]
    for group in settings["groups"]:
        members = [part["name"] for part in settings["sets"] if group in part["groups"]]
        if set(members) <= set(sets):
            found.append((target_title(settings, "group", group), members))
    return found


def _columns(settings: Mapping[str, Any]) -> list[Column]:
    """Of each metric the difference, and both intervals in words and, for machines, as numbers."""
    columns = []
    for metric in settings["metrics"]:
        if metric in ("auroc", "fpr95"):
            title = METRICS[metric][0]
            columns += [
                Column(f"{metric}:difference", title, "difference", 0),
                Column(f"{metric}:images", title, "95 % over images", 0, words=True),
                Column(f"{metric}:seeds", title, "95 % over seeds", 0, words=True),
            ]
    return columns


def _cells(found: _Differences, sets: Sequence[str], settings: Mapping[str, Any]) -> list[Spread | str]:
    cells: list[Spread | str] = []
    for metric in settings["metrics"]:
        if metric in ("auroc", "fpr95"):
            rule = settings["fpr_rule"] if metric == "fpr95" else ""
            difference, images, seeds = found.of(sets, (metric, rule))
            cells += [spread([difference]), _words(images), _words(seeds)]
    return cells


def _words(found: Interval | None) -> str:
    return "" if found is None else f"{100 * found.low:+.2f} to {100 * found.high:+.2f}"


def _caption(settings: Mapping[str, Any]) -> str:
    seeds = ", ".join(map(str, settings["seeds"]))
    several = len(settings["seeds"]) > 1
    seeds = f"means over seeds {seeds}" if several else f"seed {seeds}"
    parts = [
        f"{settings['caption']}. Points of percent, {seeds}: first method minus second",
        f"Over images: percentile interval of {RESAMPLES:,} resamples of ID and OOD images, the same for both methods",
        "Over seeds: Welch's interval" if several else "One seed does not tell the noise of training",
        origin(settings),
    ]
    return ". ".join(parts) + "."
