"""Snakemake's own graph of jobs, built in this process, and what it remembers of each: all that reaches inside it.

Its command line can touch files, but neither say which files one job makes nor mark a job as one that must run.
"""

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from snakemake.api import SnakemakeApi
from snakemake.cli import parse_args, parse_config
from snakemake.persistence import RECORD_FORMAT_VERSION, MetadataRecord
from snakemake.settings.enums import Quietness
from snakemake.settings.types import (
    ConfigSettings,
    DAGSettings,
    ExecutionSettings,
    OutputSettings,
    ResourceSettings,
)

from methods.settings.study import Study


@dataclass(frozen=True)
class Job:
    """One job: paths of what it reads and makes; target rules make nothing."""

    rule: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    @property
    def name(self) -> str:
        """What a person calls it."""
        return self.outputs[0] if self.outputs else self.rule


class Graph:
    """The jobs behind some targets.

    Attributes:
        jobs: a job after those that it needs.
        wanted: files that were asked for by their paths.
    """

    def __init__(self, workflow: Any) -> None:
        self._workflow = workflow
        levels = workflow.dag.toposorted()
        self._jobs = {_plain(job): job for level in levels for job in sorted(level, key=_order)}
        self.jobs = list(self._jobs)
        self.wanted = {str(path) for path in workflow.dag.targetfiles}

    @property
    def study(self) -> Study:
        """Config and papers as the rules see them."""
        return self._workflow.globals["STUDY"]

    def remember(self, done: Iterable[Job], due: Mapping[Job, str]) -> None:
        """Let the files of ``done`` pass for made by this checkout, and those of ``due`` for made under other params.

        All files get the same time, so that none is newer than what was made from it. What Snakemake then prints as
        the old param of a job in ``due`` is its reason.
        """
        memory, now = self._workflow.persistence, time.time()
        with memory.lock():
            for job in done:
                _touch(job, now)
                self._workflow.async_run(memory.finished(self._jobs[job]))
            for job, reason in due.items():
                _touch(job, now)
                record = MetadataRecord(
                    rule=job.rule, params=[reason], incomplete=False, record_format_version=RECORD_FORMAT_VERSION
                )
                for path in filter(os.path.lexists, job.outputs):
                    memory._write_record(path, record)


@contextmanager
def graph(arguments: list[str]) -> Iterator[Graph]:
    """The jobs behind targets, given with their options as for snakemake."""
    _, given = parse_args(arguments)
    with SnakemakeApi(OutputSettings(quiet={Quietness.ALL}, enable_file_logging=False)) as api:
        config = ConfigSettings(
            config=parse_config(given.config), configfiles=given.configfile, config_args=given.config
        )
        flow = api.workflow(ResourceSettings(cores=1), config_settings=config, snakefile=given.snakefile)
        flow.dag(DAGSettings(targets=given.targets))
        workflow = flow._workflow
        workflow.execution_settings = ExecutionSettings()  # without it nothing is remembered
        workflow._prepare_dag(forceall=True, ignore_incomplete=True, lock_warn_only=False)
        workflow._build_dag()
        workflow.iocache.deactivate()  # times and sizes are read anew from here on
        yield Graph(workflow)


def _plain(job: Any) -> Job:
    return Job(job.rule.name, tuple(map(str, job.input)), tuple(map(str, job.output)))


def _order(job: Any) -> tuple[str, str]:
    return job.rule.name, str(job.output)


def _touch(job: Job, now: float) -> None:
    """Set the times of the files that are there; of links of Snakemake's cache the link's own, for others share it."""
    for path in filter(os.path.lexists, job.outputs):
        os.utime(path, (now, now), follow_symlinks=False)
