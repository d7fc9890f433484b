"""Rows of metrics.csv that only several labels an image have: AP of every class, and detection on head and tail."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features
from methods.metrics.counts import count
from methods.metrics.evaluation import Row, Scores, group_rows, metric_row
from methods.metrics.identification import MAP_RULES, rankable_classes
from methods.metrics.ranking import detection_metrics
from methods.metrics.tail import id_parts


def multilabel_rows(
    settings: Mapping[str, Any], id_scores: Scores, ood_scores: Mapping[str, Scores], test: Features
) -> list[Row]:
    """Rows of the levels ``class`` and, where the benchmark asks for it, ``tail``.

    Args:
        settings: ``classes``, their names; ``groups``; and ``tail_steps`` and ``head_classes`` where there are any.
        id_scores: instance -> (N,) scores of ID test images.
        ood_scores: OOD set -> instance -> scores.
        test: ID test features with logits (N, C) and multi-hot labels (N, C).
    """
    assert test.logits is not None
    rows = class_rows(test.logits, test.labels, settings["classes"])
    parts = id_parts(test.labels, settings.get("head_classes"), settings.get("tail_steps", ()))
    return rows + tail_rows(parts, id_scores, ood_scores, settings["groups"])


def class_rows(logits: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[Row]:
    """Number of positives and AP by both rules of every class; AP is blank for a class that all or no image has.

    Args:
        logits: (N, C), or any monotone function of them.
        labels: (N, C) multi-hot.
        classes: C names.
    """
    refuse(
        len(classes) != labels.shape[1],
        f"The ID set lists {len(classes)} classes, its labels have {labels.shape[1]}: delete its store and run again.",
    )
    truth, usable = labels.astype(bool), rankable_classes(labels)
    rows = []
    for c, name in enumerate(classes):
        rows.append(metric_row("", "class", name, "positives", "counted", int(truth[:, c].sum())))
        counts = count(logits[truth[:, c], c], logits[~truth[:, c], c]) if usable[c] else None
        for rule, area in MAP_RULES.items():
            if counts is None:
                rows.append({**metric_row("", "class", name, "ap", rule, ""), "complete": "undefined"})
            else:
                rows.append(metric_row("", "class", name, "ap", rule, area(counts)))
    return rows


def tail_rows(
    parts: Mapping[str, np.ndarray],
    id_scores: Scores,
    ood_scores: Mapping[str, Scores],
    groups: Mapping[str, list[str]],
) -> list[Row]:
    """Number of ID images of each part, and every detection metric of those that have one.

    Each part is sorted anew: sorting is the lesser part of the work, one order for all would save a third of it
    (``benchmarks/tail.py``).

    ``target`` is the part alone for the number, else ``<part>:set:<OOD set>`` or ``<part>:group:<group>``.

    Args:
        parts: name -> (N,) mask of ID images.
        id_scores: instance -> (N,) scores.
        ood_scores: OOD set -> instance -> scores.
        groups: group -> all its sets, also those that cannot be had here.
    """
    rows = [metric_row("", "tail", part, "id_images", "counted", int(mask.sum())) for part, mask in parts.items()]
    for score, inside in id_scores.items():
        for part, mask in parts.items():
            if not mask.any():
                continue
            sets = [
                metric_row(score, "set", name, *value)
                for name, outside in ood_scores.items()
                for value in detection_metrics(inside[mask], outside[score])
            ]
            for row in (*sets, *group_rows(score, sets, groups)):
                rows.append({**row, "level": "tail", "target": f"{part}:{row['level']}:{row['target']}"})
    return rows
