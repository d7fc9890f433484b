"""Where a training that was interrupted waits to go on."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Set
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from methods.errors import ReproError
from methods.files import write_text

_DONE = "done"  # in a folder: the model that was made, of a training that has ended


@contextmanager
def resume_folder(root: Path, fingerprint: str, model: str | Path) -> Iterator[Path]:
    """A folder named by what is trained on what, locked while it is open.

    Once ``model`` is written the folder says so and waits for :func:`forget_finished`: whoever started the training may
    still refuse its outputs, and a checkpoint is then worth days.

    Raises:
        ReproError: another process trains the same model into it.
    """
    folder = root / fingerprint[:32]
    lock = _lock(folder)
    with lock:
        yield folder
        write_text(folder / _DONE, f"{model}\n")


def forget_finished(root: Path, wanted: Set[str]) -> None:
    """Remove folders of trainings that have ended and whose model is there, unless it is ``wanted`` anew."""
    for done in root.glob(f"*/{_DONE}"):
        model = done.read_text(encoding="utf-8").rstrip("\n")
        if model not in wanted and os.path.exists(model):
            with suppress(ReproError), _lock(done.parent):
                shutil.rmtree(done.parent, ignore_errors=True)


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
