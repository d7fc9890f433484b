"""The last words of a run: what failed and what to do about it, or where its results are and what may come next."""

import logging
import os
import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from workflow_scripts.launch import launcher
from workflow_scripts.lines.hints import job_hint, last_error, log_lines, target_hint
from workflow_scripts.lines.terminal import coloured

AGAIN = "Mend what the log says and run the same command again: what is done stays as it is."
NOTHING = "Nothing to be done"
_MOST, _MOST_LINES, _WIDTH = 5, 5, 400  # failed jobs told in full, lines of the log of one, characters of a line
# Rule of a result -> its order, and the forms it has where its folder is named instead of the file
_RESULTS = {
    "make_site": (0, ""),
    "make_report": (1, ""),
    "make_table": (2, " (csv, md, tex, html)"),
    "make_figure": (3, " (svg, pdf)"),
    "make_bundle": (4, ""),
}
_NEXT = {
    "site": "all results as pages for a browser",
    "verify": "every number checked, back to the archives",
    "bundle": "the results in one archive, for others",
}


@dataclass(frozen=True)
class Failure:
    """A job that failed: its rule, its message and its log, if it has one."""

    rule: str
    title: str
    log: str | None


@dataclass(frozen=True)
class _Known:
    workflow: Any
    targets: Callable[[], Iterable[str]]


_known: list[_Known] = []


def know(workflow: Any, targets: Callable[[], Iterable[str]]) -> None:
    """Called by the Snakefile: the workflow, and what gives the files that can be asked for."""
    _known[:] = [_Known(workflow, targets)]


def failure(event: Mapping[str, Any]) -> Failure:
    """The job of one of Snakemake's events ``job_info`` and ``job_error``; only the first has its message."""
    return Failure(
        event["rule_name"], event.get("rule_msg") or event["rule_name"], next(iter(event["log"] or ()), None)
    )


def failed_lines(failures: Sequence[Failure], done: int, total: int, took: str = "") -> list[str]:
    """What failed, with the end of each log, and what to do."""
    left = total - done - len(failures)
    lines = [f"{done} of {total} jobs done{took}, {len(failures)} failed, {left} not run:"]
    most = _MOST_LINES if len(failures) == 1 else 2
    for job in failures[:_MOST]:
        lines += [f"  failed: {job.title}", f"    rule {job.rule}, log {job.log or 'none'}"]
        lines += [f"    {line}" for line in last_words(job.log, most)]
    if len(failures) > _MOST:
        lines.append(f"  and {len(failures) - _MOST} more, the first is: {failures[_MOST].title} (logs are in logs/)")
    return [*lines, AGAIN]


def last_words(log: str | None, most: int = _MOST_LINES) -> list[str]:
    """The end of a job's log: its error or, without one, its last lines; and a hint, if the error says none."""
    lines = log_lines(log)
    hint = job_hint(lines)
    shown = (last_error(lines) or lines[-most:])[:most]
    return [
        *(f"| {line if len(line) <= _WIDTH else line[: _WIDTH - 3] + '...'}" for line in shown),
        *([hint] * bool(hint)),
    ]


def finished_lines() -> list[str]:
    """Where the results of the targets are, and what to run next; empty where nothing is known of them."""
    if not _known or _known[-1].workflow._dag is None:
        return []
    workflow = _known[-1].workflow
    places = result_places(workflow.dag.jobs) or _target_files(workflow.dag)
    if os.getcwd() != workflow.rundir:  # --directory: not where the user is
        places = [os.path.abspath(place) for place in places]
    lines = ["Results:", *(f"  {place}" for place in places)] if places else []
    return [*lines, *_next_lines(workflow, set(workflow.dag_settings.targets))]


def result_places(jobs: Iterable[Any]) -> list[str]:
    """Files and folders of what a run is for, of those of its ``jobs`` that are there."""
    found = set()
    for job in jobs:
        order, forms = _RESULTS.get(job.rule.name, (None, ""))
        if order is not None and os.path.exists(file := str(job.output[0])):
            found.add((order, f"{os.path.dirname(file)}{forms}" if forms else file))
    return [place for _, place in sorted(found)]


def _target_files(dag: Any) -> list[str]:
    """Files that were asked for by their names or by a target, a line a folder if there are many."""
    files = sorted({str(file) for job in dag.targetjobs for file in (job.output or job.input)})
    files = [file for file in files if os.path.exists(file)]
    return files if len(files) <= _MOST else sorted({os.path.dirname(file) for file in files})[:_MOST]


