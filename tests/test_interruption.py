"""Killed anywhere, the same command goes on and the tables are the same."""

import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from methods.liveness import process_identity
from tests.kill_points import copy_without, files, run_through
from tests.workflow import MODEL, TABLE, arguments, environment, launch, snakemake, start, write_inputs

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def expected(micro_run):
    return (micro_run / TABLE).read_bytes()


def children(pid):
    """Process ids below ``pid``, nearest first."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            try:
                parent = int(Path(f"/proc/{entry}/stat").read_text().rpartition(")")[2].split()[1])
            except OSError:
                continue
            if parent == pid:
                found += [int(entry), *children(int(entry))]
    return found


def command_of(pid):
    try:
        return Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    except OSError:
        return ""


def wait_for_job(process, name):
    """Process id of the Python that runs the script ``name``."""
    deadline = time.monotonic() + 300  # a busy machine takes its time until the first job
    while time.monotonic() < deadline and process.poll() is None:
        for pid in children(process.pid):
            if f".{name}.py" in command_of(pid) and "bash" not in command_of(pid):
                return pid
        time.sleep(0.02)
    raise AssertionError(f"no job {name} was seen")


def snakemake_pid(process):
    return next(pid for pid in children(process.pid) if "-m snakemake" in command_of(pid))


def finishes_with(folder, expected):
    done = launch(folder, TABLE)
    assert done.returncode == 0, done.stdout
    assert (folder / TABLE).read_bytes() == expected
    return done.stdout


def test_a_killed_job_is_run_again(tmp_path, expected):
    write_inputs(tmp_path)
    process = start(tmp_path, TABLE)
    os.kill(wait_for_job(process, "train"), signal.SIGKILL)
    assert process.wait(60) != 0
    finishes_with(tmp_path, expected)


def test_a_killed_snakemake_leaves_jobs_that_end_and_a_lock_that_is_cleared(tmp_path, expected):
    write_inputs(tmp_path)
    process = start(tmp_path, TABLE)
    job = wait_for_job(process, "train")
    os.kill(snakemake_pid(process), signal.SIGKILL)
    assert process.wait(60) != 0
    assert "removing the lock" in finishes_with(tmp_path, expected)
    assert process_identity(job) is None


def test_a_killed_launcher_takes_snakemake_and_its_jobs_along(tmp_path, expected):
    write_inputs(tmp_path)
    process = start(tmp_path, TABLE)
    job, snakemake = wait_for_job(process, "train"), snakemake_pid(process)
    process.kill()
    process.wait(60)
    deadline = time.monotonic() + 15  # a second or two, unless the machine is busy
    while time.monotonic() < deadline and any(map(process_identity, (snakemake, job))):
        time.sleep(0.2)
    assert process_identity(snakemake) is None
    assert process_identity(job) is None
    finishes_with(tmp_path, expected)


TABLES = [f"{TABLE.removesuffix('csv')}{form}" for form in ("csv", "md", "tex", "html")]
TRAINED = [MODEL, *(f"{Path(MODEL).parent}/{name}.csv" for name in ("history", "cost"))]
KILLS = {
    "make_table": (
        TABLES,
        [
            ("make_table", "start", 1, "job"),
            ("make_table", "torn", 1, "job"),  # half written
            ("make_table", "after", 2, "snakemake"),  # between two outputs
            ("make_table", "after", 5, "group"),  # all written, no hash recorded
            ("make_table", "end", 1, "job"),
        ],
    ),
    "train": (TRAINED, [("train", "after", 1, "group"), ("train", "torn", 2, "job")]),  # after its first checkpoint
}


@pytest.mark.parametrize("rule", KILLS)
def test_killed_again_and_again_at_its_worst_moments_a_job_ends_in_the_same_bytes(tmp_path, micro_run, rule):
    outputs, kills = KILLS[rule]
    copy_without(micro_run, tmp_path / "copy", outputs)
    run_through(tmp_path / "copy", kills, outputs, files(micro_run))
    assert files(tmp_path / "copy") == files(micro_run)
    assert not list((tmp_path / "copy/results").rglob("*.tmp"))


def test_ctrl_c_stops_all_and_the_next_run_goes_on(tmp_path, expected):
    write_inputs(tmp_path)
    process = start(tmp_path, TABLE)
    job = wait_for_job(process, "train")
    deadline = time.monotonic() + 300  # a busy machine takes its time until the first job
    while process.poll() is None and time.monotonic() < deadline:
        os.killpg(process.pid, signal.SIGINT)  # again where Python lost the first in an import or a destructor
        with suppress(subprocess.TimeoutExpired):
            process.wait(3)
    assert process.wait(1) != 0
    finishes_with(tmp_path, expected)
    assert process_identity(job) is None


def test_a_second_start_is_refused_while_one_is_at_work(tmp_path, expected):
    write_inputs(tmp_path)
    process = start(tmp_path, TABLE)
    training = wait_for_job(process, "train")
    os.kill(training, signal.SIGSTOP)  # so that the run is still at work, however slow the others are to start
    second = launch(tmp_path, TABLE)
    assert second.returncode == 1
    assert "Another Snakemake is at work" in second.stdout
    assert snakemake(tmp_path, "--unlock").returncode == 0  # by mistake
    third = snakemake(tmp_path, TABLE)
    assert third.returncode == 1
    assert "Another Snakemake is at work in this folder: wait for it to end or stop it" in third.stdout
    os.kill(training, signal.SIGCONT)
    assert process.wait(120) == 0
    assert (tmp_path / TABLE).read_bytes() == expected


def test_a_run_whose_terminal_went_away_ends_all_the_same(tmp_path):
    write_inputs(tmp_path)
    archive, store = "data/archives/digits/digits.csv.gz", "data/images/digits/train@8px-native.h5"
    assert launch(tmp_path, archive).returncode == 0
    (tmp_path / archive).write_bytes(b"damaged")  # so that a job fails when nobody reads any more
    command = [sys.executable, "-m", "workflow_scripts.launch", *arguments(store)]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    process = subprocess.Popen(command, cwd=tmp_path, env=environment(), start_new_session=True, **streams)
    assert any(b"to run" in line for line in process.stdout)
    process.stdout.close()
    assert process.wait(120) == 1
    assert "is damaged" in (tmp_path / "logs/prepare_images/digits/train@8px-native.log").read_text()
