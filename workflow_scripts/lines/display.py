"""What a run says while it goes on: one line for every job that ended, and now and then what is at work."""

import logging
import os
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any, TextIO

from methods.progress import NO_BARS, counted
from workflow_scripts.lines.code_record import known_closures, write_closures
from workflow_scripts.lines.ending import (
    DRY,
    NOTHING,
    Failure,
    error_lines,
    failed_lines,
    failure,
    finished_lines,
    last_words,
)
from workflow_scripts.lines.hints import last_error, log_lines
from workflow_scripts.lines.plan_file import gpus_of
from workflow_scripts.lines.remaining import Timed, read_durations, readable, write_durations
from workflow_scripts.lines.terminal import coloured
from workflow_scripts.lines.why import why

# Lines of Snakemake without an event that say nothing to somebody who waits for results
CHATTER = (
    "Building DAG of jobs",
    "Complete log(s):",
    "Config file ",
    "Conda environments: ignored",
    "Elapsed time:",
    "Execute ",
    "Finished jobid",
    "Full Traceback",
    "Reasons:",
    "RuleException:\nCalledProcessError",
    "Rules with provenance triggered jobs",
    "Select jobs to execute",
    "Shell command:",
    "Shutting down, this might take some time",
    "Singularity containers: ignored",
    "Some jobs were triggered by provenance information",
    "This was a dry-run",
    "Total runtime:",
    "Using shell:",
    "Workflow defines that rule",
    "assuming unrestricted shared filesystem usage",
    "host: ",
    "Assuming unrestricted shared filesystem usage",
    "Job failed, going on with independent jobs",
    "At least one job did not complete successfully",
    "WorkflowError:\nAt least one job did not complete successfully",
    "Exiting because a job execution failed",
)
_CLEAR = "\r\x1b[2K"  # a job's bar may stand in the line
_MOST_AT_WORK = 4
_FIRST_SILENCE, _LONGEST_SILENCE = 60.0, 1800.0  # seconds without a line before one says what is at work


