"""Files that are whole or absent, and their hashes."""

import hashlib
import os
import re
import shutil
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from methods.liveness import machine, process_identity

_CHUNK = 1 << 20
_UMASK = os.umask(0o022)
os.umask(_UMASK)
_FOREIGN_SECONDS = 2 * 86400.0  # after which a temporary file of another host, untouched so long, is nobody's
_WRITER = re.compile(r"(?P<machine>[0-9a-f]{8})-(?P<pid>\d+)-(?P<start>\d*)-[0-9a-f]{8}(\.raw)?\.tmp")


@contextmanager
def atomic(path: str | Path) -> Iterator[Path]:
    """Yield a temporary name beside ``path``; rename it to ``path`` on success, remove it on failure.

    The bytes are flushed to the disk before the rename, so a crash leaves the old file or the new one,
    never a part of one.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in _abandoned(target):
        stale.unlink(missing_ok=True)
    temporary = _temporary(target)
    try:
        yield temporary
        with open(temporary, "rb") as handle:
            os.fsync(handle.fileno())
            os.fchmod(handle.fileno(), 0o666 & ~_UMASK)  # a library that makes private files would shut others out
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def whole_folder(path: str | Path) -> Iterator[Path]:
    """Yield an empty folder beside ``path``; put it in the place of ``path`` on success, remove it on failure."""
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    for stale in _abandoned(target):
        shutil.rmtree(stale, ignore_errors=True)
    temporary, old = _temporary(target), _temporary(target)
    temporary.mkdir()
    try:
        yield temporary
        if target.exists():
            os.replace(target, old)  # removed under its own name, a kill would leave a part of it
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)


def _temporary(target: Path) -> Path:
    """A name beside ``target`` that says which process writes it."""
    pid, _, start = (process_identity(os.getpid()) or str(os.getpid())).partition(":")
    return target.with_name(f".{target.name}.{machine()}-{pid}-{start}-{uuid.uuid4().hex[:8]}.tmp")


def _abandoned(target: Path) -> list[Path]:
    """Temporary files of ``target`` whose writer was killed; what a living process writes is not among them."""
    start = f".{target.name}."
    names = [name for name in os.listdir(target.parent) if name.startswith(start) and name.endswith(".tmp")]
    return [target.with_name(name) for name in names if not _being_written(target.with_name(name), name[len(start) :])]


def _being_written(path: Path, rest: str) -> bool:
    writer = _WRITER.fullmatch(rest)
    if writer is None:  # of an older version of this project, or of another target that begins like this one
        return not re.fullmatch(r"[0-9a-f]{8}(\.raw)?\.tmp", rest)
    if writer["machine"] == machine():
        return process_identity(int(writer["pid"])) == ":".join(filter(None, [writer["pid"], writer["start"]]))
    try:
        return time.time() - path.stat().st_mtime < _FOREIGN_SECONDS
    except FileNotFoundError:
        return False


def write_text(path: str | Path, text: str) -> None:
    """Write ``text`` as UTF-8, whole or not at all."""
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sha256_bytes(content: bytes) -> str:
    """Hex SHA-256 of bytes in memory."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: str | Path, report: Callable[[int], None] = lambda size: None) -> str:
    """Hex SHA-256 of a file, read in pieces of 1 MiB; ``report`` is told how many more bytes were hashed."""
    digest, block = hashlib.sha256(), bytearray(_CHUNK)
    view = memoryview(block)
    with open(path, "rb", buffering=0) as handle:
        while size := handle.readinto(block):
            digest.update(view[:size])
            report(size)
    return digest.hexdigest()
