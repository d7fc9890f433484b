"""Fitting and applying the score instances of a run.

A score is a module with a RECORD and ``score(features, fitted, parameters) -> (N,)``, higher = more in-distribution;
one that learns from the ID training set also has ``fit(train, readout, parameters) -> arrays``, and is given the
validation set instead if its parameter ``fit_on`` is "validation". A score that needs the
training embeddings themselves says so (``train_embedding``) and finds them in ``fitted``. A record with ``sweep`` names
the parameter whose values ``sweep(features, fitted, parameters, values) -> {value: (N,)}`` scores all at once.

Training features are read from the disk piece by piece (:mod:`methods.features.rows`); a score that asks for all of
them as an array gets them, at the price of the memory.
"""

from collections.abc import Mapping
from typing import Any, cast

import numpy as np

from methods import registry
from methods.errors import ReproError, refuse
from methods.features.arrays import Features, Fitted, Readout, check_finite

Instances = Mapping[str, Mapping[str, Any]]
_ARRAYS = ("logits", "embedding", "projection")


def fit_instances(
    instances: Instances, train: Features, readout: Readout, validation: Features | None = None
) -> Fitted:
    """Arrays learnt by every instance from an ID split; nothing for those that learn nothing.

    Args:
        instances: name -> parameters.
        train: ID training features.
        readout: classifier and prototypes.
        validation: ID validation features, for the instances whose ``fit_on`` says so.

    Raises:
        ReproError: features or readout lack what a score needs.
    """
    _require_parts(instances, train, "the training features")
    _require_readout(instances, readout)
    fitted = {}
    for name, parameters in instances.items():
        module, source = registry.load("scores", parameters["score"]), train
        if parameters.get("fit_on") == "validation":
            refuse(validation is None, f"The score {name!r} is fitted on ID validation features, which are not given.")
            source = cast(Features, validation)
        fitted[name] = module.fit(source, readout, parameters) if hasattr(module, "fit") else {}
    return fitted


def score_instances(
    instances: Instances,
    features: Features,
    fitted: Mapping[str, Mapping[str, np.ndarray]],
    train: Features | None,
    accelerate: bool = False,
) -> dict[str, np.ndarray]:
    """(N,) float64 scores of every instance.

    Args:
        instances: name -> parameters.
        features: of N images.
        fitted: what each instance learnt.
        train: ID training features; may be absent where no instance needs them.
        accelerate: there is a GPU for the scores whose record says ``accelerated``.

    Raises:
        ReproError: a score is NaN or infinite, or the features lack what a score needs.
    """
    _require_parts(instances, features, "the features")
    found: dict[str, np.ndarray] = {}
    for group in _groups(instances):
        found |= _score_group(group, features, fitted, train, accelerate)
    scores = {name: np.asarray(found[name], dtype=np.float64) for name in instances}
    for name, values in scores.items():
        _require_one_a_sample(name, values, len(features.sample_ids))
        check_finite(values, f"The scores {name!r}", features.sample_ids)
    return scores


def _groups(instances: Instances) -> list[dict[str, Mapping[str, Any]]]:
    """Instances that one sweep scores together; every other instance alone."""
    groups: dict[Any, dict[str, Mapping[str, Any]]] = {}
    for name, parameters in instances.items():
        swept = registry.records("scores")[parameters["score"]].get("sweep")
        rest = repr(sorted((key, value) for key, value in parameters.items() if key != swept))
        groups.setdefault(rest if swept else name, {})[name] = parameters
    return list(groups.values())


def _score_group(
    group: Mapping[str, Mapping[str, Any]],
    features: Features,
    fitted: Mapping[str, Mapping[str, np.ndarray]],
    train: Features | None,
    accelerate: bool,
) -> dict[str, np.ndarray]:
    first, parameters = next(iter(group.items()))
    module = registry.load("scores", parameters["score"])
    known: dict[str, Any] = dict(fitted[first])
    if "train_embedding" in module.RECORD["needs"]:
        assert train is not None
        known["train_embedding"] = train.embedding
    if accelerate and module.RECORD.get("accelerated"):
        known["accelerate"] = True
    key = module.RECORD.get("sweep")
    if key is None:
        return {first: module.score(features, known, parameters)}
    values = module.sweep(features, known, parameters, [parameters[key] for parameters in group.values()])
    return {name: values[parameters[key]] for name, parameters in group.items()}


def _require_one_a_sample(name: str, values: np.ndarray, count: int) -> None:
    if values.shape != (count,):
        raise ReproError(f"The score {name!r} gave values of shape {values.shape}, expected one an image: ({count},).")


def _require_parts(instances: Instances, features: Features, what: str) -> None:
    known = registry.records("scores")
    for name, parameters in instances.items():
        for part in known[parameters["score"]]["needs"]:
            if part in _ARRAYS and getattr(features, part) is None:
                raise ReproError(f"The score {name!r} needs {part}, which {what} do not have.")


def _require_readout(instances: Instances, readout: Readout) -> None:
    known = registry.records("scores")
    for name, parameters in instances.items():
        needs = known[parameters["score"]]["needs"]
        if "classifier" in needs and (readout.weight is None or readout.bias is None):
            raise ReproError(f"The score {name!r} needs a classifier, which the model does not have.")
        if "prototypes" in needs and readout.prototypes is None:
            raise ReproError(f"The score {name!r} needs prototypes, which the model does not have.")
