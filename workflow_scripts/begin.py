"""What a Snakemake does once it has planned and before its first job starts.

One run at a time works in a folder; the plan fits what is on the disk now; all folders can be written; and no file of a
data folder that several workflows share is made by two of them. All is found here and told in a sentence, rather than
after an hour of training.
"""

import fcntl
import os
import shutil
import sys
import threading
import time
from collections.abc import Iterable
from pathlib import Path
from tempfile import gettempdir
from typing import IO, Any, NoReturn

from snakemake.exceptions import WorkflowError

from methods.disk import existing, require_writable
from methods.errors import ReproError, refuse
from methods.training.resume import forget_finished
from workflow_scripts.clock import bring_back
from workflow_scripts.failed_jobs import keep_records
from workflow_scripts.job import JOB_LOCK, locked
from workflow_scripts.launch import BUSY, LAUNCHER, launcher
from workflow_scripts.one_timer import wait_with_one_timer
from workflow_scripts.sharing import Board, Claim, owner

RUN_LOCK = Path(".snakemake/ood-repro.run.lock")
_PLANS = "OOD_REPRO_PLANS"  # how often this process has planned anew because files came into being
_MOST_PLANS = 5
_POLL_SECONDS = 0.5
_held: list[IO[str]] = []


def begin(workflow: Any, data: str, results: str) -> None:
    """Called by ``onstart``.

    Raises:
        WorkflowError: another run is at work here, a folder cannot be written, or a file of the data folder that a
            living workflow reads would be made anew.
    """
    if not workflow.is_main_process or workflow.touch:
        return
    jobs = [job for job in workflow.dag.needrun_jobs() if not job.is_norun]
    try:
        _hold_folder()
        _plan_anew_if_outdated(workflow, jobs)
        _require_writable(jobs, {"data.folder": data, "results.folder": results})
        forget_finished(Path(results) / "resume", {str(file) for job in jobs for file in job.output})
        _bring_back(workflow.dag, jobs)
        _share(workflow, jobs, Path(data).resolve())
        _plan_anew_if_outdated(workflow, jobs)  # somebody had made them just before the claim was up
        keep_records(workflow)
        wait_with_one_timer()
    except ReproError as error:
        raise WorkflowError(str(error)) from error


def end(workflow: Any, results: str) -> None:
    """Called by ``onsuccess`` and ``onerror``: checkpoints of trainings that have ended well are removed."""
    if workflow.is_main_process and not workflow.touch and workflow.scheduler is not None:
        open_jobs = [job for job in workflow.dag.needrun_jobs() if not workflow.dag.finished(job)]
        forget_finished(Path(results) / "resume", {str(file) for job in open_jobs for file in job.output})


def blame_disk(folders: Iterable[str]) -> None:
    """Called by ``onerror``: say so where a disk has no room, for Snakemake and jobs that crash cannot."""
    told: dict[int, str] = {}  # a sentence a disk
    for folder in [*folders, gettempdir()]:
        try:
            require_writable(folder, "A folder of this run")
        except ReproError as error:
            told.setdefault(os.stat(existing(folder)).st_dev, str(error))
    for sentence in told.values():
        print(f"\n{sentence}", file=sys.stderr, flush=True)


def _hold_folder() -> None:
    """This folder's lock for one run, and a wait for jobs that a dead run left behind."""
    try:
        _held.append(locked(RUN_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB))
    except BlockingIOError as error:
        raise ReproError(BUSY) from error
    locked(JOB_LOCK, fcntl.LOCK_EX).close()


def _plan_anew_if_outdated(workflow: Any, jobs: Iterable[Any]) -> None:
    """Plan anew where a file that was missing when the plan was made is there now."""
    missing = (file for job in jobs for file in workflow.dag.reason(job).missing_output if not file.is_storage)
    if _may_plan_anew() and any(map(os.path.exists, missing)):
        _plan_anew(workflow, "Files that this run had planned to make have come into being: planning anew.")


def _require_writable(jobs: list[Any], folders: dict[str, str]) -> None:
    outputs = [str(file) for job in jobs for file in job.output if not file.is_storage]
    for key, folder in folders.items():
        if any(Path(output).is_relative_to(folder) for output in outputs):
            require_writable(folder, key)
    require_writable("logs", "The folder of logs")


def _bring_back(dag: Any, jobs: list[Any]) -> None:
    files = [str(file) for job in dag.jobs for file in (*job.input, *job.output) if not file.is_storage]
    future = bring_back(files, [str(file) for job in jobs for file in job.input])
    if future:
        print(
            f"{len(future)} files were from the future, the first is {future[0]}: this machine's clock was set back, "
            "or another's is ahead. They got times of now, in their old order.",
            file=sys.stderr,
            flush=True,
        )


