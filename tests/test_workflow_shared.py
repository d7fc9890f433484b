"""Several workflows on one data folder: each file is made once, and nobody loses one."""

import fcntl
import os
import re
import subprocess
import sys
from types import SimpleNamespace

import pytest

from methods.errors import ReproError
from tests.workflow import arguments, environment, write_inputs
from workflow_scripts import begin
from workflow_scripts.sharing import Board, Claim

STORES = [f"images/{name}@8px-native.h5" for name in ("digits/train", "digits_held_out/test", "uniform_noise/test")]


def claim(name, makes=(), uses=()):
    return Claim(name, frozenset(makes), frozenset(uses))


@pytest.fixture
def board(tmp_path):
    def new():
        made = Board(tmp_path / "data")
        boards.append(made)
        return made

    boards = []
    yield new
    for made in boards:
        if made._handle is not None:
            os.close(made._handle)


def test_files_that_one_workflow_makes_are_waited_for_and_others_are_not(board):
    first = claim("first", makes=["a", "b"])
    assert board().enter(first) == (None, None)
    assert board().enter(claim("other files", makes=["c"], uses=["d"])) == (None, None)
    assert board().enter(claim("the same file", makes=["b"])) == (first, None)
    assert board().enter(claim("reads it", uses=["a"])) == (first, None)


def test_a_claim_gets_shorter_as_files_are_made_and_ends_with_its_owner(board):
    one, first = board(), claim("first", makes=["a", "b"])
    one.enter(first)
    second, wanted = board(), claim("second", makes=["b"])
    assert second.blocked(wanted)
    one.settle(first, frozenset("a"))
    assert not second.blocked(wanted)
    one.settle(first, frozenset("ab"))
    assert second.blocked(wanted)
    fcntl.flock(one._handle, fcntl.LOCK_UN)  # as when the process dies
    assert not second.blocked(wanted)
    assert not one._path.exists()


def test_a_file_that_another_workflow_reads_is_not_made_anew(board, tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/old").touch()
    reader = claim("reader", uses=["old", "new"])
    board().enter(reader)
    assert board().enter(claim("replaces", makes=["old"])) == (None, reader)
    assert board().enter(claim("adds", makes=["new"])) == (None, None)


def test_a_claim_cut_off_by_a_full_disk_stops_nobody(board, tmp_path):
    one = board()
    one.enter(claim("first", makes=["a"]))
    os.ftruncate(one._handle, 5)
    assert board().enter(claim("second", makes=["a"])) == (None, None)


def test_files_of_failed_jobs_and_of_those_behind_them_are_given_up():
    fetch, prepare, other = "fetch", "prepare", "other"
    dag = SimpleNamespace(dependencies={fetch: {}, prepare: {fetch: {"file"}}, other: {}}, finished=lambda job: False)
    workflow = SimpleNamespace(dag=dag, scheduler=SimpleNamespace(failed={fetch}))
    assert [job for job in dag.dependencies if begin._settled(workflow, job)] == [fetch, prepare]


class Output(str):
    is_storage = False


@pytest.mark.parametrize("cut_off", [True, False])
def test_a_file_that_a_killed_run_had_made_is_taken_where_another_reads_it_and_else_refused(
    tmp_path, monkeypatch, cut_off
):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/a").touch()
    job = SimpleNamespace(output=[Output(tmp_path / "data/a")])
    forgotten, anew = [], []
    persistence = SimpleNamespace(
        incomplete=lambda job: job.output if cut_off else [], cleanup_metadata=forgotten.append
    )
    dag = SimpleNamespace(reason=lambda job: SimpleNamespace(missing_output=[]))
    workflow = SimpleNamespace(persistence=persistence, dag=dag, async_run=lambda found: found)
    monkeypatch.setattr(begin, "_plan_anew", lambda *known: anew.append(known))
    reader, folder = claim("/home/reader", uses=["a"]), tmp_path / "data"
    if cut_off:
        begin._take_over(workflow, [job], ["a"], folder, reader)
        assert forgotten == job.output
        assert len(anew) == 1
    else:
        with pytest.raises(ReproError, match=r"1 files of the data folder .* while the workflow in /home/reader reads"):
            begin._take_over(workflow, [job], ["a"], folder, reader)
        assert not anew


@pytest.mark.workflow
def test_two_workflows_started_at_once_make_each_file_of_a_shared_folder_once(tmp_path):
    shared, started = tmp_path / "shared", []
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        write_inputs(tmp_path / name, data={"folder": str(shared)})
        command = [sys.executable, "-m", "snakemake", *arguments(*(f"{shared}/{store}" for store in STORES))]
        streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        started.append(subprocess.Popen(command, cwd=tmp_path / name, env=environment(), **streams))
    printed = [process.communicate(timeout=300)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], printed
    made = [re.findall(r"^Job \d+: prepare (\S+)", text, re.M) for text in printed]
    assert sorted(made[0] + made[1]) == ["digits/train", "digits_held_out/test", "uniform_noise/test"]
    hashes = sorted(path.name for path in (shared / "hashes/images").rglob("*.sha256"))
    assert hashes == sorted(f"{store.split('/')[-1]}.sha256" for store in STORES)
    assert not list(shared.rglob("*.tmp"))
    assert not list((shared / ".workflows").glob("*.json"))
    for name in ("one", "two"):
        again = [sys.executable, "-m", "snakemake", *arguments("-n", *(f"{shared}/{store}" for store in STORES))]
        done = subprocess.run(again, cwd=tmp_path / name, env=environment(), capture_output=True, text=True, check=True)
        assert "Nothing to be done" in done.stdout + done.stderr
