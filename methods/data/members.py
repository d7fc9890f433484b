"""Which members of an archive may be read, under which names, and how much they may hold."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from methods.errors import ReproError

GIB = 1 << 30
_ABSOLUTE = re.compile(r"/|[A-Za-z]:")
_LEFTOVERS = {"__MACOSX", "Thumbs.db"}  # of macOS and Windows; their other ones start with a dot


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold.

    Attributes:
        files: members of any kind.
        unpacked_bytes: sum of their sizes; None allows 4 GiB or 60 times the archive's size, whichever is more.
        file_bytes: size of one file.
    """

    files: int = 3_000_000
    unpacked_bytes: int | None = None
    file_bytes: int = 4 * GIB

    def unpacked(self, stored_bytes: int) -> int:
        """Bytes that an archive of ``stored_bytes`` may unpack to."""
        return max(4 * GIB, 60 * stored_bytes) if self.unpacked_bytes is None else self.unpacked_bytes


class Place(NamedTuple):
    """Where a content lies: ``offset``, ``size`` and ``stored`` (packed size) in bytes; the last three for zip only."""

    offset: int
    size: int
    stored: int = 0
    crc: int = 0
    method: int = 0


def unsafe(archive: object, name: str, reason: str) -> ReproError:
    """The error about a member, where ``reason`` goes on from "which ..."."""
    return ReproError(
        f"{archive} holds {name[:200]!r}, which {reason}. It is refused, since an archive of plain and whole files "
        "was expected: get it again from its official source."
    )


def name_flaw(name: str) -> str:
    """Why a name is refused, to be read after "which ..."; empty for a good name."""
    if "\0" in name or "\\" in name:
        return "has a NUL character or a back-slash in its name"
    if _ABSOLUTE.match(name):
        return "has an absolute name"
    if ".." in name.split("/"):
        return "has a name that leads out of its folder"
    return "" if _is_unicode(name) else "has a name that is not UTF-8"


def _is_unicode(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:  # bytes that are no UTF-8 arrive as surrogates
        return False
    return True


def plain_name(name: str) -> str:
    """``./a//b`` as ``a/b``; the top folder as an empty text."""
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def is_leftover(name: str) -> bool:
    """Whether a file is hidden, lies in a hidden folder or was left there by macOS or Windows."""
    return any(part.startswith(".") or part in _LEFTOVERS for part in name.split("/"))


def link_target(folder: str, target: str) -> str:
    """The name that a link in ``folder`` stands for; empty if it leads out of the archive."""
    if "\0" in target or "\\" in target or _ABSOLUTE.match(target):
        return ""
    parts: list[str] = []
    for part in f"{folder}/{target}".split("/"):
        if part == "..":
            if not parts:
                return ""
            parts.pop()
        elif part not in ("", "."):
            parts.append(part)
    return "/".join(parts)


class Register:
    """The members of one archive, each checked as it is entered.

    Every method raises :class:`ReproError`, naming archive and member, for what is unsafe or too much.
    """

    def __init__(self, archive: Path, limits: Limits) -> None:
        self.archive, self.limits, self.count = archive, limits, 0
        self.unpacked_limit = limits.unpacked(archive.stat().st_size)
        self._bytes = 0
        self._files: dict[str, Place] = {}
        self._links: dict[str, str] = {}

    def add_folder(self, name: str) -> str:
        """Count and check a member of any kind; returns its plain name."""
        self.count += 1
        if self.count > self.limits.files:
            raise ReproError(
                f"{self.archive} holds more than {self.limits.files} members, the limit of this project: "
                "check that it is the expected archive."
            )
        if reason := name_flaw(name):
            raise unsafe(self.archive, name, reason)
        return plain_name(name)

    def add_file(self, name: str, place: Place) -> None:
        """Enter a regular file."""
        plain = self._new(name)
        self._weigh(name, place.size)
        self._files[plain] = place

    def add_link(self, name: str, target: str, *, symbolic: bool) -> None:
        """Enter a link: a symbolic one starts from its own folder, a hard one from the archive's top."""
        plain = self._new(name)
        found = link_target(plain.rpartition("/")[0] if symbolic else "", target)
        if not found:
            raise unsafe(self.archive, name, f"is a link out of the archive, to {target[:200]!r}")
        self._links[plain] = found

    def places(self) -> dict[str, Place]:
        """Place of every file, a link at its target's, without leftovers."""
        found = {name: place for name, place in self._files.items() if not is_leftover(name)}
        for name, target in self._links.items():
            if not is_leftover(name):
                found[name] = self._resolved(name, target)
        if not found:
            raise ReproError(f"{self.archive} holds no file: check that it is the expected archive.")
        return found

    def _new(self, name: str) -> str:
        plain = self.add_folder(name)
        if not plain:
            raise unsafe(self.archive, name, "has an empty name")
        if plain in self._files or plain in self._links:
            raise unsafe(self.archive, name, "is there more than once")
        return plain

    def _resolved(self, name: str, target: str) -> Place:
        place = self._files.get(target)
        if place is None:
            raise unsafe(self.archive, name, f"is a link to {target[:200]!r}, and that is no file of the archive")
        self._weigh(name, place.size)
        return place

    def _weigh(self, name: str, size: int) -> None:
        self._bytes += size
        if not 0 <= size <= self.limits.file_bytes:
            raise unsafe(self.archive, name, f"has {size} bytes, where a file may have {self.limits.file_bytes}")
        if self._bytes > self.unpacked_limit:
            raise unsafe(self.archive, name, f"brings the sum of sizes over the limit of {self.unpacked_limit} bytes")
