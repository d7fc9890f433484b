"""How a job on another machine knows that the Snakemake which submitted it lives.

On one machine jobs watch a process id (job.py); on a node of a cluster that id means nothing. So a Snakemake that
submits jobs counts up in a file of its own in the shared folder, and its jobs end when that file is gone or its count
stands still: an orphan would go on writing into a folder that the next run believes free. The count is compared with
itself, so that clocks of different machines do not matter.
"""

import atexit
import os
import socket
import sys
import threading
import time
from pathlib import Path

HEAD = "OOD_REPRO_HEAD"  # path of the file in which the submitting Snakemake counts
HEADS = Path(".snakemake/ood-repro.heads")
BEAT_SECONDS = 10.0
POLL_SECONDS = 5.0
SILENT_POLLS = 120  # ten minutes; polls that hang with the file system are not counted, so an outage ends no job


def announce_head() -> Path:
    """Called by a Snakemake that submits jobs: count from now on, and tell the jobs where."""
    path = HEADS.absolute() / f"{socket.gethostname()}-{os.getpid()}-{time.time_ns()}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("0")
    os.environ[HEAD] = str(path)
    atexit.register(path.unlink, missing_ok=True)
    threading.Thread(target=_count, args=(path, BEAT_SECONDS), daemon=True).start()
    return path


def _count(path: Path, seconds: float) -> None:
    """Until the file is taken away, which says that another Snakemake has the folder."""
    beats = 0
    while True:
        time.sleep(seconds)
        beats += 1
        try:
            with open(path, "r+") as handle:  # never makes it anew
                handle.write(str(beats))
        except FileNotFoundError:
            return
        except OSError:
            continue  # a file system that has gone for a moment


def forget_heads() -> None:
    """Take the files of all Snakemakes away, and with them the jobs they left; call it with the folder locked."""
    for path in HEADS.glob("*"):
        path.unlink(missing_ok=True)


def require_head() -> None:
    """End this process if the Snakemake that submitted it is gone already; nothing happens to one not submitted."""
    path = os.environ.get(HEAD)
    if path and not Path(path).exists():
        _end(f"{path} is gone")


def end_with_head(poll: float = POLL_SECONDS, silent_polls: int = SILENT_POLLS) -> None:
    """End this process, at once or later, when the Snakemake that submitted it is gone.

    poll: seconds between looks; silent_polls: how many looks in a row must find the same count.
    """
    require_head()
    if path := os.environ.get(HEAD):
        threading.Thread(target=_watch, args=(Path(path), poll, silent_polls), daemon=True).start()


def _watch(path: Path, poll: float, silent_polls: int) -> None:
    last, silent = "", 0
    while True:
        try:
            count = path.read_text()
        except FileNotFoundError:
            _end(f"{path} is gone")
        except OSError:
            count = last
        silent = silent + 1 if count == last else 0
        last = count
        if silent >= silent_polls:
            _end(f"{path} has not changed for {silent_polls * poll:.0f} s")
        time.sleep(poll)


def _end(found: str) -> None:
    message = f"The Snakemake that submitted this job is gone ({found}): it ends, for another run may have the folder."
    print(message, file=sys.stderr, flush=True)
    os._exit(1)  # outputs are written whole or not at all, so there is nothing to clean up
