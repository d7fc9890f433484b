"""What several test files share."""

import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

BUNDLE = Path(__file__).resolve().parents[2] / "shared" / "datasets"


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """Folder of the unpacked real sets: OOD_REPRO_TEST_DATA, or the bundle beside the repository, unpacked once."""
    if folder := os.environ.get("OOD_REPRO_TEST_DATA"):
        assert Path(folder).is_dir(), f"OOD_REPRO_TEST_DATA is {folder}, which is no folder"
        return Path(folder)
    if not (BUNDLE / "unpack.py").is_file():
        pytest.skip(f"no real data: OOD_REPRO_TEST_DATA is not set and {BUNDLE} does not exist")
    shared = "PYTEST_XDIST_WORKER" in os.environ  # several processes of one run share a folder above their own
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if shared else base) / "real_data"
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # what is whole already is skipped
        done = subprocess.run([sys.executable, "unpack.py", target], cwd=BUNDLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target