def _share(workflow: Any, jobs: list[Any], folder: Path) -> None:
    """Claim what this run makes and reads in the data folder; wait, and plan anew, where another makes it."""
    makes = {job: _inside(job.output, folder) for job in jobs}
    makes = {job: names for job, names in makes.items() if names}
    uses = frozenset().union(*(_inside(job.input, folder) for job in jobs))
    claim = Claim(owner(), frozenset().union(*makes.values()), uses)
    if not makes and not os.access(folder, os.W_OK):
        return  # a read-only folder of ready data
    board = Board(folder)
    try:
        awaited, disturbed = board.enter(claim)
    except OSError:
        if makes:
            raise
        return
    if disturbed:
        _take_over(workflow, jobs, claim.disturbs(disturbed, folder), folder, disturbed)
    if awaited:
        _wait(board, claim, awaited)
        _plan_anew(workflow, "Its files are there or given up: planning anew.", counted=False)
    if makes:
        threading.Thread(target=_settle, args=(workflow, board, claim, makes), daemon=True).start()


def _take_over(workflow: Any, jobs: list[Any], names: list[str], folder: Path, reader: Claim) -> NoReturn:
    """Accept files that an earlier run of this folder was killed over: they are whole, and somebody reads them.

    Raises:
        ReproError: they are to be made anew for another reason.
    """
    _plan_anew_if_outdated(workflow, jobs)
    cut_off = [file for job in jobs for file in workflow.async_run(workflow.persistence.incomplete(job))]
    taken = [file for file in cut_off if _inside([file], folder) & set(names)]
    refuse(
        not taken or not _may_plan_anew(),
        f"{len(names)} files of the data folder {folder} would be made anew, the first is {names[0]}, while the "
        f"workflow in {reader.owner} reads them: let it end first, or give this run a data folder of its own.",
    )
    for file in taken:
        workflow.persistence.cleanup_metadata(file)
    _plan_anew(workflow, "Files that a killed run had just made are in use by another: planning anew with them.")


def _may_plan_anew() -> bool:
    return int(os.environ.get(_PLANS, "0")) < _MOST_PLANS


def _inside(files: Iterable[Any], folder: Path) -> frozenset[str]:
    """Names in ``folder`` of those of ``files`` that lie there."""
    paths = [Path(os.path.abspath(file)) for file in files if not file.is_storage]
    real = [path.parent.resolve() / path.name for path in paths]
    return frozenset(str(path.relative_to(folder)) for path in real if path.is_relative_to(folder))


def _wait(board: Board, claim: Claim, other: Claim) -> None:
    names = sorted(claim.conflicts(other))
    print(
        f"The workflow in {other.owner} is making {len(names)} files of the data folder {board.folder} that this run "
        f"needs, the first is {names[0]}: waiting for it.",
        file=sys.stderr,
        flush=True,
    )
    while board.blocked(claim):
        time.sleep(_POLL_SECONDS)


def _settle(workflow: Any, board: Board, claim: Claim, makes: dict[Any, frozenset[str]]) -> None:
    """Give up the claim on every file that is made, or that this run will not make any more."""
    while claim.makes:
        time.sleep(_POLL_SECONDS)
        waiting = [names for job, names in makes.items() if not _settled(workflow, job)]
        still = frozenset().union(*waiting)
        if still != claim.makes:
            claim = board.settle(claim, still)


def _settled(workflow: Any, job: Any) -> bool:
    return workflow.dag.finished(job) or _given_up(workflow, job)


def _given_up(workflow: Any, job: Any) -> bool:
    """Whether a job failed for good, or needs one that did."""
    return job in workflow.scheduler.failed or any(
        _given_up(workflow, below) for below in workflow.dag.dependencies[job]
    )


def _plan_anew(workflow: Any, why: str, counted: bool = True) -> NoReturn:
    """Start this very command again in this process: Snakemake cannot plan twice."""
    command = sys.orig_argv
    refuse(not any("snakemake" in word for word in command[:4]), f"{why[:-1]} needs a new start: run it again.")
    print(why, file=sys.stderr, flush=True)
    if counted:
        os.environ[_PLANS] = str(int(os.environ.get(_PLANS, "0")) + 1)
    if started_by := launcher():
        os.environ[LAUNCHER] = started_by
    workflow.persistence.unlock()
    shutil.rmtree(workflow.snakemake_tmp_dir, ignore_errors=True)
    os.chdir(workflow.rundir)
    os.execvp(sys.executable, [sys.executable, *command[1:]])  # may be a name: launch.py
