"""Locks, and the lock file: hashes that no publisher gave, recorded once and compared from then on."""

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.files import write_text
from methods.progress import LOG


@contextmanager
def held(path: Path) -> Iterator[None]:
    """Hold the lock file ``path`` alone among threads and processes; wait for it; leave no file behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = _locked(path)
    try:
        yield
    finally:
        path.unlink(missing_ok=True)
        os.close(handle)


def _locked(path: Path) -> int:
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            LOG.info("waiting for another process that holds %s", path)
            fcntl.flock(handle, fcntl.LOCK_EX)
        # The owner before us removed its file: a lock on a file without a name keeps nobody out.
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)


def recorded(lock: Path, section: str, key: str) -> dict[str, Any] | None:
    """What the lock file says of ``key`` in ``section`` (``files`` or ``folders``); None if nothing.

    Raises:
        ReproError: the lock file is damaged.
    """
    return _read(lock).get(section, {}).get(key)


def record_once(lock: Path, section: str, key: str, value: Mapping[str, Any]) -> None:
    """Record ``value`` unless the same is there already; a ``url`` says where the first came from, no more.

    Raises:
        ReproError: the lock file is damaged, or has another value.
    """
    with held(lock.with_name(f".{lock.name}.flock")):
        content = _read(lock)
        known = content.setdefault(section, {}).setdefault(key, dict(value))
        if _compared(known) != _compared(value):
            raise ReproError(
                f"{lock} has {_compared(known)} for {key}, recorded at its first use; now it is {_compared(value)}. "
                f"If the new one is right, remove the entry {key!r} from {lock} and run the same command again; "
                "else delete the new file and fetch it again."
            )
        write_text(lock, json.dumps(content, indent=1, sort_keys=True) + "\n")


def _compared(value: Mapping[str, Any]) -> dict[str, Any]:
    return {key: item for key, item in value.items() if key != "url"}


def _read(lock: Path) -> dict[str, dict[str, dict[str, Any]]]:
    try:
        content = json.loads(lock.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise _damaged(lock, str(error).splitlines()[0]) from error
    entries = content.values() if isinstance(content, dict) else [None]
    if not all(isinstance(part, dict) and all(isinstance(v, dict) for v in part.values()) for part in entries):
        raise _damaged(lock, "it is no table of sections and entries")
    return content


def _damaged(lock: Path, reason: str) -> ReproError:
    return ReproError(
        f"The lock file {lock} cannot be read ({reason}): bring back its last good version, or delete it to record "
        "the files anew at their next download."
    )
