"""Small disks for tests: file systems in memory that can be filled, grown and made read-only."""

import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

Options = Callable[[str], None]


@contextmanager
def small_disk(folder: Path, size: str) -> Iterator[Options]:
    """Mount a file system of ``size`` at ``folder``; gives a function that mounts it anew with other options.

    The test is skipped where this user may not mount.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if not shutil.which("mount"):
        pytest.skip("a small disk needs `mount`")
    done = _call("mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder))
    if done.returncode:
        pytest.skip(f"a small disk needs the right to mount: {done.stderr.strip()}")
    try:
        yield lambda options: _call("mount", "-o", f"remount,{options}", str(folder)).check_returncode()
    finally:
        _call("umount", "--lazy", str(folder))


def _call(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)
