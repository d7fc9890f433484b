"""Where a training that was interrupted waits to go on."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from methods.errors import ReproError


@contextmanager
def resume_folder(root: Path, fingerprint: str) -> Iterator[Path]:
    """A folder named by what is trained on what, locked while it is open and removed once the training is done.

    Raises:
        ReproError: another process trains the same model into it.
    """
    folder = root / fingerprint[:32]
    lock = _lock(folder)
    with lock:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)


def _lock(folder: Path) -> IO[str]:
    """The folder's lock file, held; made again if its last owner removed the folder in between."""
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock = open(folder / "lock", "a")  # noqa: SIM115
        except FileNotFoundError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.close()
            raise ReproError(
                f"Another process is training the same model in {folder}: wait for it to end, then run again."
            ) from error
        if os.path.exists(folder / "lock") and os.path.samestat(os.fstat(lock.fileno()), os.stat(folder / "lock")):
            return lock
        lock.close()
