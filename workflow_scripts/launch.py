"""Start Snakemake where an earlier one may have died: `python -m workflow_scripts.launch demo`.

Snakemake leaves a lock behind when it is killed, and its jobs may live on for a moment. This waits for such jobs,
removes the lock only when no Snakemake lives in the folder, and refuses while one does.
"""

import fcntl
import logging
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

from methods.disk import require_writable
from methods.errors import ReproError
from methods.liveness import process_identity
from workflow_scripts.cluster.head import HEAD, forget_heads, require_head
from workflow_scripts.job import JOB_LOCK, OWNER, end_with, locked

BUSY = "Another Snakemake is at work in this folder: wait for it to end or stop it, then run again."
DRY_RUN = frozenset({"-n", "--dry-run", "--dryrun"})
LAUNCHER = "OOD_REPRO_LAUNCHER"  # pid and start time of the process that started this Snakemake
OWNER_LOCK = Path(".snakemake/ood-repro.owner.lock")
SNAKEMAKE_LOCKS = Path(".snakemake/locks")
LOGGERS = Path(__file__).resolve().parent / "loggers"  # where Snakemake finds the project's logger plugin
_held: list[IO[str]] = []  # kept open, and with it locked, as long as the process lives
_PATIENCE_SECONDS = 3.0
_launchers: list[str] = []


def register_owner(root: str, main: bool) -> None:
    """Called by every Snakemake that reads the Snakefile; ``main`` is the one that the user started.

    Holds the owner lock, ends with the launcher (if there is one), tells jobs with which process to end, and lets them
    import from the project's ``root``. One that was submitted to a cluster owns nothing, and ends if its main one is
    gone.

    Raises:
        ReproError: this folder cannot be written.
    """
    if main:
        os.environ.pop(HEAD, None)
    require_head()
    if started_by := os.environ.pop(LAUNCHER, None):
        _launchers.append(started_by)
    end_with(launcher())
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    _name_python()
    os.environ[OWNER] = str(process_identity(os.getpid()))
    logging.raiseExceptions = False  # the sentence about a full disk cannot go into the log; it is on the terminal
    require_writable(OWNER_LOCK.parent, "Snakemake's folder")
    if HEAD not in os.environ:
        _held.append(locked(OWNER_LOCK, fcntl.LOCK_SH))


def _name_python() -> None:
    """Let Snakemake start jobs by the name of this Python where its path has a space: it does not quote the path."""
    if shlex.quote(sys.executable) == sys.executable:
        return
    folder, name = os.path.split(sys.executable)
    os.environ["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    sys.executable = name


def launcher() -> str | None:
    """Identity of the process that started this Snakemake, if a launcher did."""
    return _launchers[-1] if _launchers else None


def main(arguments: list[str]) -> int:
    """Clear what a dead Snakemake left, then run Snakemake with ``arguments``; returns its exit code."""
    if "--logger" not in arguments:
        arguments = [*arguments, "--logger", "ood-repro"]
    if DRY_RUN & set(arguments):  # makes nothing: it waits for nobody and takes no lock
        return _snakemake(arguments)
    try:
        require_writable(OWNER_LOCK.parent, "Snakemake's folder")
        owner = _alone()
    except ReproError as error:
        print(error, file=sys.stderr)
        return 1
    except BlockingIOError:
        print(BUSY, file=sys.stderr)
        return 1
    with owner:
        fcntl.flock(owner, fcntl.LOCK_SH)  # shared with the Snakemake that is started, and held until it ends
        forget_heads()  # jobs on other nodes end, also those that have not begun
        _wait_for_jobs()
        if _left_locks():
            print("An earlier run was killed: removing the lock it left.", file=sys.stderr)
            if _snakemake([*arguments, "--unlock", "--quiet", "all"]):
                return 1
        return _snakemake(arguments)


def _alone() -> IO[str]:
    """The owner lock, held alone; a Snakemake whose launcher was just killed gets a moment to notice.

    Raises:
        BlockingIOError: a Snakemake is at work.
    """
    end = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return locked(OWNER_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def _snakemake(arguments: list[str]) -> int:
    """Exit code of a Snakemake that ends with this process; Ctrl-C is left to it."""
    process = subprocess.Popen([sys.executable, "-m", "snakemake", *arguments], env=child_environment())
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        return process.wait()
    finally:
        signal.signal(signal.SIGINT, before)


def child_environment() -> dict[str, str]:
    """The environment of a Snakemake that is to end with this process and finds the project's logger plugin."""
    path = os.pathsep.join(filter(None, [str(LOGGERS), os.environ.get("PYTHONPATH")]))
    return {**os.environ, "PYTHONPATH": path, LAUNCHER: str(process_identity(os.getpid()))}


def _wait_for_jobs() -> None:
    """Block until no job of a dead run holds the job lock; such jobs end within a second."""
    try:
        locked(JOB_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB).close()
    except BlockingIOError:
        print("Waiting for jobs of an earlier run to end ...", file=sys.stderr)
        locked(JOB_LOCK, fcntl.LOCK_EX).close()


def _left_locks() -> bool:
    return SNAKEMAKE_LOCKS.is_dir() and any(SNAKEMAKE_LOCKS.iterdir())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
