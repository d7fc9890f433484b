"""Tar archives, plain or compressed, read in place."""

import itertools
import tarfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Self, cast

from methods.data.indexed import IndexedTree, StableFile, damage
from methods.data.members import Limits, Place, Register, unsafe
from methods.errors import ReproError

_HEADER_BYTES = 1 << 15  # one member's headers; names and attributes need a few hundred
_MEAN_HEADER_BYTES = 1 << 12  # of all members, where a long name in a pax header needs 2.5 KiB
_PADDING_BYTES = 1 << 24  # zeros after the last member; tar writes 10 KiB
_CHUNK = 1 << 16


class TarTree(IndexedTree[Place]):
    """The files of a tar archive.

    Args:
        path: the archive.
        limits: how much it may hold.
        unpack: turns a handle of the stored bytes into one of the tar's bytes.
    """

    def __init__(self, path: Path, limits: Limits, unpack: Callable[[BinaryIO], BinaryIO]) -> None:
        super().__init__(path)
        self._file, self._limits, self._unpack = StableFile(path), limits, unpack

    @contextmanager
    def _open(self) -> Iterator[BinaryIO]:
        with self._file.open() as handle, self._unpack(handle) as raw:
            yield raw

    def _scan(self) -> dict[str, Place]:
        register = Register(self.origin, self._limits)
        with self._open() as raw:
            stream = _HeaderStream(raw)
            for info in _headers(stream):
                _enter(register, info)
                if stream.tell() > register.unpacked_limit + _MEAN_HEADER_BYTES * (register.count + 1):
                    raise unsafe(self.origin, info.name, "comes after too many bytes that are no content")
            self._check_padding(raw)
        return register.places()

    def _check_padding(self, raw: BinaryIO) -> None:
        # reading to the end also makes gzip, bzip2 and xz compare their checksums
        for _ in range(_PADDING_BYTES // _CHUNK):
            chunk = raw.read(_CHUNK)
            if not chunk:
                return
            if chunk.count(0) != len(chunk):
                break
        raise ReproError(
            f"{self.origin} goes on after its end mark, so files would be overlooked; expected is a single tar "
            "archive: get it again from its official source."
        )

    def _contents(self, places: Mapping[str, Place]) -> Iterator[tuple[str, bytes]]:
        if not places:
            return
        with self._open() as raw:
            ordered = sorted(places.items(), key=lambda item: item[1])
            for place, group in itertools.groupby(ordered, key=lambda item: item[1]):
                content = self._content(raw, place)
                for name, _ in group:  # several when links lead to one content
                    yield name, content

    def _content(self, raw: BinaryIO, place: Place) -> bytes:
        with damage(self.origin):
            raw.seek(place.offset)
            content = raw.read(place.size)
            if len(content) != place.size:
                raise EOFError(f"it ends inside the file at byte {place.offset}")
        return content


class _HeaderStream:
    """What tarfile reads headers from: forward only, and no more than a header's worth at once."""

    def __init__(self, raw: BinaryIO) -> None:
        self._raw, self.left = raw, _HEADER_BYTES

    def tell(self) -> int:
        return self._raw.tell()

    def seek(self, target: int) -> int:
        if target < self.tell():
            raise tarfile.ReadError(f"a header leads back to byte {target}")
        return self._raw.seek(target)

    def read(self, size: int) -> bytes:
        self.left -= size
        if size < 0 or self.left < 0:
            raise tarfile.ReadError(f"a header is longer than {_HEADER_BYTES} bytes")
        return self._raw.read(size)


class _StrictTarInfo(tarfile.TarInfo):
    """tarfile takes a broken or missing header after the first one for the end; here only the end mark is."""

    @classmethod
    def fromtarfile(cls, tarfile_: tarfile.TarFile) -> Self:
        try:
            return super().fromtarfile(tarfile_)
        except tarfile.HeaderError as error:
            if type(error).__name__ == "EOFHeaderError":  # which tarfile does not export
                raise
            raise tarfile.ReadError(f"{error} at byte {tarfile_.offset}") from error


def _headers(stream: _HeaderStream) -> Iterator[tarfile.TarInfo]:
    archive: Any = tarfile.TarFile(
        fileobj=cast(IO[bytes], stream), tarinfo=_StrictTarInfo, encoding="utf-8", errors="surrogateescape"
    )
    while (info := archive.next()) is not None:
        archive.members.clear()  # three million of them would fill the memory
        if len(archive.pax_headers) > 100:
            raise tarfile.ReadError("it has more than 100 global attributes")
        yield info
        stream.left = _HEADER_BYTES


def _enter(register: Register, info: tarfile.TarInfo) -> None:
    if info.issparse():
        raise unsafe(register.archive, info.name, "is stored as a sparse file")
    if info.isreg():
        register.add_file(info.name, Place(info.offset_data, info.size))
    elif info.isdir():
        register.add_folder(info.name)
    elif info.issym() or info.islnk():
        register.add_link(info.name, info.linkname, symbolic=info.issym())
    else:
        raise unsafe(register.archive, info.name, "is a device, a pipe or of an unknown kind")
