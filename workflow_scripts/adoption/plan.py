"""Which jobs need not run, given what is wrong with some: Snakemake's own rules, applied to what records say."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from workflow_scripts.adoption.dag import Job

_FOLLOWS = "follows from"


@dataclass
class Plan:
    """What becomes of each job that makes files.

    Attributes:
        adopted: what they made agrees; a job after those that it needs.
        rerun: job -> why its files cannot be adopted.
        missing: they have files to make that are not there.
    """

    adopted: list[Job] = field(default_factory=list)
    rerun: dict[Job, str] = field(default_factory=dict)
    missing: list[Job] = field(default_factory=list)

    def at_fault(self) -> dict[Job, str]:
        """Those of ``rerun`` that do not only follow from others."""
        return {job: reason for job, reason in self.rerun.items() if not reason.startswith(_FOLLOWS)}

    def counts(self) -> list[tuple[str, int, int, int]]:
        """(rule, adopted, must rerun, missing) of every rule."""
        parts = [Counter(job.rule for job in part) for part in (self.adopted, self.rerun, self.missing)]
        rules = sorted({rule for part in parts for rule in part})
        return [(rule, parts[0][rule], parts[1][rule], parts[2][rule]) for rule in rules]


def plan(jobs: Sequence[Job], wanted: Iterable[str], flaws: Mapping[Job, str], exists: Callable[[str], bool]) -> Plan:
    """Decide about ``jobs``, which stand in order of dependency.

    Args:
        jobs: all that is behind the targets; what needs a job that runs, runs as well, and so does what makes a missing
            file that a running job or a target reads.
        wanted: files that are targets themselves.
        flaws: job -> what is wrong with the files it made.
        exists: whether there is a file.
    """
    maker = {path: job for job in jobs for path in job.outputs}
    why = {job: flaw for job, flaw in flaws.items() if any(map(exists, job.outputs))}
    absent = {path for job in jobs for path in job.outputs if not exists(path)}
    asked = {path for job in jobs if not job.outputs for path in job.inputs} | set(wanted)
    running = set(why) | {maker[path] for path in asked & absent}
    while True:
        before = len(running)
        running |= {maker[path] for job in running for path in job.inputs if path in absent and path in maker}
        for job in jobs:  # in order of dependency: once is enough
            first = next((path for path in job.inputs if maker.get(path) in running), None)
            if first is not None and job.outputs and job not in running:
                running.add(job)
                why[job] = f"{_FOLLOWS} {first}"
        if len(running) == before:
            break
    return _sorted(jobs, running, why, absent)


def _sorted(jobs: Iterable[Job], running: set[Job], why: Mapping[Job, str], absent: set[str]) -> Plan:
    found = Plan()
    for job in filter(lambda job: job.outputs, jobs):
        gone = [path for path in job.outputs if path in absent]
        if job in running and len(gone) < len(job.outputs):
            found.rerun[job] = why.get(job) or f"{gone[0]} is missing"
        elif job in running:
            found.missing.append(job)
        elif len(gone) < len(job.outputs):
            found.adopted.append(job)
    return found
