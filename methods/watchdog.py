"""Ending work that hangs: a GPU that never answers, a network file system that is gone, a worker waiting for another.

Loops that may hang give a sign of progress once a step (:func:`methods.progress.beat`). From the first sign on, silence
for too long ends the process; the checkpoint it left is where the next try goes on.
"""

import faulthandler
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

from methods.progress import LOG, last_beat

_LONGEST_POLL = 5.0


def watch(minutes: float, tell: Callable[[str], None], log: Path | None = None) -> None:
    """End this process when no sign of progress has come for so long; 0 never does.

    Args:
        minutes: of silence after the first sign.
        tell: is given the sentence before the end.
        log: file to which the stacks of all threads are added.
    """
    if minutes > 0:
        threading.Thread(target=_watch, args=(60 * minutes, tell, log), daemon=True).start()


def _watch(seconds: float, tell: Callable[[str], None], log: Path | None) -> None:
    poll = min(_LONGEST_POLL, seconds / 4)
    seen, silent, then = last_beat(), 0.0, time.monotonic()
    while silent < seconds:
        time.sleep(poll)
        now = time.monotonic()
        # a process that was stopped for an hour, or slept with its machine, did not hang for an hour
        silent += min(now - then, 2 * poll)
        then = now
        if (beat := last_beat()) != seen or beat is None:
            seen, silent = beat, 0.0
    assert seen is not None
    _end(f"no progress for {silent / 60:.3g} minutes; the last was {seen[1]}", tell, log)


def _end(what: str, tell: Callable[[str], None], log: Path | None) -> None:
    where = f" Where each thread hung is in {log}." if log else ""
    if log:
        with open(log, "a", encoding="utf-8") as handle:
            faulthandler.dump_traceback(file=handle, all_threads=True)
    sentence = (
        f"This job hangs: {what}.{where} It was ended by hardware.stall_minutes; run the same command again: a "
        "training goes on from its last checkpoint."
    )
    LOG.error("%s", sentence)
    tell(sentence)
    sys.stderr.flush()
    os._exit(1)
