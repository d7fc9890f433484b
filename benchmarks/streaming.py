"""Peak memory of fitting and scoring on training features that are larger than it.

    python -m benchmarks.streaming [--train 1280000] [--dimension 2048] [--test 1000] [--folder DIR]

Writes a feature file of the size of ImageNet's (10.5 GB by default) into a temporary folder, then fits Mahalanobis and
scores KNN from it in fresh processes, and prints seconds and the peak resident memory of each.
"""

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np

from methods.features.arrays import Features, Readout
from methods.features.store import read_features, write_features
from methods.scores import knn, mahalanobis_total

CLASSES = 1000


def main() -> None:
    options = arguments()
    if options.task:
        return run(options)
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        write(Path(name), options)
        size = (Path(name) / "train.h5").stat().st_size
        print(f"{options.train} training features of {options.dimension}, {size:,} bytes")
        for task in ("read", "mahalanobis fit", "knn score"):
            command = [sys.executable, "-m", "benchmarks.streaming", "--task", task, "--folder", name]
            subprocess.run(command, check=True)
    return None


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for key, value in (("train", 1_280_000), ("dimension", 2048), ("test", 1000)):
        parser.add_argument(f"--{key}", type=int, default=value)
    parser.add_argument("--folder", help="where the temporary folder lies")
    parser.add_argument("--task", help="used by the script itself")
    return parser.parse_args()


def write(folder: Path, options: argparse.Namespace) -> None:
    """The training file is written in pieces; the test file as every feature file is."""
    random = np.random.default_rng(0)
    with h5py.File(folder / "train.h5", "w", track_order=True) as file:
        rows = file.create_dataset(
            "embedding", (options.train, options.dimension), np.float32, chunks=(512, options.dimension)
        )
        for start in range(0, options.train, 8192):
            count = min(8192, options.train - start)
            rows[start : start + count] = random.standard_normal((count, options.dimension), dtype=np.float32)
        file.create_dataset("labels", data=np.arange(options.train) % CLASSES)
        file.create_dataset("sample_ids", data=np.array([f"{n:07d}".encode() for n in range(options.train)]))
        file.attrs["provenance"] = '{"kind": "features"}'
    test = random.standard_normal((options.test, options.dimension), dtype=np.float32)
    ids = tuple(map(str, range(options.test)))
    write_features(folder / "test.h5", Features(test, np.zeros(options.test, np.int64), ids), {"kind": "features"})


def run(options: argparse.Namespace) -> None:
    start = time.perf_counter()
    train, _ = read_features(Path(options.folder) / "train.h5", lazy=True)
    if options.task == "mahalanobis fit":
        mahalanobis_total.fit(train, Readout(), {})
    elif options.task == "knn score":
        test, _ = read_features(Path(options.folder) / "test.h5")
        knn.score(test, {"train_embedding": train.embedding}, {"k": 1000})
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    print(f"{options.task:16} {time.perf_counter() - start:7.1f} s  peak {peak:.2f} GB", flush=True)


if __name__ == "__main__":
    main()
