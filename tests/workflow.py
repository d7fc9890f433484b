"""A workflow small enough for tests: one method, one epoch, two OOD sets, in a folder of its own."""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[1]

PAPER: dict[str, Any] = {
    "name": "micro",
    "title": "Micro",
    "benchmarks": {
        "digits": {
            "title": "Digits",
            "task": "single_label",
            "in_distribution": {"dataset": "digits"},
            "render": {"size": 8, "resize": "native"},
            "normalisation": {"mean": [0.3, 0.3, 0.3], "std": [0.4, 0.4, 0.4]},
            "network": {"name": "cifar_resnet", "blocks": [1], "widths": [8]},
            "ood": {"digits_held_out": {"groups": ["near"]}, "uniform_noise": {"groups": ["far"]}},
        }
    },
    "recipes": {
        "plain": {
            "label": "Plain",
            "objective": {"name": "cross_entropy"},
            "head": {"kind": "linear"},
            "optimiser": {"name": "sgd", "learning_rate": 0.1},
            "schedule": {"name": "cosine"},
            "epochs": 1,
            "batch": 64,
        }
    },
    "scores": {"msp": {"score": "msp"}, "knn": {"score": "knn", "k": 5}},
    "evaluate": {"digits": {"plain": ["msp", "knn"]}},
    "tables": {"main": {"kind": "main", "benchmark": "digits", "caption": "Micro", "groups": ["near", "far"]}},
    "figures": {"curves": {"kind": "training_curves", "benchmark": "digits", "caption": "Curves"}},
}
MODEL = "results/runs/digits/plain/corrected/seed0/model.safetensors"
EVALUATION = "results/runs/digits/plain/corrected/seed0/eval-corrected"
TABLE = "results/papers/micro/tables/main.csv"


def once(factory: Any, name: str, fill: Callable[[Path], None]) -> Path:
    """A folder that ``fill`` filled, by one of the processes that run the tests for all: to be copied, not changed.

    Args:
        factory: pytest's ``tmp_path_factory``.
        name: the folder's.
        fill: is given an empty folder.
    """
    base = factory.getbasetemp()
    target = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / name
    with open(target.with_suffix(".lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            unfinished = target.with_suffix(".unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            fill(unfinished)
            unfinished.rename(target)
    return target


def copy_project(root: Path) -> Path:
    """The code that the workflow needs, to be changed by a test."""
    for name in ("methods", "rules", "workflow_scripts", "resources", "schemas", "profiles", "envs", "papers"):
        shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("Snakefile", "config.yaml", "requirements.txt"):
        shutil.copy(ROOT / name, root / name)
    return root


def write_inputs(folder: Path, paper: dict[str, Any] | None = None, **config: Any) -> None:
    """Paper and config of a workflow in ``folder``."""
    (folder / "paper.yaml").write_text(yaml.safe_dump(paper or PAPER, sort_keys=False))
    document = {"papers": ["paper.yaml"], "seeds": [0], "hardware": {"device": "cpu"}, **config}
    (folder / "config.yaml").write_text(yaml.safe_dump(document))


def arguments(*more: str, root: Path = ROOT) -> list[str]:
    """Arguments that run the workflow of ``root`` on the folder's own config."""
    return [*more, "--snakefile", str(root / "Snakefile"), "--configfile", "config.yaml", "--cores", "2"]


def environment(root: Path = ROOT) -> dict[str, str]:
    """The environment of a started process: this interpreter first, the project importable."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**os.environ, "PYTHONPATH": str(root), "PATH": path}


def snakemake(folder: Path, *more: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Plain Snakemake on ``folder``; standard error is joined to standard output."""
    return _run("snakemake", folder, more, root)


def launch(folder: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What `make` calls."""
    return _run("workflow_scripts.launch", folder, more)


def start(folder: Path, *more: str) -> subprocess.Popen[str]:
    """`launch` in the background, in a process group of its own."""
    command = [sys.executable, "-m", "workflow_scripts.launch", *arguments(*more)]
    output = open(folder / "output.txt", "w")  # noqa: SIM115
    heeds = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # tests in the background of a shell would pass it on
    return subprocess.Popen(
        command,
        cwd=folder,
        env=environment(),
        stdout=output,
        stderr=output,
        text=True,
        start_new_session=True,
        preexec_fn=heeds,
    )


def command(module: str, folder: Path, *more: str, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """A command of the project at ``root``, called in ``folder``; standard error is joined to standard output."""
    line = [sys.executable, "-m", module, *more]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.run(line, cwd=folder, env=environment(root), text=True, check=False, timeout=300, **streams)


def _run(module: str, folder: Path, more: tuple[str, ...], root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return command(module, folder, *arguments(*more, root=root), root=root)
