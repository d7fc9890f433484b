"""Trees whose names and places are found once: what archives and folders have in common."""

import lzma
import os
import struct
import tarfile
import zipfile
import zlib
from abc import ABC, abstractmethod
from collections.abc import Container, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import BinaryIO, Generic, TypeVar

from methods.errors import ReproError

Where = TypeVar("Where")
# everything that the standard library's readers raise for hostile or broken bytes
_DAMAGE = (
    *(OSError, EOFError, ValueError, LookupError, ArithmeticError, RecursionError, NotImplementedError, MemoryError),
    *(struct.error, zlib.error, lzma.LZMAError, tarfile.TarError, zipfile.BadZipFile),
)


class IndexedTree(ABC, Generic[Where]):
    """Files under ``origin``; what it finds out is kept, and every read opens its own handle."""

    def __init__(self, origin: Path) -> None:
        self.origin = origin

    def __str__(self) -> str:
        return str(self.origin)

    @abstractmethod
    def _scan(self) -> dict[str, Where]:
        """Find and check all files."""

    @abstractmethod
    def _contents(self, places: Mapping[str, Where]) -> Iterator[tuple[str, bytes]]:
        """Read the files at ``places``, in the cheapest order."""

    @cached_property
    def _index(self) -> dict[str, Where]:
        return self._scan()

    @cached_property
    def _names(self) -> tuple[str, ...]:
        return tuple(sorted(self._index))

    def names(self) -> tuple[str, ...]:
        """Names of all files, sorted."""
        return self._names

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of each file once; unknown names are refused before any file is read."""
        return self._contents({name: self._index[name] for name in known(names, self._index, self)})


def known(names: Iterable[str], have: Container[str], origin: object) -> list[str]:
    """``names`` without repetition.

    Raises:
        ReproError: some are not in ``have``.
    """
    asked = list(dict.fromkeys(names))
    missing = [name for name in asked if name not in have]
    if missing:
        raise ReproError(
            f"{origin} lacks {len(missing)} of the {len(asked)} files asked for, first {', '.join(missing[:3])}: "
            "check that it is the expected archive or folder, and that its list of files belongs to it."
        )
    return asked


@contextmanager
def damage(path: Path) -> Iterator[None]:
    """Turn what broken bytes raise into a sentence about ``path``."""
    try:
        yield
    except _DAMAGE as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise ReproError(
            f"{path} cannot be read ({reason}): it is truncated, damaged or not readable for you. "
            "Check its permissions, or get it again from its official source."
        ) from error


class StableFile:
    """A file that must stay as it was when first seen, since offsets into it are kept."""

    def __init__(self, path: Path) -> None:
        if not path.is_file():
            found = "is no regular file" if path.exists() else "does not exist"
            raise ReproError(f"{path} {found}, expected is an archive or another regular file: check the path.")
        self.path, self._seen = path, _stamp(path.stat())

    @contextmanager
    def open(self) -> Iterator[BinaryIO]:
        """A handle of its own.

        Raises:
            ReproError: the file changed or cannot be read.
        """
        with damage(self.path), open(self.path, "rb") as handle:
            if _stamp(os.fstat(handle.fileno())) != self._seen:
                raise ReproError(f"{self.path} was changed while it was in use: run the same command again.")
            yield handle


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
