"""Verifying source files: by the catalog, and by the lock file where that has seen them before."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.data.lock import record_once, recorded
from methods.data.pages import format_problem, is_page, page_problem, wants_page
from methods.data.transfer import SourceFailure
from methods.errors import ReproError
from methods.files import sha256_file

_HEAD = 1 << 20


class WrongBytes(SourceFailure):
    """A whole file, but not the expected one."""


class Expected:
    """What a file must be: by the catalog, and by the lock file where that has seen it before."""

    def __init__(self, dataset: str, file: Mapping[str, Any], lock: Path | None) -> None:
        self.dataset, self.file, self.lock = dataset, file, lock
        self.key = f"{dataset}/{file['name']}"
        known = recorded(lock, "files", self.key) if lock else None
        self.known = known["sha256"] if known else None
        self.verifiable = bool(self.known or file.get("sha256") or file.get("md5"))

    def lies_at(self, path: Path) -> bool:
        """Whether the file at ``path`` needs no download: a full hash vouches for it, recorded if it must be."""
        unrecorded = self.lock is not None and not self.known and not self.file.get("sha256")
        return not unrecorded and self.fits(path)

    def fits(self, path: Path) -> bool:
        """Whether there is a file at ``path`` with the full hash expected."""
        try:
            return self.verifiable and path.is_file() and bool(self.verify(path))
        except SourceFailure:
            return False

    def verify(self, path: Path) -> str:
        """SHA-256 of the right file.

        Raises:
            SourceFailure: it is another one; says in what.
        """
        sha256 = sha256_file(path)
        problem = self.problem(path, sha256)
        if problem or not self.verifiable:
            problem = self._other_kind(path) or problem
        if problem:
            raise WrongBytes(problem)
        return sha256

    def problem(self, path: Path, sha256: str) -> str | None:
        """In what the file at ``path``, whose hash is ``sha256``, is not the one expected; None if in nothing."""
        return self._size_problem(path.stat().st_size) or self._hash_problem(path, sha256)

    def _size_problem(self, size: int) -> str | None:
        expected = self.file.get("size", size)
        return None if size == expected else f"has {size} bytes, the catalog expects {expected}"

    def _hash_problem(self, path: Path, sha256: str) -> str | None:
        expected, prefix = self.file.get("sha256", sha256), self.file.get("sha256_prefix", "")
        if sha256 != expected:
            return f"has sha256 {sha256[:12]}, the catalog expects {expected[:12]}"
        if not sha256.startswith(prefix):
            return f"has sha256 {sha256[:12]}, the catalog expects one that begins with {prefix}"
        if self.known not in (None, sha256):
            return f"has sha256 {sha256[:12]}, the lock file recorded {self.known[:12]} at the first download"
        md5 = _md5(path) if "md5" in self.file else None
        if md5 and md5 != self.file["md5"]:
            return f"has md5 {md5[:12]}, the catalog expects {self.file['md5'][:12]}"
        return None

    def _other_kind(self, path: Path) -> str | None:
        with open(path, "rb") as handle:
            head = handle.read(_HEAD)
        if is_page("", head) and not wants_page(self.file["name"]):
            return page_problem(head)
        return None if self.verifiable else format_problem(self.file["name"], head)

    def record(self, url: str, size: int, sha256: str) -> None:
        """Keep a hash that the catalog lacks in the lock file."""
        if self.lock is not None and not self.file.get("sha256"):
            value = {"sha256": sha256, "size": size, "url": url}
            record_once(self.lock, "files", self.key, value)

    def hash_kind(self) -> str:
        """By what a file of this record is known to be the right one."""
        kind = next((kind for kind in ("sha256", "md5", "sha256_prefix") if kind in self.file), None)
        return kind or ("sha256 of the first download" if self.known else "its form alone, as no hash is published")


def _md5(path: Path) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, "md5").hexdigest()


def verify_file(dataset: str, file: Mapping[str, Any], path: Path, lock: Path) -> str:
    """Compare a source file that a folder of the user's holds with its record, and record what the catalog lacks.

    Returns:
        its SHA-256.

    Raises:
        ReproError: it is another file.
    """
    expected = Expected(dataset, file, lock)
    try:
        sha256 = expected.verify(path)
    except SourceFailure as failure:
        raise ReproError(f"{path} {failure}: replace it, or take its folder out of data.sources.") from failure
    expected.record("data.sources", path.stat().st_size, sha256)
    return sha256
