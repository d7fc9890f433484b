"""CPU seconds of a dry run against the number of runs, beside a Snakefile of the same shape that computes nothing.

    python -m benchmarks.dag [--sizes 25 50 100 200 400] [--rounds 1] [--plot dag.svg]

The full size is 20 methods x 5 seeds x 4 benchmarks x 12 OOD sets, 12,437 jobs; smaller ones have fewer methods and
benchmarks. A dry run (nothing made, nothing fetched) prints every job, and a plain Snakefile with as many jobs and
edges, but without params, resources, messages, scripts and functions of wildcards, does the same: that is Snakemake's
own share. What a job costs is the slope of a line through all sizes.
"""

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import yaml

ROOT = Path(__file__).resolve().parents[1]
SETS = {
    "tin": {"split": "ood_test", "groups": ["near"]},
    "mnist": {"groups": ["far"]},
    "svhn": {"split": "test_selected", "groups": ["far"]},
    "places365": {"split": "test_10000", "groups": ["far"]},
    **{name: {"groups": ["far"]} for name in ("textures", "isun", "lsun_c", "lsun_r", "tin_r")},
    **{name: {"groups": ["near"]} for name in ("lsun_fix", "imagenet_fix")},
}
SCORES = ("msp", "energy", "mahalanobis_total", "knn", "vim", "react")
STEPS = {25: (5, 5, 1), 50: (5, 5, 2), 100: (5, 5, 4), 200: (10, 5, 4), 400: (20, 5, 4)}  # methods, seeds, benchmarks


EMPTY = """
RUN = "runs/{benchmark}/{method}/{protocol}/seed{seed}"
EVALUATION = RUN + "/eval-{evaluation}"
FEATURES, SCORES = (EVALUATION + f"/{kind}/{{dataset}}/{{split}}.h5" for kind in ("features", "scores"))
TRAIN, INSIDE = "features/inside/train.h5", "scores/inside/test.h5"
METRICS, SETS = EVALUATION + "/metrics.csv", [f"set{i}" for i in range(12)]

wildcard_constraints:
    dataset="[a-z][a-z0-9_]*",
    split="[a-z][a-z0-9_]*",
    seed="[0-9]+",
    protocol="corrected|released",
    evaluation="corrected|released",

rule all:
    input: expand("tables/{number}.csv", number=range(config["benchmarks"]))

rule fetch:
    output: "archives/{dataset}/{file}"
    shell: "touch {output}"

rule prepare:
    input: "archives/{dataset}/a.zip"
    output: "images/{dataset}/{split}.h5"
    shell: "touch {output}"

rule train:
    input: "images/inside/train.h5"
    output: RUN + "/model", RUN + "/history", RUN + "/cost"
    shell: "touch {output}"

rule extract:
    input: RUN + "/model", "images/{dataset}/{split}.h5"
    output: FEATURES
    shell: "touch {output}"

rule readout:
    input: RUN + "/model"
    output: EVALUATION + "/readout.h5"
    shell: "touch {output}"

rule fit:
    input: EVALUATION + "/readout.h5", EVALUATION + "/" + TRAIN
    output: EVALUATION + "/detectors.h5"
    shell: "touch {output}"

rule score:
    input: FEATURES, EVALUATION + "/detectors.h5", EVALUATION + "/" + TRAIN
    output: SCORES
    shell: "touch {output}"

rule evaluate:
    input:
        expand(SCORES, dataset=["inside", *SETS], split="test", allow_missing=True),
        expand(FEATURES, dataset="inside", split=["train", "test"], allow_missing=True),
    output: METRICS, METRICS + ".json"
    shell: "touch {output}"

def rows(wildcards):
    named = {"benchmark": f"b{wildcards.number}", "protocol": "corrected", "evaluation": "corrected"}
    return expand(METRICS, method=[f"m{i}" for i in range(config["methods"])], seed=range(config["seeds"]), **named)

rule table:
    input: rows
    output: "tables/{number}.csv"
    shell: "touch {output}"
"""


@dataclass
class Row:
    """One size: jobs and CPU seconds of a dry run of the paper and of the empty workflow."""

    runs: int
    jobs: int
    seconds: float
    empty_jobs: int
    empty_seconds: float


def main() -> None:
    options = arguments()
    rows = []
    for size in options.sizes:
        rows.append(measured(size, options.rounds))
        print(line(rows[-1]), flush=True)
    if len(rows) > 1:
        print(slopes(rows))
    if options.plot:
        draw(rows, options.plot)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--rounds", type=int, default=1, help="the least of so many times counts")
    parser.add_argument("--plot", type=Path, help="draw cost against size into this file (svg, png)")
    return parser.parse_args()


def paper(methods: int, benchmarks: int) -> dict[str, Any]:
    """A paper of CIFAR benchmarks with twelve OOD sets each, six scores and a table a benchmark."""
    names = [f"benchmark{i}" for i in range(benchmarks)]
    recipes = {f"method{i}": recipe(i) for i in range(methods)}
    tables = {name: {"kind": "main", "benchmark": name, "caption": name, "groups": ["near", "far"]} for name in names}
    return {
        "name": "synthetic",
        "title": "Synthetic",
        "benchmarks": {name: benchmark(i) for i, name in enumerate(names)},
        "recipes": recipes,
        "scores": {name: {"score": name, **({"k": 50} if name == "knn" else {})} for name in SCORES},
        "evaluate": {name: {method: list(SCORES) for method in recipes} for name in names},
        "tables": tables,
    }


