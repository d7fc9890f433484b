"""Where a training that was interrupted waits to go on."""

import fcntl
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from methods.errors import ReproError


@contextmanager
def resume_folder(root: Path, fingerprint: str) -> Iterator[Path]:
    """A folder named by what is trained on what, locked while it is open and removed once the training is done.

    Raises:
        ReproError: another process trains the same model into it.
    """
    folder = root / fingerprint[:32]
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ReproError(
                f"Another process is training the same model in {folder}: wait for it to end, then run again."
            ) from error
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
