"""Scores that are tuned or fitted on validation images: what a paper asks for, and what that makes of an instance.

An instance with ``tune`` has fixed values too: they hold on a benchmark without an OOD validation set.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from methods.registry import records
from methods.settings.parts import part_problems
from methods.settings.schema import nearest
from methods.settings.study import Study

# Keys of a score instance that are no parameters of its module.
CHOICE_KEYS = ("label", "tune", "tune_by")

Instance = Mapping[str, Any]


def grid_problems(name: str, score: Instance) -> Iterator[str]:
    """What is wrong with the values that a valid score instance wants to be tried, one sentence each."""
    place, known = f"scores.{name}", records("scores")[score["score"]]["parameters"]
    if "tune_by" in score and "tune" not in score:
        yield f"{place} has tune_by without tune, the values to choose from"
    if "tune" in score and fits_on_validation(score):
        yield f"{place} is fitted on the ID validation images that it would be tuned on: leave out fit_on or tune"
    fixed = {key: value for key, value in score.items() if key not in CHOICE_KEYS}
    for key, values in score.get("tune", {}).items():
        if key not in known:
            yield f"{place}.tune names {key!r}: {nearest(key, known)}"
            continue
        for number, value in enumerate(values):
            found = part_problems("scores", "score", {**fixed, key: value}, f"{place}.tune")
            yield from (line.replace(f"{place}.tune.{key}", f"{place}.tune.{key}.{number}") for line in found)


def fits_on_validation(score: Instance) -> bool:
    """Whether an instance learns from ID validation features, or would if it were chosen."""
    return "validation" in [score.get("fit_on"), *score.get("tune", {}).get("fit_on", [])]


def settled(study: Study, benchmark: str, name: str) -> dict[str, Any]:
    """A score instance as the steps take it: with ``tune`` and ``tune_by`` only if it can be tuned there."""
    score = study.scores[name]
    fixed = {key: value for key, value in score.items() if key not in CHOICE_KEYS}
    if "tune" not in score or not study.ood_validation(benchmark):
        return fixed
    kept = {key: value for key, value in fixed.items() if key not in score["tune"]}
    return {**kept, "tune": score["tune"], "tune_by": score.get("tune_by", "auroc")}


def splits(study: Study, benchmark: str) -> list[tuple[str, str]]:
    """(data set, split) of ID validation, then of each OOD validation set."""
    source = study.benchmarks[benchmark]["in_distribution"]
    outside = [(name, part["split"]) for name, part in study.ood_validation(benchmark).items()]
    return [(source["dataset"], source["validation"]), *outside]
