"""The image store: one HDF5 file a split, decoded once, pixels as they are used.

Images of one size lie in ``images`` (N, H, W, 3) uint8; images that keep their shape lie one after the other in
``pixels`` (bytes,) uint8 with ``shapes`` (N, 2) int32. Both are contiguous on the disk, so that they are mapped into
memory instead of copied, and any image is a slice away. Beside them: ``labels`` (N,) int64 or, for several labels an
image, (N, C) uint8; ``sample_ids`` (N,) text, the original file names where there are any; ``digests`` (N, 32), the
SHA-256 of each image. Attributes: ``classes`` and ``provenance`` as JSON, ``content_sha256``.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from methods.errors import ReproError, refuse
from methods.files import sha256_bytes
from methods.hdf5 import open_hdf5, read_ids, read_provenance, require_datasets

KIND = "images"
_ARRAYS = ("labels", "sample_ids", "digests")


@dataclass(frozen=True)
class Ragged:
    """Images that keep their own shape.

    Attributes:
        pixels: (bytes,) uint8, one image after the other.
        shapes: (N, 2) height and width.
    """

    pixels: np.ndarray
    shapes: np.ndarray

    @cached_property
    def ends(self) -> np.ndarray:
        """(N,) position in ``pixels`` after each image."""
        return np.cumsum(image_bytes(self.shapes))

    def __len__(self) -> int:
        return len(self.shapes)

    def __getitem__(self, index: int) -> np.ndarray:
        """Image ``index``, (H, W, 3), without a copy."""
        height, width = (int(side) for side in self.shapes[index])
        end = int(self.ends[index])
        return self.pixels[end - height * width * 3 : end].reshape(height, width, 3)


@dataclass(frozen=True)
class ImageSet:
    """Images of one split.

    Attributes:
        images: (N, H, W, 3) uint8, or :class:`Ragged`.
        labels: (N,) int64 class indices, or (N, C) uint8 multi-hot.
        sample_ids: N different names, stable for good.
        classes: C class names; may be empty for sets without classes (all labels -1).
    """

    images: np.ndarray | Ragged
    labels: np.ndarray
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)

    @property
    def multi_label(self) -> bool:
        """Whether an image has any number of labels."""
        return self.labels.ndim == 2

    @property
    def pixels(self) -> np.ndarray:
        """(N, H, W, 3) uint8 of a set whose images have one size.

        Raises:
            ReproError: they keep their own shapes.
        """
        if isinstance(self.images, Ragged):
            raise ReproError("These images keep their own shapes: choose a render that brings them to one size.")
        return self.images

    def take(self, index: Sequence[int] | np.ndarray) -> "ImageSet":
        """The images at ``index``, in that order."""
        chosen = np.asarray(index, dtype=np.int64)
        ids = tuple(self.sample_ids[i] for i in chosen)
        return replace(self, images=self.pixels[chosen], labels=self.labels[chosen], sample_ids=ids)

    def content_sha256(self) -> str:
        """Hash of pixels, labels, names and classes."""
        return content_sha256(digests(self.images), self.labels, self.sample_ids, self.classes)


def image_bytes(shapes: np.ndarray) -> np.ndarray:
    """(N,) int64 bytes of RGB images of (N, 2) heights and widths."""
    return shapes.astype(np.int64).prod(axis=1) * 3


def digest(image: np.ndarray) -> bytes:
    """SHA-256 of one (H, W, 3) image with its shape."""
    head = np.array(image.shape[:2], dtype="<i4").tobytes()
    return hashlib.sha256(head + np.ascontiguousarray(image).data).digest()


def digests(images: np.ndarray | Ragged) -> np.ndarray:
    """(N, 32) uint8: the digest of every image."""
    return digest_rows(digest(images[index]) for index in range(len(images)))


def digest_rows(parts: Iterable[bytes]) -> np.ndarray:
    """(N, 32) uint8 of N digests."""
    return np.frombuffer(b"".join(parts), dtype=np.uint8).reshape(-1, 32)


def content_sha256(rows: np.ndarray, labels: np.ndarray, ids: Sequence[str], classes: Sequence[str]) -> str:
    """Hash of a split from the (N, 32) digests of its images, its labels, names and classes."""
    head = json.dumps([list(labels.shape), list(ids), list(classes)]).encode()
    return sha256_bytes(head + rows.tobytes() + labels.astype("<i8").tobytes())


def check_labels(labels: np.ndarray, ids: Sequence[str], classes: Sequence[str], name: str) -> None:
    """Refuse labels and names of a split that do not hold together.

    Raises:
        ReproError: no image, repeated sample ids, labels that do not fit the images or the classes.
    """
    count = len(ids)
    refuse(count == 0, f"{name} has no image: a split needs at least one.")
    refuse(len(labels) != count, f"{name} has {count} images but {len(labels)} labels.")
    refuse(
        labels.dtype.kind not in "iu" or labels.ndim not in (1, 2),
        f"{name} holds {labels.dtype} labels of shape {labels.shape}, expected whole numbers of shape (N,) or (N, C).",
    )
    refuse(len(set(ids)) != count, f"{name} has {count} images but not as many different sample ids.")
    if labels.ndim == 2:
        fits = labels.shape[1] == len(classes) and set(np.unique(labels)) <= {0, 1}
    else:
        fits = bool((labels == -1).all()) if not classes else _in_range(labels, len(classes))
    refuse(not fits, f"{name} has labels that do not fit its {len(classes)} classes.")


def check_images(data: ImageSet, name: str) -> ImageSet:
    """Return ``data`` if it holds together.

    Raises:
        ReproError: what :func:`check_labels` refuses, or pixels of a wrong type or shape.
    """
    images = data.images
    refuse(len(images) != len(data), f"{name} has {len(images)} images but {len(data)} sample ids.")
    if isinstance(images, np.ndarray):
        refuse(
            images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3,
            f"{name} holds {images.dtype} images of shape {images.shape}, expected uint8 of shape (N, H, W, 3).",
        )
    check_labels(data.labels, data.sample_ids, data.classes, name)
    return data


def read_images(path: str | Path, dataset: str | None = None, split: str | None = None) -> ImageSet:
    """Map an image store into memory; check that it is whole and, if asked, that it is that set and split.

    Pixels are read from the disk when they are used and cannot be written to.

    Raises:
        ReproError: no such file, not an image store, truncated, or content unlike its recorded hash.
    """
    with open_hdf5(path) as file:
        _require_set(path, read_provenance(file, KIND)["settings"], dataset, split)
        require_datasets(file, _ARRAYS)
        data = ImageSet(
            images=_images(file),
            labels=file["labels"][:],
            sample_ids=read_ids(file),
            classes=tuple(json.loads(file.attrs["classes"])),
        )
        recorded = file.attrs["content_sha256"]
        written = file["digests"][:]
    check_images(data, str(path))
    found = digests(data.images)
    known = content_sha256(found, data.labels, data.sample_ids, data.classes)
    if known != recorded or not np.array_equal(found, written):
        raise ReproError(f"{path} does not hold what it recorded when written: delete it and run again.")
    return data


def _images(file: h5py.File) -> np.ndarray | Ragged:
    if "shapes" not in file:
        require_datasets(file, ("images",))
        return _mapped(file["images"])
    require_datasets(file, ("pixels",))
    pixels, shapes = _mapped(file["pixels"]), file["shapes"][:]
    whole = shapes.ndim == 2 and shapes.shape[1] == 2 and (shapes > 0).all()
    refuse(
        not whole or image_bytes(shapes).sum() != len(pixels),
        f"{file.filename} has {len(pixels)} bytes of pixels, which its shapes do not fit: delete it and run again.",
    )
    return Ragged(pixels, shapes)


def _mapped(dataset: h5py.Dataset) -> np.ndarray:
    offset = dataset.id.get_offset()
    if offset is None:  # written by another program, in chunks
        return dataset[:]
    return np.memmap(dataset.file.filename, dataset.dtype, "r", offset, dataset.shape)


def _require_set(path: str | Path, settings: Mapping[str, Any], dataset: str | None, split: str | None) -> None:
    found = (settings.get("dataset"), settings.get("split"))
    if dataset is not None and found != (dataset, split):
        raise ReproError(f"{path} holds {found[0]}/{found[1]}, expected {dataset}/{split}: delete it and run again.")


def _in_range(labels: np.ndarray, classes: int) -> bool:
    return bool(((labels >= 0) & (labels < classes)).all())
