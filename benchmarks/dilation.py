"""Singular values of a batch of features: eigenvalues of the Gram matrix against decompositions of the batch.

    python -m benchmarks.dilation [--batch 64] [--features 2048] [--rounds 20] [--threads 1]

All in float64. The full decomposition is what the released selection of outlier sets computes for every batch.
"""

import argparse

import numpy as np
from threadpoolctl import threadpool_limits

from benchmarks.common import best
from methods.features.dilation import singular_values


def main() -> None:
    options = arguments()
    features = np.abs(np.random.default_rng(0).normal(size=(options.batch, options.features)))
    ways = {
        "Gram matrix": lambda: singular_values(features),
        "economy decomposition": lambda: np.linalg.svd(features, full_matrices=False),
        "its singular values alone": lambda: np.linalg.svd(features, compute_uv=False),
        "full decomposition": lambda: np.linalg.svd(features, full_matrices=True),
    }
    with threadpool_limits(options.threads):
        times = {name: best(way, options.rounds if name != "full decomposition" else 2) for name, way in ways.items()}
    gap = np.abs(singular_values(features) / np.linalg.svd(features, compute_uv=False) - 1).max()
    print(f"{options.batch} x {options.features} float64, {options.threads} threads; largest relative gap {gap:.1e}")
    for name, seconds in times.items():
        print(f"{name:28} {1000 * seconds:9.2f} ms   {seconds / times['Gram matrix']:8.1f} x")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("batch", 64), ("features", 2048), ("rounds", 20), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    return parser.parse_args()


if __name__ == "__main__":
    main()
