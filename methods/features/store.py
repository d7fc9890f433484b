"""The feature store: what a network said about one split, as HDF5.

Layout: ``embedding`` (N, E), ``pooled`` (N, F) where it differs, ``logits`` (N, C) and ``projection`` (N, D) where
the model has them, all float32 in chunks of 512 rows, uncompressed (gzip costs 28 times to write and 23 times to
read); ``labels`` and ``sample_ids`` as in the image store. No torch is needed to read it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from methods.errors import refuse
from methods.files import atomic
from methods.hdf5 import open_hdf5, read_provenance, require_datasets, write_provenance

KIND = "features"
READOUT_KIND = "readout"
ARRAYS = ("embedding", "pooled", "logits", "projection")
_CHUNK_ROWS = 512


@dataclass(frozen=True)
class Features:
    """Features of N images; absent parts are None.

    Attributes:
        embedding: (N, E) un-normalised input of the classifier, the backbone's output where there is none.
        labels: (N,) int64 or (N, C) uint8.
        sample_ids: N names.
        pooled: (N, F) output of the backbone where it is not the embedding.
        logits: (N, C).
        projection: (N, D) unit rows.
    """

    embedding: np.ndarray
    labels: np.ndarray
    sample_ids: tuple[str, ...]
    pooled: np.ndarray | None = None
    logits: np.ndarray | None = None
    projection: np.ndarray | None = None


@dataclass(frozen=True)
class Readout:
    """What sits on top of the embedding: classifier (C, E) and (C,), prototypes (K, D) and their classes (K,)."""

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    prototypes: np.ndarray | None = None
    prototype_classes: np.ndarray | None = None


def write_features(path: str | Path, features: Features, provenance: Mapping[str, Any]) -> None:
    """Write a feature file, whole or not at all.

    Raises:
        ReproError: there is no image, or an array holds NaN or infinity; names the array and the first image.
    """
    refuse(len(features.sample_ids) == 0, f"There are no features to write to {path}: the set is empty.")
    arrays = {name: getattr(features, name) for name in ARRAYS if getattr(features, name) is not None}
    for name, array in arrays.items():
        check_finite(array, f"The {name} features", features.sample_ids)
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for name, array in arrays.items():
            chunks = (min(_CHUNK_ROWS, len(array)), *array.shape[1:])
            file.create_dataset(name, data=array.astype(np.float32, copy=False), chunks=chunks)
        file.create_dataset("labels", data=features.labels)
        file.create_dataset("sample_ids", data=np.array([name.encode() for name in features.sample_ids]))
        write_provenance(file, provenance)


def read_features(path: str | Path, arrays: tuple[str, ...] = ARRAYS) -> tuple[Features, dict[str, Any]]:
    """Features of a file (only ``arrays`` besides the embedding) and its provenance.

    Raises:
        ReproError: no such file, foreign, truncated, empty, of unequal lengths, or not finite.
    """
    with open_hdf5(path) as file:
        provenance = read_provenance(file, KIND)
        require_datasets(file, ("embedding", "labels", "sample_ids"))
        found = {name: file[name][:] for name in {"embedding", *arrays} if name in file}
        labels, ids = file["labels"][:], tuple(file["sample_ids"].asstr("utf-8")[:])
    refuse(len(ids) == 0, f"{path} holds no image: an empty set cannot be scored.")
    for name, array in found.items():
        refuse(len(array) != len(ids), f"{path} has {len(ids)} images but {len(array)} rows of {name}.")
        check_finite(array, f"The {name} features in {path}", ids)
    return Features(labels=labels, sample_ids=ids, **found), provenance


def write_readout(path: str | Path, readout: Readout, provenance: Mapping[str, Any]) -> None:
    """Write classifier and prototypes, those that are there."""
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        for name, array in vars(readout).items():
            if array is not None:
                file.create_dataset(name, data=array)
        write_provenance(file, provenance)


def read_readout(path: str | Path) -> tuple[Readout, dict[str, Any]]:
    """Classifier and prototypes of a file and its provenance."""
    with open_hdf5(path) as file:
        provenance = read_provenance(file, READOUT_KIND)
        return Readout(**{name: dataset[:] for name, dataset in file.items()}), provenance


def check_finite(array: np.ndarray, what: str, ids: tuple[str, ...]) -> None:
    """Refuse NaN and infinity, naming how many images have them and the first."""
    bad = ~np.isfinite(array).reshape(len(array), -1).all(axis=1)
    if bad.any():
        first = ids[int(np.argmax(bad))]
        refuse(True, f"{what} are NaN or infinite for {int(bad.sum())} of {len(bad)} images (first: {first}).")
