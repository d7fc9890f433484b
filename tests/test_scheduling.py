"""Snakemake's questions whether a job fits do not add up, and preparing images never wants a small machine whole."""

import json
import threading
import time
from types import SimpleNamespace

import pytest
from snakemake.scheduling.job_scheduler import JobScheduler

from tests.workflow import ROOT, command, write_inputs
from workflow_scripts.lines.plan_file import JOBS, PLAN
from workflow_scripts.one_timer import wait_with_one_timer


@pytest.fixture
def scheduler(monkeypatch):
    """The part of a scheduler that asks again, with Snakemake's own function put back afterwards."""
    monkeypatch.setattr(JobScheduler, "_schedule_reevalutation", JobScheduler._schedule_reevalutation)
    wait_with_one_timer()
    return SimpleNamespace(_open_jobs=threading.Semaphore(0))


def answered(scheduler, seconds=5.0):
    """How many questions were let through until none waits."""
    end = time.monotonic() + seconds
    while hasattr(scheduler, "_question") and time.monotonic() < end:
        time.sleep(0.01)
    count = 0
    while scheduler._open_jobs.acquire(timeout=0.2):
        count += 1
    return count


def test_questions_that_wait_together_are_one(scheduler):
    before = threading.active_count()
    for _ in range(50):
        JobScheduler._schedule_reevalutation(scheduler, 0.3)
    assert threading.active_count() == before + 1
    assert answered(scheduler) == 1
    JobScheduler._schedule_reevalutation(scheduler, 0.01)
    assert answered(scheduler) == 1  # the next one is asked as well


def test_no_question_keeps_a_workflow_from_ending(scheduler):
    JobScheduler._schedule_reevalutation(scheduler, 60)
    assert scheduler._question.daemon
    scheduler._question.cancel()


@pytest.mark.parametrize(("cores", "threads"), [("1", 1), ("2", 1), ("4", 2), ("16", 4)])
def test_images_are_prepared_on_half_of_a_small_machine(cores, threads, tmp_path, monkeypatch):
    write_inputs(tmp_path)
    monkeypatch.setenv(PLAN, str(tmp_path))
    config = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--cores", cores]
    images = "data/images/digits/test@8px-native.h5"
    done = command("workflow_scripts.launch", tmp_path, images, "-n", *config)
    assert done.returncode == 0, done.stdout
    jobs = [json.loads(line) for line in (tmp_path / JOBS).read_text().splitlines()]
    assert [job["threads"] for job in jobs if job["rule_name"] == "prepare_images"] == [threads]
