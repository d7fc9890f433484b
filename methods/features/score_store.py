"""Files of fitted detectors and of scores, HDF5, and of what was tuned, JSON."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from methods.data.images import ImageSet
from methods.errors import refuse
from methods.features.arrays import Features, Fitted
from methods.files import atomic, write_text
from methods.hdf5 import create_hdf5, open_hdf5, read_provenance, require_datasets, write_ids, write_provenance
from methods.provenance import require_sidecar, write_sidecar

DETECTORS = "detectors"
SCORES = "scores"
TUNED = "tuned"


def write_detectors(path: str | Path, fitted: Fitted, provenance: Mapping[str, Any]) -> None:
    """One group an instance, one data set an array."""
    with atomic(path) as temporary, create_hdf5(temporary) as file:
        for name, arrays in fitted.items():
            group = file.create_group(name, track_order=True)
            for key, array in arrays.items():
                group.create_dataset(key, data=array)
        write_provenance(file, provenance)


def read_detectors(path: str | Path, instances: Iterable[str]) -> tuple[Fitted, dict[str, Any]]:
    """Fitted arrays of ``instances`` and the file's provenance."""
    with open_hdf5(path) as file:
        provenance = read_provenance(file, DETECTORS)
        require_datasets(file, instances)
        return {name: {key: data[:] for key, data in file[name].items()} for name in instances}, provenance


def write_scores(
    path: str | Path, scores: Mapping[str, np.ndarray], features: Features | ImageSet, provenance: Mapping[str, Any]
) -> None:
    """One data set an instance under ``scores``, with labels and sample ids."""
    with atomic(path) as temporary, create_hdf5(temporary) as file:
        group = file.create_group("scores", track_order=True)
        for name, values in scores.items():
            group.create_dataset(name, data=values)
        file.create_dataset("labels", data=features.labels)
        write_ids(file, features.sample_ids)
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
    for name, values in scores.items():
        refuse(values.shape != (len(labels),), f"{path} has {len(labels)} images but scores {name!r} {values.shape}.")
    return scores, labels, provenance


def write_tuned(path: str | Path, choices: Mapping[str, Any], provenance: Mapping[str, Any]) -> None:
    """What was chosen for each tuned instance and everything that was tried, JSON, with its record beside it."""
    write_text(path, json.dumps(choices, indent=1) + "\n")
    write_sidecar(path, provenance)


def read_tuned(path: str | Path) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    """Choices by instance, and their record.

    Raises:
        ReproError: the file was changed after it was made, or has no record.
    """
    provenance = require_sidecar(path)
    return json.loads(Path(path).read_text(encoding="utf-8")), provenance
