"""Fitting and applying the score instances of a run.

A score is a module with a RECORD and ``score(features, fitted, parameters) -> (N,)``, higher = more in-distribution;
one that learns from the ID training set also has ``fit(train, readout, parameters) -> arrays``. A score that needs the
training embeddings themselves says so (``train_embedding``) and finds them in ``fitted``.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods import registry
from methods.errors import ReproError
from methods.features.arrays import Features, Fitted, Readout, check_finite

Instances = Mapping[str, Mapping[str, Any]]


def fit_instances(instances: Instances, train: Features, readout: Readout) -> Fitted:
    """Arrays learnt by every instance from the ID training set; nothing for those that learn nothing."""
    _require_parts(instances, train, "the training features")
    fitted = {}
    for name, parameters in instances.items():
        module = registry.load("scores", parameters["score"])
        fitted[name] = module.fit(train, readout, parameters) if hasattr(module, "fit") else {}
    return fitted


def score_instances(
    instances: Instances, features: Features, fitted: Mapping[str, Mapping[str, np.ndarray]], train: Features | None
) -> dict[str, np.ndarray]:
    """(N,) float64 scores of every instance; ``train`` may be absent where no instance needs it.

    Raises:
        ReproError: a score is NaN or infinite, or the features lack what a score needs.
    """
    _require_parts(instances, features, "the features")
    scores = {}
    for name, parameters in instances.items():
        module = registry.load("scores", parameters["score"])
        known = dict(fitted[name])
        if "train_embedding" in module.RECORD["needs"]:
            assert train is not None
            known["train_embedding"] = train.embedding
        scores[name] = np.asarray(module.score(features, known, parameters), dtype=np.float64)
        _require_one_a_sample(name, scores[name], len(features.sample_ids))
        check_finite(scores[name], f"The scores {name!r}", features.sample_ids)
    return scores


def _require_one_a_sample(name: str, values: np.ndarray, count: int) -> None:
    if values.shape != (count,):
        raise ReproError(f"The score {name!r} gave values of shape {values.shape}, expected one an image: ({count},).")


def _require_parts(instances: Instances, features: Features, what: str) -> None:
    known = registry.records("scores")
    for name, parameters in instances.items():
        for part in known[parameters["score"]]["needs"]:
            if part in ("logits", "embedding", "projection") and getattr(features, part) is None:
                raise ReproError(f"The score {name!r} needs {part}, which {what} do not have.")
