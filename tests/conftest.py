"""What several test files share."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workflow import once, snakemake, write_inputs

# Tests that call make are not to see the variables of the make that runs them
for _name in ("ARGS", "TARGET", "NAME", "PROFILE", "REASON", "MAKEFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "MFLAGS"):
    os.environ.pop(_name, None)
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_name, "1")  # tests run a file a core: more threads would wait for one another

# Files that take minutes: they are started first, so that no core waits for the last of them
SLOW = (
    "test_workflow_slurm",
    "test_tutorials_running",
    "test_tutorials_adding",
    "test_tutorials_results",
    "test_workflow_verify",
    "test_workflow_reruns",
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
    "test_figures",
)
BUNDLE = Path(__file__).resolve().parents[2] / "shared" / "datasets"


def pytest_xdist_auto_num_workers():
    """One process more than cores: tests of workflows wait a good part of their time, those of Slurm nearly all."""
    return (os.cpu_count() or 1) + 1


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
    return once(tmp_path_factory, "real_data", _unpack)


def _unpack(folder):
    done = subprocess.run([sys.executable, "unpack.py", folder], cwd=BUNDLE, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def micro_run(tmp_path_factory):
    """A folder in which the micro paper was run to its end, by one process for all: to be copied, not changed."""
    return once(tmp_path_factory, "micro_run", _run)


def _run(folder):
    write_inputs(folder)
    done = snakemake(folder, "micro")
    assert done.returncode == 0, done.stdout
