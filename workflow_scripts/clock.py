"""Files from the future: made before somebody set this machine's clock back, or by a host whose clock is ahead.

Snakemake compares times of files, and refuses a job's output that is older than an input, once the work is done. So
before the first job, files that are younger than now get times just before now, in the order that they had: what is
older than what, which is all that Snakemake asks, stays as it was.
"""

import os
import time
from collections.abc import Iterable
from pathlib import Path

from methods.errors import refuse

_STEP = 1_000_000  # nanoseconds between two files
_SLACK = 2_000_000_000  # nanoseconds: what clocks of a network differ by anyway


def bring_back(files: Iterable[str], needed: Iterable[str]) -> list[str]:
    """Give files of ``files`` that are from the future times just before now; gives their names.

    Raises:
        ReproError: one of ``needed`` is from the future and its time cannot be set.
    """
    now, needed = time.time_ns(), set(needed)
    future = sorted((when, name) for name in set(files) if (when := _time(name)) is not None and when > now + _SLACK)
    for place, (when, name) in enumerate(future):
        at = now - _STEP * (len(future) - place)
        try:
            os.utime(name, ns=(at, at), follow_symlinks=False)
        except OSError as error:
            refuse(
                name in needed,
                f"{name} is {(when - now) / 1e9:.0f} s younger than this machine's clock, and its time cannot be set "
                f"({error.strerror}): Snakemake would refuse all that is made from it. Set the clock right, or `touch` "
                "the file where it can be written.",
            )
    return [name for _, name in future]


def _time(name: str) -> int | None:
    try:
        return Path(name).lstat().st_mtime_ns
    except OSError:
        return None
