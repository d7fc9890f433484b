"""Rows of a feature file, read when they are used: training features can be larger than the memory."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from methods.hdf5 import open_hdf5

BLOCK = 8192  # rows read at a time


@dataclass(frozen=True)
class Rows:
    """An (N, D) data set of an HDF5 file that gives rows by slice and is otherwise left on the disk.

    Attributes:
        path: the file.
        name: the data set in it.
        shape: (N, D).
        dtype: of its values.
    """

    path: Path
    name: str
    shape: tuple[int, ...]
    dtype: np.dtype

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: Any) -> np.ndarray:
        with open_hdf5(self.path) as file:
            return file[self.name][rows]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """All of it in memory, for scores that cannot do with less."""
        return np.asarray(self[:], dtype=dtype)


Array = np.ndarray | Rows


def blocks(rows: Array, size: int = BLOCK) -> Iterator[tuple[slice, np.ndarray]]:
    """(slice, rows) pieces of at most ``size`` rows, in order."""
    for start in range(0, len(rows), size):
        part = slice(start, min(start + size, len(rows)))
        yield part, rows[part]
