"""Fitting and applying the score instances of a run, and the files that hold the results.

A score is a module with a RECORD and ``score(features, fitted, parameters) -> (N,)``, higher = more in-distribution;
one that learns from the ID training set also has ``fit(train, readout, parameters) -> arrays``. A score that needs the
training embeddings themselves says so (``train_embedding``) and finds them in ``fitted``.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from methods import registry
from methods.errors import ReproError, refuse
from methods.features.store import Features, Readout, check_finite
from methods.files import atomic
from methods.hdf5 import open_hdf5, read_provenance, require_datasets, write_provenance

DETECTORS = "detectors"
SCORES = "scores"

Instances = Mapping[str, Mapping[str, Any]]
Fitted = dict[str, dict[str, np.ndarray]]


def fit_instances(instances: Instances, train: Features, readout: Readout) -> Fitted:
    """Arrays learnt by every instance from the ID training set; nothing for those that learn nothing."""
    _require_parts(instances, train, "the training features")
    fitted = {}
    for name, parameters in instances.items():
        module = registry.load("scores", parameters["score"])
        fitted[name] = module.fit(train, readout, parameters) if hasattr(module, "fit") else {}
    return fitted


def score_instances(
    instances: Instances, features: Features, fitted: Mapping[str, Mapping[str, np.ndarray]], train: Features
) -> dict[str, np.ndarray]:
    """(N,) float64 scores of every instance.

    Raises:
        ReproError: a score is NaN or infinite, or the features lack what a score needs.
    """
    _require_parts(instances, features, "the features")
    scores = {}
    for name, parameters in instances.items():
        module = registry.load("scores", parameters["score"])
        known = dict(fitted[name])
        if "train_embedding" in module.RECORD["needs"]:
            known["train_embedding"] = train.embedding
        scores[name] = np.asarray(module.score(features, known, parameters), dtype=np.float64)
        check_finite(scores[name], f"The scores {name!r}", features.sample_ids)
    return scores


def needs_training_set(instances: Instances) -> bool:
    """Whether any instance scores against the training embeddings themselves."""
    known = registry.records("scores")
    return any("train_embedding" in known[part["score"]]["needs"] for part in instances.values())


def write_detectors(path: str | Path, fitted: Fitted, provenance: Mapping[str, Any]) -> None:
    """One group an instance, one data set an array."""
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for name, arrays in fitted.items():
            group = file.create_group(name, track_order=True)
            for key, array in arrays.items():
                group.create_dataset(key, data=array)
        write_provenance(file, provenance)


def read_detectors(path: str | Path, instances: Instances) -> tuple[Fitted, dict[str, Any]]:
    """Fitted arrays of ``instances`` and the file's provenance."""
    with open_hdf5(path) as file:
        provenance = read_provenance(file, DETECTORS)
        require_datasets(file, instances)
        return {name: {key: data[:] for key, data in file[name].items()} for name in instances}, provenance


def write_scores(
    path: str | Path, scores: Mapping[str, np.ndarray], features: Features, provenance: Mapping[str, Any]
) -> None:
    """One data set an instance under ``scores``, with labels and sample ids."""
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        group = file.create_group("scores", track_order=True)
        for name, values in scores.items():
            group.create_dataset(name, data=values)
        file.create_dataset("labels", data=features.labels)
        file.create_dataset("sample_ids", data=np.array(features.sample_ids, dtype="S"))
        write_provenance(file, provenance)


def read_scores(path: str | Path) -> tuple[dict[str, np.ndarray], np.ndarray, dict[str, Any]]:
    """Scores by instance, labels, provenance.

    Raises:
        ReproError: no such file, foreign, truncated or empty.
    """
    with open_hdf5(path) as file:
        provenance = read_provenance(file, SCORES)
        require_datasets(file, ("scores", "labels", "sample_ids"))
        scores = {name: data[:] for name, data in file["scores"].items()}
        labels = file["labels"][:]
    refuse(len(labels) == 0, f"{path} holds no image: an empty set cannot be evaluated.")
    return scores, labels, provenance


def _require_parts(instances: Instances, features: Features, what: str) -> None:
    known = registry.records("scores")
    for name, parameters in instances.items():
        for part in known[parameters["score"]]["needs"]:
            if part in ("logits", "embedding", "projection") and getattr(features, part) is None:
                raise ReproError(f"The score {name!r} needs {part}, which {what} do not have.")
