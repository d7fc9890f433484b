"""What a target would cost, before anything starts: `python -m workflow_scripts.plan adapt --config papers='[adapt]'`.

Jobs by rule, hours of trainings, downloads and disk, from a dry run. What is not known here is said, never made up:
`--rate 1200`, `--rate adapt=900` or `--rate cifar10-r18/adapt=900` (images a second, views count) states what no
finished training has measured; the last also for methods that do the same work at every step. All other arguments are
Snakemake's.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.settings.load import load_study
from workflow_scripts.launch import child_environment
from workflow_scripts.lines.plan_file import CONFIG, JOBS, PLAN
from workflow_scripts.lines.remaining import read_durations
from workflow_scripts.planning.hours import ANY
from workflow_scripts.planning.report import plan_lines


def main(arguments: list[str]) -> int:
    """Print the plan of a target; returns an exit code."""
    try:
        stated, rest = rates(arguments)
    except ReproError as error:
        print(f"plan: {error}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "snakemake", *rest, "--dry-run", "--logger", "ood-repro"]
        if code := subprocess.run(command, env={**child_environment(), PLAN: folder}).returncode:
            return code
        study = load_study(json.loads((Path(folder) / CONFIG).read_text(encoding="utf-8")))
        jobs = [json.loads(line) for line in (Path(folder) / JOBS).read_text(encoding="utf-8").splitlines()]
    for line in plan_lines(study, [job for job in jobs if made(job)], stated, read_durations()):
        print(line)
    print("Nothing was started.")
    return 0


def rates(arguments: list[str]) -> tuple[dict[str, float], list[str]]:
    """(method -> stated images a second, the other arguments).

    Raises:
        ReproError: a rate is no positive number.
    """
    stated, rest, waiting = {}, [], iter(arguments)
    for argument in waiting:
        if argument != "--rate":
            rest.append(argument)
            continue
        method, _, value = (text := next(waiting, "")).rpartition("=")
        if not value.replace(".", "", 1).isdigit() or float(value) <= 0:
            raise ReproError(f"--rate {text}: give images a second as a number, --rate 1200 or --rate adapt=900.")
        stated[method or ANY] = float(value)
    return stated, rest


def made(job: dict[str, Any]) -> bool:
    """Whether a job makes files; targets make none."""
    return bool(job["output"])


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # only shapes of networks are asked for
    sys.exit(main(sys.argv[1:]))
