"""Choosing hyper-parameters of scores on ID validation images and OOD validation sets, which no test set shares.

Every combination of the values under ``tune`` is tried as a score of its own; the one with the best mean over OOD
validation sets is taken, the first of equals in the order of the values (parameters in alphabetical order).
"""

from collections.abc import Callable, Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from methods.errors import ReproError, refuse
from methods.features.arrays import Features, Readout
from methods.metrics.counts import count
from methods.metrics.ranking import auroc, fpr_closest
from methods.scores.base import Instances, fit_instances, score_instances

Scores = Mapping[str, np.ndarray]
# Scores of some instances on ID validation images, then on each OOD validation set.
Measure = Callable[[Instances], Sequence[Scores]]

_METRICS = {"auroc": (auroc, 1), "fpr95": (fpr_closest, -1)}  # metric, direction


def tune(instances: Instances, measure: Measure) -> dict[str, dict[str, Any]]:
    """What is chosen for each of ``instances``, all of which have ``tune`` and ``tune_by``.

    Returns:
        name -> ``chosen`` (parameter -> value), ``by`` (metric) and ``tried``: one mapping a combination, of its values
        and the mean ``auroc`` and ``fpr95`` over OOD validation sets.

    Raises:
        ReproError: a combination cannot be computed; names it.
    """
    return {name: _tune_one(name, parameters, measure) for name, parameters in instances.items()}


def candidates(parameters: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every combination of the values under ``tune``, in order."""
    grid = dict(sorted(parameters["tune"].items()))
    return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]


def resolved(instances: Instances, choices: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """The instances with what was chosen in the place of ``tune`` and ``tune_by``.

    Raises:
        ReproError: for an instance with ``tune`` nothing was chosen.
    """
    found = {}
    for name, part in instances.items():
        missing = "tune" in part and set(part["tune"]) != set(choices.get(name, {}).get("chosen", {}))
        refuse(missing, f"Nothing was chosen for {name}: delete the run's tuned.json and run the same command again.")
        found[name] = {**_fixed(part), **(choices[name]["chosen"] if "tune" in part else {})}
    return found


def on_features(train: Features, readout: Readout, sets: Sequence[Features]) -> Measure:
    """Scores from features: ``sets`` are those of ID validation images, then of each OOD validation set."""

    def measure(instances: Instances) -> list[Scores]:
        fitted = fit_instances(instances, train, readout)
        return [score_instances(instances, features, fitted, train) for features in sets]

    return measure


def _tune_one(name: str, parameters: Mapping[str, Any], measure: Measure) -> dict[str, Any]:
    values, fixed = candidates(parameters), _fixed(parameters)
    instances = {", ".join(f"{key} = {part[key]}" for key in part): {**fixed, **part} for part in values}
    try:
        inside, *outside = measure(instances)
        means = [_means(inside[key], [scores[key] for scores in outside]) for key in instances]
    except ReproError as error:
        raise ReproError(f"{name} cannot be tuned over {parameters['tune']}: {error}") from error
    tried = [{**part, **found} for part, found in zip(values, means, strict=True)]
    by = parameters["tune_by"]
    best = max(range(len(tried)), key=lambda number: (_METRICS[by][1] * tried[number][by], -number))
    return {"chosen": values[best], "by": by, "tried": tried}


def _means(inside: np.ndarray, outside: Sequence[np.ndarray]) -> dict[str, float]:
    counts = [count(inside, scores) for scores in outside]
    return {name: float(np.mean([metric(part) for part in counts])) for name, (metric, _) in _METRICS.items()}


def _fixed(parameters: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in parameters.items() if key not in ("tune", "tune_by")}
