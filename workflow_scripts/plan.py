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

from methods.errors import ReproError
from methods.settings.load import load_study
from workflow_scripts.launch import child_environment
from workflow_scripts.lines.plan_file import CONFIG, JOBS, PLAN
from workflow_scripts.lines.remaining import read_durations
from workflow_scripts.planning.hours import rates
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
    # targets have no files and make nothing
    for line in plan_lines(study, [job for job in jobs if job["output"]], stated, read_durations()):
        print(line)
    print("Nothing was started.")
    return 0


if __name__ == "__main__":
    os.environ.setdefault("CUDA_VISIBLE_DEVICES", "")  # only shapes of networks are asked for
    sys.exit(main(sys.argv[1:]))
