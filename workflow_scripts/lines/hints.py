"""What to do after a failure, from the end of a job's log or from what Snakemake says of a target."""

import re
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from methods.settings.schema import nearest

Call = Callable[..., str]  # a target, and perhaps a value of the config -> the command that runs it

_MEMORY = "run fewer jobs at once (CORES=1, or --cores 1) or take a machine with more memory"
# What the end of a log says where the job had no sentence of its own -> what to do; the first that fits
_CAUSES = (
    (r"No space left|[Qq]uota", "the disk is full: make room, or name folders on a larger one in config.yaml"),
    (
        r"out of memory|OutOfMemory|MemoryError|[Cc]an(no|')t allocate memory|bad_alloc",
        f"the memory ran out: {_MEMORY}",
    ),
    (r"No module named", "a package is missing in this environment: `make env` installs all that are needed"),
    (
        r" ERROR unexpected ",
        "read the traceback in the log: a file changed by hand may be behind it, or a fault of the code",
    ),
)
_KILLED = f"it ended without a word: killed, perhaps for want of memory; {_MEMORY}"
_SILENT = "it wrote no log: see the lines above, or .snakemake/log"
_ENTRY = re.compile(r"\d{4}-\d\d-\d\d \S+ [A-Z]+ ")  # time and level, with which every message begins


def log_lines(path: str | Path | None) -> list[str]:
    """The lines of a job's log; none if there is no log."""
    try:
        return Path(path).read_text(encoding="utf-8", errors="replace").splitlines() if path else []
    except OSError:
        return []


def last_error(lines: Sequence[str]) -> list[str]:
    """The error that a log ends in, without its time; empty if the job ended without one."""
    start = max((i for i, line in enumerate(lines) if _ENTRY.match(line)), default=None)
    if start is None or " ERROR " not in lines[start]:
        return []
    return [_ENTRY.sub("", lines[start]), *lines[start + 1 :]]


def job_hint(lines: Sequence[str]) -> str:
    """What to do about a job whose log is ``lines``; empty if its last sentence says so itself."""
    error = last_error(lines)
    if error and not error[0].startswith("unexpected "):
        return ""
    text = "\n".join(lines[-10:])
    known = next((hint for pattern, hint in _CAUSES if re.search(pattern, text)), "")
    return known or (_KILLED if lines else _SILENT)


def target_hint(name: str, known: Collection[str], papers: Path, call: Call, lists: str) -> str:
    """A sentence for a target that nothing makes.

    Args:
        name: as it was asked for.
        known: rules and files that can be asked for.
        papers: folder of the files of papers.
        call: gives the command of a target.
        lists: the command that names all targets.
    """
    files = sorted(path.stem for path in papers.glob("*.yaml"))
    if name in files:
        return (
            f"papers/{name}.yaml is there, but config.yaml does not name it. Add {name} to `papers:` there or, for one "
            f"call:\n  {call(name, f'papers=[{name}]')}"
        )
    hint = nearest(name, {*known, *([] if "/" in name else files)})
    hint = "" if hint.startswith("known") else f": {hint}"
    return f"There is no target {name!r}{hint or '.'} `{lists}` explains every target."
