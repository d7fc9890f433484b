"""Whether a process still lives: what a dead one left may be removed, what a living one writes may not."""

import hashlib
import os
import socket
from functools import cache
from pathlib import Path


def process_identity(pid: int) -> str | None:
    """Process id with start time, so that a recycled id is not taken for the process; None if it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return str(pid) if not Path("/proc").is_dir() and _exists(pid) else None
    return None if stat[0] == "Z" else f"{pid}:{stat[19]}"


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@cache
def machine() -> str:
    """Eight hex digits for this host and, in a container, its own numbering of processes."""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return hashlib.sha256(f"{socket.gethostname()} {namespace}".encode()).hexdigest()[:8]
