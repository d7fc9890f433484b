"""Scoring a whole run through Snakemake against the same work in one plain process.

    python -m benchmarks.whole_run [--train 50000] [--test 10000] [--dimension 512] [--classes 100] [--cores 2]

Features of one run (ID training and test, six OOD sets) are drawn into a temporary folder. Then eight scores are
fitted, applied to all sets and evaluated, once by `snakemake .../metrics.csv` with one job a set, once by this script
in a process that does nothing else. Both write detectors, scores and metrics; the metrics are compared. Each way gets
the same number of cores: two jobs of one thread, or one process of two.
"""

import argparse
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from methods.csv_file import csv_text, read_csv
from methods.features.arrays import Features, Readout
from methods.features.score_store import DETECTORS, SCORES, write_detectors, write_scores
from methods.features.store import KIND, READOUT_KIND, read_features, read_readout, write_features, write_readout
from methods.files import write_text
from methods.metrics.evaluation import evaluation_rows
from methods.scores.base import fit_instances, score_instances
from methods.settings import steps
from methods.settings.load import load_study
from methods.settings.study import Run

ROOT = Path(__file__).resolve().parents[1]
SETS = ("svhn", "textures", "mnist", "isun", "lsun_r", "tin_r")
EVALUATION = Path("results/runs/bench/plain/corrected/seed0/eval-corrected")
RUN = Run("bench", "plain", "corrected", 0)
SCORE_NAMES = ("msp", "maxlogit", "energy", "gen", "react", "vim", "mahalanobis_total", "knn")
KEYS = ("score", "level", "target", "metric", "rule")
PAPER: dict[str, Any] = {
    "name": "bench",
    "title": "Drawn features",
    "benchmarks": {
        "bench": {
            "title": "Drawn features",
            "task": "single_label",
            "in_distribution": {"dataset": "cifar100"},
            "render": {"size": 32, "resize": "short_side_crop"},
            "normalisation": {"mean": [0.5, 0.5, 0.5], "std": [0.25, 0.25, 0.25]},
            "network": {"name": "cifar_resnet"},
            "ood": {name: {"groups": ["far"]} for name in SETS},
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
    "scores": {name: {"score": name, **({"k": 50} if name == "knn" else {})} for name in SCORE_NAMES},
    "evaluate": {"bench": {"plain": list(SCORE_NAMES)}},
}


def main() -> None:
    options = arguments()
    if options.plain:
        plain(options.plain)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        parts = write_inputs(folder, options)
        target = str(EVALUATION / "metrics.csv")
        allowed = ["--allowed-rules", "fit_scores", "score", "evaluate"]
        shared = ["--snakefile", str(ROOT / "Snakefile"), "--configfile", "config.yaml", "--cores", str(options.cores)]
        print(f"{options.train} training, {len(parts) - 1} x {options.test} other features of {options.dimension}")
        through = timed([sys.executable, "-m", "snakemake", target, *shared, *allowed], folder)
        found = read_csv(folder / target)
        alone = timed([sys.executable, "-m", "benchmarks.whole_run", "--plain", str(folder)], folder)
        difference = largest_difference(found, read_csv(folder / "plain.csv"))
        print(f"Snakemake {through:.1f} s, one plain process {alone:.1f} s, ratio {through / alone:.2f}")
        print(f"{len(found)} metrics, largest difference {difference:.1e}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    sizes = (("train", 50000), ("test", 10000), ("dimension", 512), ("classes", 100), ("cores", 2))
    for name, value in sizes:
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--plain", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


def write_inputs(folder: Path, options: argparse.Namespace) -> list[tuple[str, str]]:
    """Paper, config, readout and features of a run, in ``folder``; returns the splits."""
    (folder / "paper.yaml").write_text(yaml.safe_dump(PAPER, sort_keys=False))
    config = {"papers": ["paper.yaml"], "seeds": [0], "hardware": {"device": "cpu"}}
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    random = np.random.RandomState(0)
    centres = np.abs(random.randn(options.classes, options.dimension))
    weight = (centres / options.dimension).astype(np.float32)
    readout = Readout(weight, np.zeros(options.classes, dtype=np.float32))
    write_readout(folder / EVALUATION / "readout.h5", readout, record(READOUT_KIND))
    parts = [("cifar100", "train"), ("cifar100", "test"), *((name, "test") for name in SETS)]
    for number, (dataset, split) in enumerate(parts):
        count = options.train if split == "train" else options.test
        labels = random.randint(0, options.classes, count)
        near = centres[labels] if number < 2 else centres[labels] + 0.1 * number * random.randn(count, 1)
        rows = np.abs(near + random.randn(count, options.dimension)).astype(np.float32)
        ids = tuple(f"image{i}" for i in range(count))
        features = Features(rows, labels, ids, logits=(rows @ weight.T).astype(np.float32))
        write_features(folder / EVALUATION / "features" / dataset / f"{split}.h5", features, record(KIND))
    return parts


def record(kind: str) -> dict[str, Any]:
    return {"format": 1, "kind": kind, "settings": {}, "source_digest": "", "seed": 0, "parents": {"model": "0" * 64}}


def timed(command: list[str], folder: Path) -> float:
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.perf_counter() - start


def plain(folder: Path) -> None:
    """Fit, score, evaluate and write in this process, without hashes and records of origin."""
    os.chdir(folder)
    study = load_study(yaml.safe_load(Path("config.yaml").read_text()))
    instances, settings = steps.score_settings(study, RUN), steps.evaluate_settings(study, RUN)
    train, readout = features_of("cifar100", "train"), read_readout(EVALUATION / "readout.h5")[0]
    fitted = fit_instances(instances, train, readout)
    write_detectors("plain/detectors.h5", fitted, {"kind": DETECTORS})
    scores, sets = {}, {name: features_of(name, "test") for name in ("cifar100", *SETS)}
    for name, features in sets.items():
        scores[name] = score_instances(instances, features, fitted, train)
        write_scores(f"plain/{name}.h5", scores[name], features, {"kind": SCORES})
    inside = scores.pop("cifar100")
    ood = {name: scores[name] for name in settings["sets"]}
    write_text("plain.csv", csv_text(evaluation_rows(settings, inside, ood, train, sets["cifar100"], readout)))


def features_of(dataset: str, split: str) -> Features:
    return read_features(EVALUATION / "features" / dataset / f"{split}.h5")[0]


def largest_difference(one: list[dict[str, str]], two: list[dict[str, str]]) -> float:
    """Of values of the same score, level, target, metric and rule; the rows may come in another order."""
    first, second = ({tuple(row[key] for key in KEYS): float(row["value"]) for row in rows} for rows in (one, two))
    if first.keys() != second.keys():
        sys.exit("Snakemake and the plain process gave different metrics")
    return max(abs(first[key] - second[key]) for key in first)


if __name__ == "__main__":
    main()
