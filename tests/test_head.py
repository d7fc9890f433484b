"""A submitted job ends with the Snakemake that submitted it, wherever that is, and not before."""

import errno
import fcntl
import os
import subprocess
import sys
import time

import pytest

from methods.errors import ReproError
from tests.workflow import ROOT, environment
from workflow_scripts.cluster import head
from workflow_scripts.job import locked

JOB = """
import time
from workflow_scripts.cluster.head import end_with_head
end_with_head(poll=0.05, silent_polls=20)
print('at work', flush=True)
time.sleep(60)
"""


def job(path, code=JOB):
    """A process that was submitted by the Snakemake that counts in ``path``."""
    settings = {**environment(), head.HEAD: str(path)}
    return subprocess.Popen([sys.executable, "-c", code], env=settings, text=True, stdout=-1, stderr=-1, cwd=ROOT)


def run(code, folder, **more):
    settings = {**environment(), **more}
    return subprocess.run([sys.executable, "-c", code], env=settings, cwd=folder, text=True, capture_output=True)


def test_a_job_ends_when_the_file_of_its_snakemake_is_taken_away(tmp_path):
    path = tmp_path / "head"
    path.write_text("0")
    process = job(path)
    assert process.stdout.readline() == "at work\n"
    path.unlink()
    assert process.wait(20) == 1
    assert f"{path} is gone" in process.stderr.read()


def test_a_job_lives_while_its_snakemake_counts_and_ends_when_the_count_stands_still(tmp_path):
    path = tmp_path / "head"
    path.write_text("0")
    process = job(path)
    assert process.stdout.readline() == "at work\n"
    for count in range(30):  # one and a half times as long as silence is borne
        path.write_text(str(count))
        time.sleep(0.05)
    assert process.poll() is None
    assert process.wait(20) == 1
    assert "has not changed for 1 s" in process.stderr.read()


def test_a_job_that_starts_after_its_snakemake_is_gone_does_nothing(tmp_path):
    process = job(tmp_path / "absent")
    assert process.wait(20) == 1
    assert process.stdout.read() == ""


def test_a_snakemake_that_was_submitted_ends_before_it_touches_a_file_and_does_not_own_the_folder(tmp_path):
    code = "from workflow_scripts.launch import register_owner; register_owner('.', False); print('reads on')"
    for path, status, said in ((tmp_path / "absent", 1, ""), (tmp_path, 0, "reads on\n")):
        done = run(code, tmp_path, **{head.HEAD: str(path)})
        assert (done.returncode, done.stdout) == (status, said)
    assert not (tmp_path / ".snakemake").exists()


def test_a_job_of_this_machine_alone_is_not_watched(monkeypatch):
    monkeypatch.delenv(head.HEAD, raising=False)
    monkeypatch.setattr(head.threading, "Thread", None)  # starting one would fail
    head.end_with_head()


def test_a_snakemake_counts_until_another_takes_the_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(head.HEAD, "")  # so that it is put back after the test
    monkeypatch.setattr(head, "BEAT_SECONDS", 0.02)
    path = head.announce_head()
    assert os.environ[head.HEAD] == str(path)
    deadline = time.monotonic() + 20
    while int(path.read_text() or 0) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert int(path.read_text() or 0) >= 2
    head.forget_heads()
    time.sleep(0.1)
    assert not path.exists()  # and it is not made again


def test_a_snakemake_that_ends_takes_its_file_away(tmp_path):
    code = "from workflow_scripts.cluster.head import announce_head; print(announce_head().exists())"
    assert run(code, tmp_path).stdout == "True\n"
    assert list((tmp_path / head.HEADS).iterdir()) == []


def test_a_lock_file_can_be_read_for_nfs_gives_shared_locks_to_readers_only(tmp_path):
    with locked(tmp_path / "lock", fcntl.LOCK_SH) as handle:
        assert handle.readable()


def test_a_file_system_without_locks_is_named_with_what_to_do(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with pytest.raises(ReproError, match=r"No locks available.*must offer flock"):
        locked(tmp_path / "lock", fcntl.LOCK_SH)