def _next_lines(workflow: Any, targets: set[str]) -> list[str]:
    if "datasets" in targets:
        wanted = {"all": "the papers of config.yaml"}
    else:
        wanted = {name: words for name, words in _NEXT.items() if name not in targets}
    commands = {call(name): words for name, words in wanted.items()}
    width = max(map(len, commands))
    config = workflow.config_settings
    same = " with the same options" if config.config_args or config.configfiles else ""
    return [f"Next{same}:", *(f"  {command:{width}}  {words}" for command, words in commands.items())]


def call(target: str, config: str = "") -> str:
    """The command that makes ``target``, by `make` if that started this run; ``config`` is such as papers=[a]."""
    options = f"--config {shlex.quote(config)}" if config else ""
    if launcher():
        return f"make run TARGET={target}" + (f' ARGS="{options}"' if config else "")
    return f"snakemake {target}" + (f" {options}" if config else "")


def _lists() -> str:
    return "make targets" if launcher() else "snakemake --list-target-rules"


def error_lines(record: logging.LogRecord) -> list[str]:
    """What to do about an error that Snakemake reports before any job starts."""
    name, text = getattr(record, "exception", ""), record.getMessage()
    if name == "MissingRuleException" and _known:
        return _unmade(_known[-1])
    if "Target rules may not contain wildcards" in text:
        return [
            "That rule makes many files: ask for one by its path, or for a target (`snakemake --list-target-rules`)."
        ]
    if name == "LockException":
        return ["`make run TARGET=...` waits for what a killed run left behind, removes its lock and goes on."]
    return []


def _unmade(known: _Known) -> list[str]:
    workflow = known.workflow
    names = [rule.name for rule in workflow.rules if not rule.has_wildcards()]
    possible = {*names, *known.targets()}
    papers = Path(workflow.basedir) / "papers"
    asked = sorted(set(workflow.dag_settings.targets) - possible)
    return [target_hint(name, possible, papers, call, _lists()) for name in asked if not os.path.exists(name)]


class Ending(logging.Handler):
    """Says the last words of a run by plain Snakemake, whose own lines stay as they are."""

    def __init__(self, stream: TextIO, dry: bool, quiet: bool) -> None:
        super().__init__()
        self.stream, self.dry, self.quiet = stream, dry, quiet
        self.done = self.total = 0
        self.jobs: dict[int, dict[str, Any]] = {}
        self.failures: dict[int, Failure] = {}
        self.nothing = self.closed = False

    def emit(self, record: logging.LogRecord) -> None:
        """Take one event; a fault in here is reported and never stops the run."""
        try:
            self._take(record)
        except Exception:
            self.handleError(record)

    def _take(self, record: logging.LogRecord) -> None:
        event = str(getattr(record, "event", None))
        if event == "run_info":
            self.total = record.stats["total"]  # type: ignore[attr-defined]
        elif event == "job_info":
            self.jobs[record.jobid] = vars(record)  # type: ignore[attr-defined]
            self.failures.pop(record.jobid, None)  # type: ignore[attr-defined]  # it is tried again
        elif event == "job_finished":
            self.done += 1
        elif event == "job_error":
            job = record.jobid  # type: ignore[attr-defined]
            self.failures[job] = failure(self.jobs.get(job, vars(record)))
        elif record.levelno >= logging.ERROR:
            self._say(error_lines(record), "red")
        elif record.getMessage().startswith(NOTHING):
            self.nothing = True

    def close(self) -> None:
        """The last words; Snakemake calls it when it has nothing more to say."""
        if not self.closed:
            self.closed = True
            if self.failures:
                self._say(failed_lines(list(self.failures.values()), self.done, self.total), "red")
            elif not self.quiet:
                self._say(self._good_words(), "")
        super().close()

    def _good_words(self) -> list[str]:
        if self.nothing or (self.total and self.done == self.total):
            return finished_lines()
        if self.dry and self.total:
            return [DRY]
        return (
            [f"Stopped with {self.done} of {self.total} jobs done: the same command goes on there."]
            if self.done
            else []
        )

    def _say(self, lines: Sequence[str], colour: str) -> None:
        text = "\n".join(["", *lines])
        if lines:
            print(coloured(text, colour, self.stream) if colour else text, file=self.stream, flush=True)


DRY = "Nothing was started: the same command without -n runs these jobs; `make plan TARGET=...` tells hours and disk."


def listen(workflow: Any, stream: TextIO) -> None:
    """Called by the Snakefile: let a run that was started by plain Snakemake end in words of ours."""
    from snakemake.logging import logger

    if workflow.logger_manager.plugin_handlers:  # the display has its own
        return
    settings = workflow.output_settings
    quiet = "ALL" in {choice.name for choice in settings.quiet or ()}
    for handler in logger.handlers if os.environ.get("NO_COLOR") else ():
        handler.nocolor = True  # Snakemake asks only for --nocolor
    logger.addHandler(Ending(stream, settings.dryrun, quiet))