def benchmark(number: int) -> dict[str, Any]:
    """CIFAR-10 or CIFAR-100 with networks of different depth."""
    inside, other = [("cifar10", "cifar100"), ("cifar100", "cifar10")][number % 2]
    return {
        "title": f"Benchmark {number}",
        "task": "single_label",
        "in_distribution": {"dataset": inside},
        "render": {"size": 32, "resize": "short_side_crop"},
        "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
        "network": {"name": "cifar_resnet", "blocks": [2, 2, 2, 2 + number // 2]},
        "ood": {other: {"groups": ["near"]}, **SETS},
    }


def recipe(number: int) -> dict[str, Any]:
    """Methods that differ in their learning rate."""
    return {
        "label": f"Method {number}",
        "objective": {"name": "cross_entropy"},
        "head": {"kind": "linear"},
        "augmentation": {"horizontal_flip": 0.5, "random_crop": {"padding": 4}},
        "optimiser": {"name": "sgd", "learning_rate": 0.1 + 0.001 * number},
        "schedule": {"name": "cosine"},
        "epochs": 200,
        "batch": 128,
    }


def write_inputs(folder: Path, size: int) -> None:
    methods, seeds, benchmarks = STEPS[size]
    (folder / "paper.yaml").write_text(yaml.safe_dump(paper(methods, benchmarks), sort_keys=False))
    config = {"papers": ["paper.yaml"], "seeds": list(range(seeds)), "hardware": {"device": "cpu"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))


def measured(size: int, rounds: int) -> Row:
    """The least CPU seconds of some rounds, ours and the empty workflow's in turn."""
    methods, seeds, benchmarks = STEPS[size]
    with tempfile.TemporaryDirectory() as name:
        own, empty = Path(name) / "own", Path(name) / "empty"
        own.mkdir()
        empty.mkdir()
        write_inputs(own, size)
        (empty / "Snakefile").write_text(EMPTY)
        mine = ["synthetic", "--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml"]
        shape = ["--config", f"methods={methods}", f"seeds={seeds}", f"benchmarks={benchmarks}"]
        times = [(dry_run(own, mine), dry_run(empty, shape)) for _ in range(rounds)]
    (seconds, jobs), (empty_seconds, empty_jobs) = (min(column) for column in zip(*times, strict=True))
    return Row(size, jobs, seconds, empty_jobs, empty_seconds)


def dry_run(folder: Path, more: list[str]) -> tuple[float, int]:
    """(CPU seconds, jobs) of a dry run in ``folder``."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = [sys.executable, "-m", "snakemake", "-n", "--cores", "2", *more]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    jobs = int(re.findall(r"^total +(\d+)", done.stdout, re.MULTILINE)[-1])
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, jobs


def line(row: Row) -> str:
    ratio = row.seconds / row.empty_seconds
    return (
        f"{row.runs} runs: {row.jobs} jobs in {row.seconds:.1f} s; empty workflow {row.empty_jobs} jobs in "
        f"{row.empty_seconds:.1f} s; ratio {ratio:.2f}"
    )


def slopes(rows: list[Row]) -> str:
    """Milliseconds a job and seconds before the first, by a line through all sizes; how far off it the sizes are."""
    jobs, times = np.array([row.jobs for row in rows]), np.array([row.seconds for row in rows])
    empty_jobs, empty = np.array([row.empty_jobs for row in rows]), np.array([row.empty_seconds for row in rows])
    slope, fixed = np.polyfit(jobs, times, 1)
    own, _ = np.polyfit(empty_jobs, empty, 1)
    off = np.abs(slope * jobs + fixed - times).max() / times.max()
    return (
        f"{1000 * slope:.2f} ms a job and {fixed:.1f} s before the first; the empty workflow {1000 * own:.2f} ms a job "
        f"(ratio {slope / own:.2f}); farthest from the line {100 * off:.1f} % of the largest time"
    )


def draw(rows: list[Row], path: Path) -> None:
    """Cost against size: points as measured and the lines through them."""
    figure, axis = plt.subplots(figsize=(6, 4))
    runs = np.array([row.runs for row in rows])
    for label, values in (
        ("ood-repro", [row.seconds for row in rows]),
        ("empty workflow of the same shape", [row.empty_seconds for row in rows]),
    ):
        slope, fixed = np.polyfit(runs, values, 1)
        points = axis.plot(runs, values, "o", label=f"{label}: {1000 * slope:.0f} ms a run")
        axis.plot(runs, slope * runs + fixed, "-", color=points[0].get_color(), linewidth=1)
    axis.set(xlabel="runs (12 OOD sets each)", ylabel="dry run, CPU seconds", xlim=0, ylim=0)
    axis.legend()
    figure.tight_layout()
    figure.savefig(path)


if __name__ == "__main__":
    main()
