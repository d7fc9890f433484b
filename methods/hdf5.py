"""Opening HDF5 files so that a damaged or foreign one, and a full disk, is named in a sentence."""

import io
import json
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from methods.errors import ReproError


@contextmanager
def open_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """Open for reading.

    Raises:
        ReproError: the file is missing, truncated or not HDF5, or breaks while it is read.
    """
    if not Path(path).is_file():
        raise ReproError(f"{path} does not exist: run the same command again, which makes it.")
    try:
        with h5py.File(path, "r") as file:
            yield file
    except (OSError, KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ReproError(
            f"{path} cannot be read as HDF5 ({reason}): it is truncated, damaged or no HDF5 file. "
            "Delete it and run the same command again."
        ) from error


@contextmanager
def create_hdf5(path: str | Path) -> Iterator[h5py.File]:
    """A new file to fill; the same content gives the same bytes.

    Raises:
        OSError: the disk is full or cannot be written.
    """
    with _Patient(path) as raw:
        try:
            with h5py.File(raw, "w", track_order=True) as file:
                yield file
        finally:
            if raw.error is not None:
                raise raw.error


class _Patient(io.FileIO):
    """A file that keeps the first error of writing for later: told of a full disk, HDF5 ends the process by a fault."""

    def __init__(self, path: str | Path) -> None:
        super().__init__(path, "w+")
        self.error: OSError | None = None

    def write(self, content: Any) -> int:
        rest = memoryview(content).cast("B")
        size = len(rest)
        try:
            while len(rest):
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = self.error or error
            self.seek(len(rest), io.SEEK_CUR)
        return size

    def truncate(self, size: int | None = None) -> int:
        try:
            return super().truncate(size)
        except OSError as error:
            self.error = self.error or error
            return self.tell() if size is None else size


def write_provenance(file: h5py.File, provenance: Mapping[str, Any]) -> None:
    """Store the record as a JSON attribute."""
    file.attrs["provenance"] = json.dumps(provenance, sort_keys=True)


def read_provenance(file: h5py.File, kind: str) -> dict[str, Any]:
    """The record of an open file, which must be of ``kind``.

    Raises:
        ReproError: the file has no record or is another kind of artifact.
    """
    text = file.attrs.get("provenance")
    provenance = json.loads(text) if text is not None else {}
    provenance = provenance if isinstance(provenance, dict) else {}
    if provenance.get("kind") != kind:
        found = repr(provenance["kind"]) if "kind" in provenance else "no record of its origin"
        raise ReproError(
            f"{file.filename} is not a file of kind {kind!r} made by this project: it has {found}. "
            "Delete it and run the same command again."
        )
    return provenance


def write_ids(file: h5py.File, ids: Iterable[str]) -> None:
    """Store sample ids as UTF-8."""
    file.create_dataset("sample_ids", data=np.array([name.encode() for name in ids]))


def read_ids(file: h5py.File) -> tuple[str, ...]:
    """Sample ids as text."""
    return tuple(file["sample_ids"].asstr("utf-8")[:])


def require_datasets(file: h5py.File, names: Iterable[str]) -> None:
    """Refuse a file that lacks one of ``names``."""
    missing = [name for name in names if name not in file]
    if missing:
        raise ReproError(f"{file.filename} lacks {', '.join(missing)}: delete it and run the same command again.")
