"""The feature store: what a network said about one split, as HDF5.

Layout: ``embedding`` (N, E), ``pooled`` (N, F) where it differs, ``logits`` (N, C) and ``projection`` (N, D) where
the model has them, all float32 in chunks of 512 rows, uncompressed (gzip costs 28 times to write and 23 times to
read); ``labels`` and ``sample_ids`` as in the image store. No torch is needed to read it.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import h5py
import numpy as np

from methods.errors import refuse
from methods.features.arrays import ARRAYS, Features, Readout, check_finite
from methods.features.rows import Rows, blocks
from methods.files import atomic
from methods.hdf5 import (
    create_hdf5,
    open_hdf5,
    read_ids,
    read_provenance,
    require_datasets,
    write_ids,
    write_provenance,
)

KIND = "features"
READOUT_KIND = "readout"
_CHUNK_ROWS = 512


def write_features(path: str | Path, features: Features, provenance: Mapping[str, Any]) -> None:
    """Write a feature file, whole or not at all.

    Raises:
        ReproError: there is no image, or an array holds NaN or infinity; names the array and the first image.
    """
    refuse(len(features.sample_ids) == 0, f"There are no features to write to {path}: the set is empty.")
    arrays = {name: getattr(features, name) for name in ARRAYS if getattr(features, name) is not None}
    for name, array in arrays.items():
        check_finite(array, f"The {name} features", features.sample_ids)
    with atomic(path) as temporary, create_hdf5(temporary) as file:
        for name, array in arrays.items():
            chunks = (min(_CHUNK_ROWS, len(array)), *array.shape[1:])
            file.create_dataset(name, data=array.astype(np.float32, copy=False), chunks=chunks)
        file.create_dataset("labels", data=features.labels)
        write_ids(file, features.sample_ids)
        write_provenance(file, provenance)


def read_features(
    path: str | Path, arrays: tuple[str, ...] = ARRAYS, *, lazy: bool = False
) -> tuple[Features, dict[str, Any]]:
    """Features of a file (only ``arrays`` besides the embedding) and its provenance.

    With ``lazy`` the arrays stay on the disk and are :class:`methods.features.rows.Rows`.

    Raises:
        ReproError: no such file, foreign, truncated, empty, of unequal lengths, or not finite.
    """
    with open_hdf5(path) as file:
        provenance = read_provenance(file, KIND)
        require_datasets(file, ("embedding", "labels", "sample_ids"))
        names = [name for name in dict.fromkeys(["embedding", *arrays]) if name in file]
        found = {name: _rows(file, name) if lazy else file[name][:] for name in names}
        labels, ids = file["labels"][:], read_ids(file)
    refuse(len(ids) == 0, f"{path} holds no image: an empty set cannot be scored.")
    for name, array in found.items():
        refuse(len(array) != len(ids), f"{path} has {len(ids)} images but {len(array)} rows of {name}.")
        for part, block in blocks(array):
            check_finite(block, f"The {name} features in {path}", ids[part])
    return Features(labels=labels, sample_ids=ids, **cast(dict[str, Any], found)), provenance


def _rows(file: h5py.File, name: str) -> Rows:
    return Rows(Path(file.filename), name, file[name].shape, file[name].dtype)


def write_readout(path: str | Path, readout: Readout, provenance: Mapping[str, Any]) -> None:
    """Write classifier and prototypes, those that are there."""
    with atomic(path) as temporary, create_hdf5(temporary) as file:
        for name, array in vars(readout).items():
            if array is not None:
                file.create_dataset(name, data=array)
        write_provenance(file, provenance)


def read_readout(path: str | Path) -> tuple[Readout, dict[str, Any]]:
    """Classifier and prototypes of a file and its provenance."""
    with open_hdf5(path) as file:
        provenance = read_provenance(file, READOUT_KIND)
        return Readout(**{name: dataset[:] for name, dataset in file.items()}), provenance
