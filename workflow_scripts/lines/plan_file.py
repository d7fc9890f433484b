"""What a dry run hands to `python -m workflow_scripts.plan`: its jobs as lines of JSON, and the config it read."""

import json
import logging
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from workflow_scripts.lines.ending import error_lines
from workflow_scripts.lines.remaining import BENCHMARKS

PLAN = "OOD_REPRO_PLAN"  # folder that a plan wants its jobs in
JOBS, CONFIG = "jobs.jsonl", "config.json"
_KEPT = ("rule_name", "threads", "output", "reason")


class PlanFile:
    """Writes every job of a dry run into ``folder``; errors go to standard error."""

    def __init__(self, folder: str | Path) -> None:
        self.file = open(Path(folder) / JOBS, "w", encoding="utf-8")  # noqa: SIM115

    def take(self, record: logging.LogRecord) -> None:
        """Take one event of Snakemake."""
        if getattr(record, "event", None) == "job_info":
            self.file.write(json.dumps(job_of(record)) + "\n")
        elif record.levelno >= logging.ERROR:
            print("\n".join([record.getMessage(), *error_lines(record)]), file=sys.stderr)

    def close(self) -> None:
        """All jobs are there."""
        self.file.close()


def job_of(record: logging.LogRecord) -> dict[str, Any]:
    """Rule, wildcards, threads, files, reason and GPUs of a job."""
    job = {key: getattr(record, key) for key in _KEPT}
    resources = getattr(record, "resources", None)
    return {**job, "wildcards": dict(getattr(record, "wildcards", None) or {}), "gpu": gpus_of(resources)}


def gpus_of(resources: Any) -> int:
    """GPUs among the resources of a job or of a run, which Snakemake wraps in one way or another."""
    found = dict(resources.items()).get("gpu", 0) if resources else 0
    return int(getattr(found, "value", found) or 0)


def hand_over(config: Mapping[str, Any], benchmarks: Iterable[str]) -> None:
    """Called by the Snakefile: the complete config for a plan, and the benchmarks for estimates of durations."""
    os.environ[BENCHMARKS] = " ".join(benchmarks)
    if folder := os.environ.get(PLAN):
        (Path(folder) / CONFIG).write_text(json.dumps(config), encoding="utf-8")
