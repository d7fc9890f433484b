"""Opening an archive by what it is, not by what it is called."""

import bz2
import gzip
import lzma
import tarfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

from methods.data.indexed import IndexedTree, StableFile, damage
from methods.data.members import Limits, Place
from methods.data.tars import TarTree
from methods.data.zips import ZipTree
from methods.errors import ReproError

_USUAL = Limits()
_ZIP = (b"PK\x03\x04", b"PK\x05\x06")
_TAR_BLOCK = 512


def _plain(handle: BinaryIO) -> BinaryIO:
    return handle


def _gzip(handle: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, gzip.GzipFile(fileobj=handle, mode="rb"))


def _bzip2(handle: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, bz2.BZ2File(handle))


def _xz(handle: BinaryIO) -> BinaryIO:
    return cast(BinaryIO, lzma.LZMAFile(handle))


_UNPACKERS: dict[bytes, Callable[[BinaryIO], BinaryIO]] = {b"\x1f\x8b": _gzip, b"BZh": _bzip2, b"\xfd7zXZ\0": _xz}


def open_archive(
    path: str | Path, limits: Limits = _USUAL, *, unpack: bool = True
) -> IndexedTree[Place] | IndexedTree[Path]:
    """The files of an archive; of anything that is no archive, the one file itself under its own name.

    Args:
        path: tar, tar.gz, tar.bz2, tar.xz or zip, told by the first bytes. A compressed file that holds no tar
            counts as one file and stays compressed.
        limits: how much the archive may hold.
        unpack: False takes the file as one file whatever it holds (weights of PyTorch are zip archives).

    Raises:
        ReproError: the file is missing or its first bytes are damaged. The members are checked when names or
            contents are first asked for.
    """
    if not unpack:
        return open_file(path, Path(path).name, limits)
    file = StableFile(Path(path))
    with file.open() as handle:
        head = handle.read(_TAR_BLOCK)
        if head.startswith(_ZIP):
            return ZipTree(file.path, limits)
        unpacker = next((found for magic, found in _UNPACKERS.items() if head.startswith(magic)), _plain)
        handle.seek(0)
        with unpacker(handle) as raw:
            is_tar = _is_tar(raw.read(_TAR_BLOCK))
    return TarTree(file.path, limits, unpacker) if is_tar else open_file(path, file.path.name, limits)


def open_file(path: str | Path, name: str, limits: Limits = _USUAL) -> IndexedTree[Path]:
    """One file, whatever it holds, as a tree that calls it ``name``."""
    return _SingleFile(StableFile(Path(path)), name, limits)


def _is_tar(block: bytes) -> bool:
    if block[257:262] == b"ustar":
        return True
    try:
        tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError):
        return False
    return True  # tar of before 1988 has no mark but its checksum


class _SingleFile(IndexedTree[Path]):
    """A file as a tree of one."""

    def __init__(self, file: StableFile, name: str, limits: Limits) -> None:
        super().__init__(file.path)
        self._file, self._name, self._limits = file, name, limits

    def _scan(self) -> dict[str, Path]:
        size = self.origin.stat().st_size
        if size > self._limits.file_bytes:
            raise ReproError(
                f"{self.origin} has {size} bytes, where a file may have {self._limits.file_bytes}: "
                "check that it is the expected file."
            )
        return {self._name: self.origin}

    def _contents(self, places: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
        for name in places:
            with self._file.open() as handle, damage(self.origin):
                content = handle.read()
            yield name, content
