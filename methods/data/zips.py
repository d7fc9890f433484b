"""Zip archives, read in place."""

import os
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO

from methods.data.indexed import IndexedTree, StableFile, damage
from methods.data.members import Limits, Place, Register, unsafe

_LOCAL_HEADER = struct.Struct("<4s22xHH")  # signature, then the lengths of name and extra field
_ENCRYPTED = 0x1
_LINK_BYTES = 4096  # the longest path a link may hold


class ZipTree(IndexedTree[Place]):
    """The files of a zip archive."""

    def __init__(self, path: Path, limits: Limits) -> None:
        super().__init__(path)
        self._file, self._limits = StableFile(path), limits

    def _scan(self) -> dict[str, Place]:
        register = Register(self.origin, self._limits)
        with self._file.open() as handle:
            with zipfile.ZipFile(handle) as archive:
                infos = archive.infolist()
            for info in infos:
                self._enter(register, info, handle)
        return register.places()

    def _enter(self, register: Register, info: zipfile.ZipInfo, handle: BinaryIO) -> None:
        name = info.orig_filename if "\0" in info.orig_filename else info.filename  # zipfile cuts at NUL
        kind = stat.S_IFMT(info.external_attr >> 16)
        if info.is_dir() or kind == stat.S_IFDIR:
            register.add_folder(name)
            return
        if reason := _flaw(info, kind, os.fstat(handle.fileno()).st_size):
            raise unsafe(self.origin, name, reason)
        place = Place(info.header_offset, info.file_size, info.compress_size, info.CRC, info.compress_type)
        if kind == stat.S_IFLNK:
            target = self._content(handle, name, place).decode("utf-8", "surrogateescape")
            register.add_link(name, target, symbolic=True)
        else:
            register.add_file(name, place)

    def _contents(self, places: Mapping[str, Place]) -> Iterator[tuple[str, bytes]]:
        if not places:
            return
        with self._file.open() as handle:
            for name, place in sorted(places.items(), key=lambda item: item[1]):
                yield name, self._content(handle, name, place)

    def _content(self, handle: BinaryIO, name: str, place: Place) -> bytes:
        """Content of one member.

        Goes by the index alone: opening with zipfile would read the archive's list of files for every call.

        Raises:
            ReproError: it is not what the index says.
        """
        try:
            with damage(self.origin):
                packed = _packed(handle, place)
            content = packed if place.method == zipfile.ZIP_STORED else _inflated(packed, place.size)
        except zlib.error as error:
            raise unsafe(self.origin, name, f"cannot be unpacked ({error})") from error
        if len(content) != place.size:
            found = "more" if len(content) > place.size else f"{len(content)}"
            raise unsafe(self.origin, name, f"unpacks to {found} bytes, where the archive says {place.size}")
        if zlib.crc32(content) != place.crc:
            raise unsafe(self.origin, name, "does not have the checksum (CRC) that the archive says")
        return content


def _flaw(info: zipfile.ZipInfo, kind: int, archive_bytes: int) -> str:
    if kind not in (0, stat.S_IFREG, stat.S_IFLNK):
        return "is a device, a pipe or of an unknown kind"
    if info.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return f"is packed by method {info.compress_type}, where only 0 (stored) and 8 (deflate) are read"
    end = info.header_offset + _LOCAL_HEADER.size + info.compress_size
    if info.header_offset < 0 or end > archive_bytes:
        return "lies outside of the archive, so that the archive is truncated"
    if kind == stat.S_IFLNK and info.file_size > _LINK_BYTES:
        return f"is a link of {info.file_size} bytes, where a path has at most {_LINK_BYTES}"
    return ""


def _packed(handle: BinaryIO, place: Place) -> bytes:
    handle.seek(place.offset)
    signature, name_bytes, extra_bytes = _LOCAL_HEADER.unpack(handle.read(_LOCAL_HEADER.size))
    if signature != b"PK\x03\x04":
        raise ValueError(f"there is no file at byte {place.offset}")
    handle.seek(name_bytes + extra_bytes, os.SEEK_CUR)
    return handle.read(place.stored)


def _inflated(packed: bytes, size: int) -> bytes:
    """Content of a deflated member, at most one byte more than ``size``."""
    unpacker = zlib.decompressobj(-zlib.MAX_WBITS)
    content = unpacker.decompress(packed, size + 1)
    if not unpacker.eof and len(content) <= size:
        raise zlib.error("it is truncated")
    return content
