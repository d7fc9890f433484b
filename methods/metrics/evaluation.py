"""All metrics of one run as rows: detection on every OOD set and group, and how well ID classes are known."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.metrics.calibration import expected_calibration_error
from methods.metrics.identification import (
    MAP_RULES,
    accuracy,
    mean_average_precision,
    nearest_class_mean,
    nearest_prototype,
    rankable_classes,
)
from methods.metrics.openset import oscr
from methods.metrics.ranking import detection_metrics
from methods.metrics.uncertainty import bootstrap_intervals

Scores = Mapping[str, np.ndarray]
Row = dict[str, Any]


def evaluation_rows(
    settings: Mapping[str, Any],
    id_scores: Scores,
    ood_scores: Mapping[str, Scores],
    train: Features,
    test: Features,
    readout: Readout,
) -> list[Row]:
    """Rows with ``score``, ``level``, ``target``, ``metric``, ``rule``, ``value``, ``complete``.

    Levels are ``set``, ``group``, ``interval`` (of a set, over images), ``id`` and, by :func:`tuned_rows`, ``tuned``;
    :mod:`methods.metrics.multilabel` adds ``class`` and ``tail``.

    Args:
        settings: ``task``, ``sets``, ``groups`` (group -> all its sets, also those that cannot be had here) and
            ``bootstrap``, the number of resamples behind intervals; 0 for none.
        id_scores: instance -> (N,) scores of ID test images.
        ood_scores: OOD set -> instance -> scores.
        train: ID training features.
        test: ID test features.
        readout: classifier and prototypes.
    """
    rows: list[Row] = []
    predicted = [] if settings["task"] == "multi_label" else _predictions(train, test, readout)
    for score, inside in id_scores.items():
        sets = [
            metric_row(score, "set", name, metric, rule, value)
            for name, outside in ood_scores.items()
            for metric, rule, value in [
                *detection_metrics(inside, outside[score]),
                *(("oscr", rule, oscr(inside, classes, test.labels, outside[score])) for rule, classes in predicted),
            ]
        ]
        rows += sets + group_rows(score, sets, settings["groups"])
        for name, outside in ood_scores.items() if settings["bootstrap"] else ():
            rows += _interval_rows(score, name, (inside, outside[score]), settings["bootstrap"])
    return rows + identification_rows(settings["task"], train, test, readout)


def identification_rows(task: str, train: Features, test: Features, readout: Readout) -> list[Row]:
    """ID accuracy by classifier, class mean and prototype where they exist and ECE, or mAP by both rules."""
    if task == "multi_label":
        assert test.logits is not None
        values = {("map", rule): mean_average_precision(test.logits, test.labels, rule) for rule in MAP_RULES}
        values["map_classes", "counted"] = float(rankable_classes(test.labels).sum())
    else:
        values = {
            ("accuracy", rule): accuracy(predicted, test.labels)
            for rule, predicted in _predictions(train, test, readout)
        }
        if test.logits is not None and test.logits.shape[1] > 1:
            values["ece", "15_bins"] = expected_calibration_error(test.logits, test.labels)
    return [metric_row("", "id", "test", metric, rule, value) for (metric, rule), value in values.items()]


def tuned_rows(choices: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row a tuned parameter: ``target`` is its name, ``value`` what was chosen, ``rule`` the metric it went by."""
    return [
        metric_row(score, "tuned", key, "chosen", choice["by"], value if isinstance(value, str) else json.dumps(value))
        for score, choice in choices.items()
        for key, value in choice["chosen"].items()
    ]


def _predictions(train: Features, test: Features, readout: Readout) -> list[tuple[str, np.ndarray]]:
    found = [("class_mean", nearest_class_mean(test.embedding, train.embedding, train.labels))]
    if test.logits is not None:
        found.append(("classifier", test.logits.argmax(axis=1)))
    if readout.prototypes is not None and readout.prototype_classes is not None and test.projection is not None:
        found.append(("prototype", nearest_prototype(test.projection, readout.prototypes, readout.prototype_classes)))
    return found


def _interval_rows(score: str, name: str, pair: tuple[np.ndarray, np.ndarray], replicates: int) -> list[Row]:
    """Bounds of 95 % bootstrap intervals over images, stratified; the same resamples for every score and method."""
    found = bootstrap_intervals(pair, replicates=replicates)
    bounds = {"low95": {key: part.low for key, part in found.items()}}
    bounds["high95"] = {key: part.high for key, part in found.items()}
    return [
        metric_row(score, "interval", name, metric, f"{rule}:{bound}".lstrip(":"), value)
        for bound, values in bounds.items()
        for (metric, rule), value in values.items()
    ]


def group_rows(score: str, sets: list[Row], groups: Mapping[str, list[str]]) -> list[Row]:
    """Averages over the sets of every group of what ``sets``, rows of single OOD sets, hold; blank if one is missing.

    ``groups`` maps a group to all its sets, also those that cannot be had here.
    """
    rows = []
    for group, members in groups.items():
        present = [row for row in sets if row["target"] in members]
        for metric, rule in dict.fromkeys((row["metric"], row["rule"]) for row in sets):
            values = [row["value"] for row in present if (row["metric"], row["rule"]) == (metric, rule)]
            whole = len(values) == len(members)
            mean = sum(values) / len(values) if whole else ""
            rows.append(
                {
                    **metric_row(score, "group", group, metric, rule, mean),
                    "complete": f"{len(values)} of {len(members)}",
                }
            )
    return rows


def metric_row(score: str, level: str, target: str, metric: str, rule: str, value: float | str) -> Row:
    """One row of metrics.csv; refuses NaN and infinity."""
    refuse(isinstance(value, float) and not np.isfinite(value), f"{metric} of {score} on {target} is {value}.")
    return {
        "score": score,
        "level": level,
        "target": target,
        "metric": metric,
        "rule": rule,
        "value": value,
        "complete": "1 of 1",
    }
