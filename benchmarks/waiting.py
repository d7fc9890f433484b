"""Processor time that Snakemake itself takes while its jobs run: with its own timers, and with one timer at a time.

    python -m benchmarks.waiting [--jobs 120] [--seconds 30]

A workflow runs so many short jobs on two cores, then one long job on each core while others are ready and wait. Printed
is the processor time of the Snakemake process and of its solver, and the ratio.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from methods.settings.schema import ROOT

_SNAKEFILE = """
import sys
sys.path.insert(0, {root!r})
if {one}:
    from workflow_scripts.one_timer import wait_with_one_timer
    wait_with_one_timer()
shell.executable("/bin/sh")

rule all:
    input: expand("short/{{n}}", n=range({jobs})), expand("late/{{n}}", n=range(20)), expand("long/{{n}}", n=range(2))

rule short:
    output: "short/{{n}}"
    priority: 3
    shell: "touch {{output}}"

rule long:
    output: "long/{{n}}"
    priority: 2
    shell: "sleep {seconds}; touch {{output}}"

rule late:
    output: "late/{{n}}"
    shell: "touch {{output}}"
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=120)
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    taken = {}
    for name, one in (("its own timers", False), ("one timer", True)):
        taken[name], wall = run(one, options)
        print(f"{name:15} {taken[name]:6.1f} s of processor time in {wall:.1f} s", flush=True)
    first, second = taken.values()
    print(f"ratio {first / second:.1f}")


def run(one: bool, options: argparse.Namespace) -> tuple[float, float]:
    """(processor seconds of Snakemake and its solver, seconds of wall time) of one workflow."""
    text = _SNAKEFILE.format(root=str(ROOT), one=one, jobs=options.jobs, seconds=options.seconds)
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "Snakefile").write_text(text)
        before, start = os.times(), time.monotonic()
        line = [sys.executable, "-m", "snakemake", "--cores", "2", "--quiet", "all"]
        subprocess.run(line, cwd=folder, check=True, capture_output=True)
        after = os.times()
    used = after.children_user - before.children_user + after.children_system - before.children_system
    return used, time.monotonic() - start


if __name__ == "__main__":
    main()
