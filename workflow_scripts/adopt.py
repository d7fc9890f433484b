"""Take over a copied results folder: `python -m workflow_scripts.adopt [-n] [targets and options as for snakemake]`.

Copies have times of their own and no memory of Snakemake. Every file behind the targets is hashed, and its record held
against what this checkout would make; what agrees will not be made again. Nothing is deleted.
"""

import fcntl
import os
import shutil
import sys

from methods.errors import ReproError
from workflow_scripts.adoption.dag import graph
from workflow_scripts.adoption.flaws import find_flaws
from workflow_scripts.adoption.plan import Plan, plan
from workflow_scripts.job import locked
from workflow_scripts.launch import DRY_RUN, OWNER_LOCK, SNAKEMAKE_LOCKS


def main(arguments: list[str]) -> int:
    """Adopt what agrees; returns the exit code."""
    try:
        owner = locked(OWNER_LOCK, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print("Another Snakemake is at work in this folder: wait for it to end, then adopt.", file=sys.stderr)
        return 1
    with owner:
        shutil.rmtree(SNAKEMAKE_LOCKS, ignore_errors=True)  # of a Snakemake that was killed: none lives here
        fcntl.flock(owner, fcntl.LOCK_SH)  # shared with the Snakefile, which is read in this process
        with graph([argument for argument in arguments if argument not in DRY_RUN]) as found:
            flaws = find_flaws(found.jobs, found.study, print)
            made = plan(found.jobs, found.wanted, flaws, os.path.exists)
            if not DRY_RUN & set(arguments):
                found.remember(made.adopted, made.rerun)
    _print(made)
    return 0


def _print(made: Plan) -> None:
    rows = [("rule", "adopted", "must rerun", "missing"), *made.counts()]
    width = max(len(row[0]) for row in rows)
    for rule, *counts in rows:
        print(rule.ljust(width), *(str(count).rjust(10) for count in counts))
    for job, reason in made.at_fault().items():
        print(f"{job.name}: {reason}")
    if following := len(made.rerun) - len(made.at_fault()):
        print(f"{following} more must rerun because they follow from these or from what is missing.")


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except ReproError as error:
        sys.exit(str(error))
