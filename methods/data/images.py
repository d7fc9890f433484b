"""The image store: one HDF5 file a split, pixels as one uint8 array.

Layout: ``images`` (N, H, W, 3) uint8; ``labels`` (N,) int64 or, for several labels an image, (N, C) uint8;
``sample_ids`` (N,) text. Attributes: ``classes`` and ``provenance`` as JSON, ``content_sha256``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from methods.errors import ReproError, refuse
from methods.files import atomic, sha256_bytes
from methods.hdf5 import open_hdf5, read_ids, read_provenance, require_datasets, write_ids, write_provenance

KIND = "images"
_CHUNK_IMAGES = 512


@dataclass(frozen=True)
class ImageSet:
    """Images of one split.

    Attributes:
        images: (N, H, W, 3) uint8.
        labels: (N,) int64 class indices, or (N, C) uint8 multi-hot.
        sample_ids: N different names, stable for good.
        classes: C class names; may be empty for sets without classes (all labels -1).
    """

    images: np.ndarray
    labels: np.ndarray
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def multi_label(self) -> bool:
        """Whether an image has any number of labels."""
        return self.labels.ndim == 2

    def content_sha256(self) -> str:
        """Hash of shapes, pixels, labels, names and classes."""
        head = [list(self.images.shape), list(self.labels.shape), list(self.sample_ids), list(self.classes)]
        labels = self.labels.astype("<i8")
        return sha256_bytes(json.dumps(head).encode() + self.images.tobytes() + labels.tobytes())


def check_images(data: ImageSet, name: str) -> ImageSet:
    """Return ``data`` if it holds together.

    Raises:
        ReproError: no image, wrong type or shape, repeated sample ids, labels that do not fit the classes.
    """
    images, labels, count = data.images, data.labels, len(data.images)
    refuse(count == 0, f"{name} has no image: a split needs at least one.")
    refuse(
        images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3,
        f"{name} holds {images.dtype} images of shape {images.shape}, expected uint8 of shape (N, H, W, 3).",
    )
    refuse(len(labels) != count, f"{name} has {count} images but {len(labels)} labels.")
    refuse(
        labels.dtype.kind not in "iu" or labels.ndim not in (1, 2),
        f"{name} holds {labels.dtype} labels of shape {labels.shape}, expected whole numbers of shape (N,) or (N, C).",
    )
    refuse(len(set(data.sample_ids)) != count, f"{name} has {count} images but not as many different sample ids.")
    if data.multi_label:
        fits = labels.shape[1] == len(data.classes) and set(np.unique(labels)) <= {0, 1}
    else:
        fits = bool((labels == -1).all()) if not data.classes else _in_range(labels, len(data.classes))
    refuse(not fits, f"{name} has labels that do not fit its {len(data.classes)} classes.")
    return data


def write_images(path: str | Path, data: ImageSet, provenance: Mapping[str, Any]) -> None:
    """Write an image store, whole or not at all; the same content gives the same bytes."""
    with atomic(path) as temporary, h5py.File(temporary, "w", track_order=True) as file:
        count = len(data.images)
        chunks = (min(_CHUNK_IMAGES, count), *data.images.shape[1:])
        file.create_dataset("images", data=data.images, chunks=chunks)
        file.create_dataset("labels", data=data.labels)
        write_ids(file, data.sample_ids)
        file.attrs["classes"] = json.dumps(data.classes)
        file.attrs["content_sha256"] = data.content_sha256()
        write_provenance(file, provenance)


def read_images(path: str | Path, dataset: str | None = None, split: str | None = None) -> ImageSet:
    """Read an image store into memory and check that it is whole and, if asked, that it is that set and split.

    Raises:
        ReproError: no such file, not an image store, truncated, or content unlike its recorded hash.
    """
    with open_hdf5(path) as file:
        _require_set(path, read_provenance(file, KIND)["settings"], dataset, split)
        require_datasets(file, ("images", "labels", "sample_ids"))
        data = ImageSet(
            images=file["images"][:],
            labels=file["labels"][:],
            sample_ids=read_ids(file),
            classes=tuple(json.loads(file.attrs["classes"])),
        )
        recorded = file.attrs["content_sha256"]
    if data.content_sha256() != recorded:
        raise ReproError(f"{path} does not hold what it recorded when written: delete it and run again.")
    return check_images(data, str(path))


def _require_set(path: str | Path, settings: Mapping[str, Any], dataset: str | None, split: str | None) -> None:
    found = (settings.get("dataset"), settings.get("split"))
    if dataset is not None and found != (dataset, split):
        raise ReproError(f"{path} holds {found[0]}/{found[1]}, expected {dataset}/{split}: delete it and run again.")


def _in_range(labels: np.ndarray, classes: int) -> bool:
    return bool(((labels >= 0) & (labels < classes)).all())
