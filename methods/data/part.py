"""The bytes of an unfinished download."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from methods.errors import ReproError, refuse
from methods.progress import readable_bytes


class Part:
    """The bytes of a file that have come so far, beside its final place, and a record of where they came from.

    Args:
        destination: the final place.
        file: the catalog record; ``sha256``, ``md5``, ``sha256_prefix`` and ``size`` are what is expected.
        verifiable: a full hash is known, so that bytes of several sources may be joined.
    """

    def __init__(self, destination: Path, file: Mapping[str, Any], verifiable: bool) -> None:
        self.destination, self.name = destination, destination.name
        self.file, self.verifiable = file, verifiable
        self.path = destination.with_name(f".{destination.name}.part")
        self.record = destination.with_name(f".{destination.name}.part.json")
        self.resumed = False
        self.expected = {key: file[key] for key in ("size", "sha256", "md5", "sha256_prefix") if key in file}
        try:
            self.state = dict(json.loads(self.record.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            self.state = {}
        if self.state.get("expected") != self.expected:
            self.drop()

    @property
    def size(self) -> int:
        """Bytes so far."""
        return self.path.stat().st_size if self.path.is_file() else 0

    def drop(self) -> None:
        """Forget the bytes and their record."""
        self.state, self.resumed = {}, False
        self.path.unlink(missing_ok=True)
        self.record.unlink(missing_ok=True)

    def restart(self, url: str, headers: Mapping[str, str]) -> None:
        """Begin anew with what ``url`` gives now; its validators tell later whether it is still the same."""
        self.drop()
        validators = {"etag": headers.get("ETag", ""), "modified": headers.get("Last-Modified", "")}
        self.state = {"url": url, **validators, "expected": self.expected}
        with self.writing():
            self.record.write_text(json.dumps(self.state), encoding="utf-8")

    def range_headers(self, url: str) -> dict[str, str]:
        """Headers that ask ``url`` for the rest; none where the bytes so far cannot be trusted to fit it."""
        etag = self.state.get("etag", "")
        validator = etag if etag.startswith('"') else self.state.get("modified", "")
        unchanged = {"If-Range": validator} if validator and self.state.get("url") == url else {}
        return {"Range": f"bytes={self.size}-", **unchanged} if self.size and (unchanged or self.verifiable) else {}

    def other_version(self, url: str, headers: Mapping[str, str]) -> bool:
        """Whether ``headers`` show that ``url`` has another version than the one these bytes came from."""
        etag = self.state.get("etag", "")
        return bool(etag) and self.state.get("url") == url and headers.get("ETag", etag) != etag

    def require_room(self, total: int | None) -> None:
        """Refuse to begin what the disk cannot hold; ``total``: bytes of the whole file where known."""
        folder, missing = self.path.parent, (total or self.file.get("about", 0)) - self.size
        free = shutil.disk_usage(folder).free
        refuse(
            missing > free,
            f"{self.name} needs {readable_bytes(missing)} more, the disk of {folder} has {readable_bytes(free)} free: "
            "make room, or put the data folder on another disk, and run the same command again.",
        )

    def move_to_its_place(self) -> None:
        """Give the bytes, which the caller has verified, their final name; they are on the disk before it."""
        with self.writing():
            with open(self.path, "rb") as handle:
                os.fsync(handle.fileno())
            os.replace(self.path, self.destination)
        self.drop()

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Name a full disk, or whatever keeps the part from being written, in a sentence."""
        try:
            yield
        except OSError as error:
            folder = self.path.parent
            if error.errno not in (errno.ENOSPC, errno.EDQUOT):
                raise ReproError(f"{self.path} cannot be written ({error.strerror}): mend {folder} first.") from error
            raise ReproError(
                f"The disk of {folder} is full: {self.name} has come to {readable_bytes(self.size)} so far. "
                "Make room and run the same command again: it goes on from there."
            ) from error
