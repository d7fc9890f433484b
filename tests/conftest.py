"""What several test files share."""

import fcntl
import os
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.workflow import snakemake, write_inputs

for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # tests run a file a core: more threads would wait for one another

# Files that take minutes: they are started first, so that no core waits for the last of them
SLOW = (
    "test_workflow_verify",
    "test_workflow",
    "test_workflow_data",
    "test_interruption",
    "test_readers",
    "test_workflow_tuning",
    "test_workflow_import",
    "test_distributed",
    "test_workflow_site",
    "test_workflow_figures",
    "test_workflow_pretrained",
    "test_site_browser",
    "test_guide",
    "test_figures",
)
BUNDLE = Path(__file__).resolve().parents[2] / "shared" / "datasets"


def pytest_collection_modifyitems(items):
    """Slow files first, in their order above."""
    items.sort(key=lambda item: SLOW.index(item.path.stem) if item.path.stem in SLOW else len(SLOW))


@pytest.fixture(scope="session")
def real_data(tmp_path_factory):
    """Folder of the unpacked real sets: OOD_REPRO_TEST_DATA, or the bundle beside the repository, unpacked once."""
    if folder := os.environ.get("OOD_REPRO_TEST_DATA"):
        assert Path(folder).is_dir(), f"OOD_REPRO_TEST_DATA is {folder}, which is no folder"
        return Path(folder)
    if not (BUNDLE / "unpack.py").is_file():
        pytest.skip(f"no real data: OOD_REPRO_TEST_DATA is not set and {BUNDLE} does not exist")
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if shared() else base) / "real_data"
    with only_process(target):  # what is whole already is skipped
        done = subprocess.run([sys.executable, "unpack.py", target], cwd=BUNDLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return target


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory):
    """A folder in which the micro paper was run to its end, by one process for all: to be copied, not changed."""
    base = tmp_path_factory.getbasetemp()
    target = (base.parent if shared() else base) / "micro_run"
    with only_process(target):
        if not (target / "finished").exists():
            target.mkdir(exist_ok=True)
            write_inputs(target)
            done = snakemake(target, "micro")
            assert done.returncode == 0, done.stdout
            (target / "finished").touch()
    return target


def shared():
    """Whether several processes run the tests, which then share a folder above their own."""
    return "PYTEST_XDIST_WORKER" in os.environ


@contextmanager
def only_process(target):
    """Hold the lock beside a folder that several processes may want to fill."""
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
