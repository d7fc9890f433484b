"""The demo through a real Slurm of one node, with a job cancelled and the controller restarted on the way.

    python -m benchmarks.slurm_demo              # as root, with slurm-wlm and munge; sacct needs slurmdbd and MariaDB
    python -m benchmarks.slurm_demo --target results/papers/demo/tables/digits.csv

The node is started by tests/slurm_node.py and removed at the end, whatever happens. Trainings and extractions ask for a
GPU that is only counted and compute on the CPU. Printed are the submissions of every kind with what Slurm gave them,
what was done to them, and whether the tables are there.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import yaml

from tests.slurm_node import SlurmNode, what_is_missing

ROOT = Path(__file__).resolve().parents[1]
CLAIMS_GPU = ("train", "extract_features", "score_network", "measure_dilation")


def write_profile(folder: Path, accounting: bool) -> None:
    """profiles/slurm with shorter waits, and with GPUs, which the CPU's config does not claim."""
    profile: dict[str, Any] = yaml.safe_load((ROOT / "profiles" / "slurm" / "config.yaml").read_text())
    profile |= {"slurm-init-seconds-before-status-checks": 3, "latency-wait": 20, "slurm-no-account": True}
    profile["slurm-status-command"] = "sacct" if accounting else "squeue"
    for rule in CLAIMS_GPU:
        profile["set-resources"].setdefault(rule, {})["gpu"] = 1
    (folder / "profile").mkdir()
    (folder / "profile" / "config.yaml").write_text(yaml.safe_dump(profile))


def start(folder: Path, target: str) -> subprocess.Popen[bytes]:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PATH": path}
    command = [sys.executable, "-m", "workflow_scripts.launch", target, "--snakefile", str(ROOT / "Snakefile")]
    command += ["--workflow-profile", "profile", "--config", "hardware={device: cpu}"]
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(command, cwd=folder, env=environment, stdout=output, stderr=output)


class Trouble:
    """What is done to a run: one training cancelled while it runs, the controller gone for ten seconds."""

    def __init__(self, slurm: SlurmNode, begun: float) -> None:
        self.slurm, self.begun = slurm, begun
        self.cancelled: str | None = None
        self.restarted = False

    def make(self, jobs: list[dict[str, str]]) -> None:
        running = [job["JobId"] for job in jobs if "rule_train_" in job["Comment"] and job["JobState"] == "RUNNING"]
        trained = [job for job in jobs if "rule_train_" in job["Comment"] and job["JobState"] == "COMPLETED"]
        if self.cancelled is None and running:
            self.cancelled = running[0]
            self.slurm.run("scancel", self.cancelled)
            self._say(f"scancel of job {self.cancelled}, a training")
        elif not self.restarted and len(trained) >= 2:
            self.restarted = True
            self.slurm.stop_controller()
            self._say(f"slurmctld stopped, {sum(job['JobState'] == 'RUNNING' for job in jobs)} jobs running")
            time.sleep(10)
            self.slurm.start_controller()
            self._say("slurmctld started again")

    def _say(self, what: str) -> None:
        print(f"{time.monotonic() - self.begun:6.0f} s  {what}", flush=True)


def watch(slurm: SlurmNode, process: subprocess.Popen[bytes]) -> int:
    """Make trouble and tell the number of jobs now and then until the run ends; its exit code."""
    begun, shown = time.monotonic(), 0.0
    trouble = Trouble(slurm, begun)
    while process.poll() is None:
        jobs = slurm.jobs()
        trouble.make(jobs)
        if time.monotonic() - begun - shown > 60:
            shown = time.monotonic() - begun
            states = Counter(job["JobState"] for job in jobs)
            told = ", ".join(f"{n} {state}" for state, n in sorted(states.items()))
            print(f"{shown:6.0f} s  squeue: {told}", flush=True)
        time.sleep(2)
    print(f"the run ended after {time.monotonic() - begun:.0f} s with exit code {process.returncode}")
    return process.returncode


def kind(comment: str) -> str:
    """The rule of a submission, or what its group is called before the first hyphen."""
    return comment.removeprefix("rule_").split("_wildcards_")[0].split("-")[0]


def report(jobs: list[dict[str, str]]) -> None:
    print(f"\n{len(jobs)} submissions, as scontrol tells them")
    print(f"{'what':<18} {'jobs':>4}  {'states':<28} {'limit (longest)':<16} what Slurm gave (largest)")
    for name in dict.fromkeys(kind(job["Comment"]) for job in jobs):
        part = [job for job in jobs if kind(job["Comment"]) == name]
        states = ", ".join(f"{n} {state}" for state, n in Counter(job["JobState"] for job in part).items())
        given = max((f"{job['TRES']} {job['TresPerJob']}" for job in part), key=len)
        print(f"{name:<18} {len(part):>4}  {states:<28} {max(job['TimeLimit'] for job in part):<16} {given}")


def report_accounting(slurm: SlurmNode) -> None:
    lines = slurm.run("sacct", "-X", "-n", "-P", "-o", "State,ReqTRES,ElapsedRaw").splitlines()
    rows = [line.split("|") for line in lines]
    states = Counter(row[0].split()[0] for row in rows)
    asked = sum("gres/gpu=1" in row[1] for row in rows)
    total = sum(int(row[2]) for row in rows)
    print(f"sacct: {len(rows)} jobs, {dict(states)}; {asked} with gres/gpu=1; {total} s in all")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", default="demo")
    options = parser.parse_args()
    if reason := what_is_missing():
        print(f"No Slurm can be started here: {reason}", file=sys.stderr)
        return 1
    accounting = what_is_missing(accounting=True) is None
    with tempfile.TemporaryDirectory() as name, SlurmNode(accounting=accounting) as slurm:
        folder = Path(name)
        print(slurm.run("sinfo", "-h", "-o", "node %N: %c CPUs, %m MB, %G, %T").strip(), flush=True)
        write_profile(folder, accounting)
        process = start(folder, options.target)
        try:
            code = watch(slurm, process)
        finally:
            process.terminate()
            process.wait(60)
        report(slurm.jobs())
        if accounting:
            report_accounting(slurm)
        tables = sorted((folder / "results" / "papers").rglob("*.csv"))
        print(f"{len(tables)} tables in results/papers")
        if code:
            print((folder / "output.txt").read_text()[-5000:])
    return code


if __name__ == "__main__":
    sys.exit(main())