class Display:
    """Turns Snakemake's events into lines on ``stream``.

    Args:
        stream: where to.
        dry: whether jobs are only listed, with the reason each would run for.
        verbose: whether Snakemake's other messages are shown as well.
        quiet: whether only warnings and errors are.
    """

    def __init__(self, stream: TextIO, dry: bool = False, verbose: bool = False, quiet: bool = False) -> None:
        self.stream, self.dry, self.verbose, self.quiet = stream, dry, verbose, quiet
        self.timed = Timed(recorded={} if dry else read_durations())
        self.jobs: dict[int, dict[str, Any]] = {}
        self.listed: Counter[str] = Counter()
        self.submissions = 0  # of the listed jobs: fewer where a cluster's profile groups them
        self.failures: dict[int, Failure] = {}
        self.done = self.total = 0
        self.nothing = False  # whether Snakemake found nothing to do
        self.start = self.last_line = time.monotonic()
        self.closures = known_closures() if dry else {}
        self.lock, self.closed = threading.Lock(), threading.Event()
        if not dry:
            threading.Thread(target=self._tell_of_long_jobs, daemon=True).start()

    def take(self, record: logging.LogRecord) -> None:
        """Take one event of Snakemake."""
        event = str(getattr(record, "event", None))
        if event in _ACTIONS:
            _ACTIONS[event](self, vars(record))
        elif event in _SILENT:
            return
        elif record.levelno >= logging.INFO and self._worth(record):
            self.nothing = self.nothing or record.getMessage().startswith(NOTHING)
            bad = record.levelno >= logging.ERROR
            self._say(record.getMessage().strip("\n"), "red" * bad, urgent=record.levelno >= logging.WARNING)
            self._say("\n".join(error_lines(record) if bad else ()), "red", urgent=True)

    def _worth(self, record: logging.LogRecord) -> bool:
        text = record.getMessage().strip()
        return self.verbose or (text not in ("", "None") and not text.startswith(CHATTER))

    def _say(self, text: str, colour: str = "", urgent: bool = False) -> None:
        if text and (urgent or not self.quiet):
            with self.lock:
                self.last_line = time.monotonic()
                shown = coloured(text, colour, self.stream) if colour else text
                self.stream.write(f"{_CLEAR if self.stream.isatty() else ''}{shown}\n")
                self.stream.flush()

    def _run_info(self, event: dict[str, Any]) -> None:
        self.timed.totals = {rule: count for rule, count in event["stats"].items() if rule != "total"}
        self.total = event["stats"]["total"]
        if not self.dry:
            self._say(f"{counted(self.total, 'job')} to run, {self.timed.cores} at a time at most")

    def _resources(self, event: dict[str, Any]) -> None:
        self.timed.cores = event.get("cores") or self.timed.cores
        if self.timed.cores > 1:
            os.environ[NO_BARS] = "1"  # jobs inherit it
        self.timed.gpus = gpus_of(event.get("provided_resources")) or self.timed.gpus

    def _job_info(self, event: dict[str, Any]) -> None:
        job, rule = event["jobid"], event["rule_name"]
        self.jobs[job] = event
        if self.dry:
            self._list(event)
            return
        if job in self.failures:  # it is tried again
            self.timed.failed[rule] -= 1
            del self.failures[job]
        self.timed.slots[rule] = (event["threads"], gpus_of(event["resources"]))
        self.timed.running[job] = (rule, time.monotonic())

    def _list(self, event: dict[str, Any]) -> None:
        if event["output"] or event["rule_name"] not in self.timed.totals:
            made = any(map(os.path.exists, event["output"]))
            self._say(f"{_title(event)}: {why(event['reason'], made, self.closures)}")
            self.listed[event["rule_name"]] += 1
            self.submissions += not event.get("indent")  # indented are the jobs of a group

    def _group_info(self, _: dict[str, Any]) -> None:
        self.submissions += 1

    def _job_finished(self, event: dict[str, Any]) -> None:
        job = event["job_id"]
        rule, start = self.timed.running.pop(job)
        seconds = time.monotonic() - start
        benchmark = (self.jobs[job]["wildcards"] or {}).get("benchmark", "")
        self.timed.seconds.setdefault((rule, benchmark), []).append(seconds)
        self.done += 1
        if self.jobs[job]["output"] or self.jobs[job]["log"]:
            self._say(f"{self._head()} {_title(self.jobs[job])}: {readable(seconds)}{self._left()}")

    def _head(self) -> str:
        width = len(str(self.total))
        return f"[{self.done:{width}}/{self.total}] {time.strftime('%H:%M')}"

    def _left(self) -> str:
        seconds, complete = self.timed.left(time.monotonic())
        if seconds < 0.5:
            return ""
        return f", {'about' if complete else 'at least'} {readable(seconds)} left"

    def _job_error(self, event: dict[str, Any]) -> None:
        job = event["jobid"]
        if job in self.failures:  # Snakemake tells it a second time at the end
            return
        rule, start = self.timed.running.pop(job, (event["rule_name"], time.monotonic()))
        self.timed.failed[rule] += 1
        self.failures[job] = failed = failure(self.jobs.get(job, event))
        after = readable(time.monotonic() - start)
        self._say(
            f"{self._head()} FAILED after {after}: {failed.title}{f' (log: {failed.log})' if failed.log else ''}", "red"
        )
        if not last_error(log_lines(failed.log)):  # otherwise the job has told it on the terminal itself
            self._say("\n".join(f"  {line}" for line in last_words(failed.log)))

    def _tell_of_long_jobs(self) -> None:
        silence = _FIRST_SILENCE
        while not self.closed.wait(1.0):
            now = time.monotonic()
            if now - self.last_line < _FIRST_SILENCE:
                silence = _FIRST_SILENCE
            if self.timed.running and now - self.last_line >= silence:
                self._say(f"{self._head()} at work: {self._at_work()}{self._left()}")
                silence = min(2 * silence, _LONGEST_SILENCE)

    def _at_work(self) -> str:
        now, running = time.monotonic(), list(self.timed.running.items())
        shown = [(self.jobs[job], readable(now - start)) for job, (_, start) in running[:_MOST_AT_WORK]]
        more = f" and {len(running) - _MOST_AT_WORK} more" if len(running) > _MOST_AT_WORK else ""
        return "; ".join(f"{_title(job)} ({spent}{_latest(job)})" for job, spent in shown) + more

    def close(self) -> None:
        """The last lines: what was done, what failed, and what to do then."""
        if self.closed.is_set():
            return
        self.closed.set()
        if self.dry:
            self._close_list()
        elif self.nothing:
            self._say("\n".join(finished_lines()))
        elif self.total:
            self._close_run()
            with suppress(OSError):  # a full disk: they only serve estimates and words
                write_durations(self.timed.seconds)
                write_closures()

    def _close_list(self) -> None:
        if self.listed:
            parts = ", ".join(f"{count} {rule}" for rule, count in sorted(self.listed.items()))
            count = self.listed.total()
            grouped = f" in {self.submissions} submissions" if self.submissions < count else ""
            self._say(f"{counted(count, 'job')} would run{grouped}: {parts}\n{DRY}")
        elif self.nothing:
            self._say("\n".join(finished_lines()))

    def _close_run(self) -> None:
        took = readable(time.monotonic() - self.start)
        if self.failures:
            lines = failed_lines(list(self.failures.values()), self.done, self.total, f" in {took}")
            self._say("\n".join(lines), "red", urgent=True)
        elif self.done == self.total:
            self._say(f"all {self.total} jobs done in {took}", "green")
            self._say("\n".join(finished_lines()))
        else:
            self._say(
                f"stopped after {took} with {self.done} of {self.total} jobs done: the same command goes on there"
            )


def _title(event: dict[str, Any]) -> str:
    """The message of a job, or its rule where it has none."""
    return event.get("rule_msg") or event["rule_name"]


def _latest(event: dict[str, Any]) -> str:
    """The last line of a job's log without its time and level."""
    try:
        lines = Path(event["log"][0]).read_text(encoding="utf-8", errors="replace").splitlines()
        return f"; {lines[-1].split(' INFO ', 1)[1]}"
    except (OSError, IndexError):
        return ""


_ACTIONS = {
    "run_info": Display._run_info,
    "resources_info": Display._resources,
    "job_info": Display._job_info,
    "group_info": Display._group_info,
    "job_finished": Display._job_finished,
    "job_error": Display._job_error,
}
_SILENT = frozenset({"progress", "workflow_started", "shellcmd", "job_started", "debug_dag"})
