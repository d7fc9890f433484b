"""Scoring speed against peers in one run: pytorch-ood, faiss, and the loops of released evaluations.

    pip install pytorch-ood==0.4.0 faiss-cpu
    python -m benchmarks.scores [--threads 1] [--train 50000] [--test 10000] [--dimension 512] [--classes 100]

Features are drawn once (classes on the sphere, seeded). Peers that are not installed are left out and named. Each
figure is the best of --rounds; ratios are peer / ours, so above 1 we are faster.
"""

import argparse
from collections.abc import Callable

import numpy as np
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve
from threadpoolctl import threadpool_limits

from benchmarks.common import Task, best
from methods.features.arrays import Features, Readout
from methods.metrics.ranking import detection_metrics
from methods.metrics.vectors import unit_rows
from methods.scores import knn, mahalanobis_total, vim


def main() -> None:
    options = arguments()
    torch.set_num_threads(options.threads)
    with threadpool_limits(options.threads):
        train, test, readout = draw(options)
        size = f"{options.train} training and {options.test} test features of {options.dimension}"
        print(f"{size}, {options.threads} threads")
        print(f"{'what':28} {'ours, s':>9} {'peer':>30} {'peer, s':>9} {'ratio':>7}")
        for name, ours, peers in tasks(options, train, test, readout):
            own = best(ours, options.rounds)
            for peer, task in peers.items():
                other = best(task, 1)
                print(f"{name:28} {own:9.4f} {peer:>30} {other:9.4f} {other / own:7.2f}", flush=True)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, value in (("threads", 1), ("train", 50000), ("test", 10000), ("dimension", 512), ("classes", 100)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def draw(options: argparse.Namespace) -> tuple[Features, Features, Readout]:
    random = np.random.RandomState(0)
    centres = random.randn(options.classes, options.dimension)

    def features(count: int) -> Features:
        labels = random.randint(0, options.classes, count)
        rows = np.abs(centres[labels] + random.randn(count, options.dimension)).astype(np.float32)
        return Features(rows, labels, tuple(map(str, range(count))), logits=(rows @ weight.T + bias).astype(np.float32))

    weight = random.randn(options.classes, options.dimension).astype(np.float32) / options.dimension**0.5
    bias = random.randn(options.classes).astype(np.float32)
    return features(options.train), features(options.test), Readout(weight, bias)


def tasks(options: argparse.Namespace, train: Features, test: Features, readout: Readout):
    """(what, ours, peer -> its task), one at a time."""
    unit_train, unit_test = unit_rows(train.embedding), unit_rows(test.embedding)
    fitted = mahalanobis_total.fit(train, readout, {})
    yield (
        "Mahalanobis fit",
        lambda: mahalanobis_total.fit(train, readout, {}),
        {
            "covariance as released": lambda: released_fit(unit_train, train.labels),
            **pytorch_ood("Mahalanobis", lambda d: d.fit_features(tensor(unit_train), tensor(train.labels))),
        },
    )
    means, precision = released_fit(unit_train, train.labels)
    yield (
        "Mahalanobis score",
        lambda: mahalanobis_total.score(test, fitted, {}),
        {
            "loop over classes as released": lambda: released_score(unit_test, means, precision),
            **pytorch_ood(
                "Mahalanobis",
                lambda d: d.predict_features(tensor(unit_test)),
                lambda d: d.fit_features(tensor(unit_train), tensor(train.labels)),
            ),
        },
    )
    bank = {"train_embedding": train.embedding}
    yield (
        "KNN, k = 300",
        lambda: knn.score(test, bank, {"k": 300}),
        {
            "bare matrix product": lambda: [part @ unit_train.T for part in np.array_split(unit_test, 10)],
            **faiss_flat(unit_train, unit_test, 300),
        },
    )
    ks = [1, 5, 10, 50, 100, 200, 250, 300]
    yield (
        "KNN, one k",
        lambda: knn.score(test, bank, {"k": 300}),
        {"ours, eight values of k": lambda: knn.sweep(test, bank, {}, ks)},
    )
    parameters = {"dimension": min(256, options.dimension // 2)}
    vim_fitted = vim.fit(train, readout, parameters)
    linear = torch.from_numpy(readout.weight), torch.from_numpy(readout.bias)
    build = {"d": parameters["dimension"], "w": linear[0], "b": linear[1]}
    yield (
        "ViM fit",
        lambda: vim.fit(train, readout, parameters),
        pytorch_ood("ViM", lambda d: d.fit_features(tensor(train.embedding), tensor(train.labels)), **build),
    )
    yield (
        "ViM score",
        lambda: vim.score(test, vim_fitted, parameters),
        pytorch_ood(
            "ViM",
            lambda d: d.predict_features(tensor(test.embedding)),
            lambda d: d.fit_features(tensor(train.embedding), tensor(train.labels)),
            **build,
        ),
    )
    inside, outside = np.random.RandomState(1).randn(10000) + 1, np.random.RandomState(2).randn(10000)
    yield (
        "all metrics, 10,000 + 10,000",
        lambda: detection_metrics(inside, outside),
        {
            "scikit-learn, AUROC AP x2 FPR": lambda: sklearn_metrics(inside, outside),
            **pytorch_ood_metrics(inside, outside),
        },
    )
    batches = [test.embedding[:512]] * 196
    yield (
        "collecting 100,000 rows",
        lambda: np.concatenate(batches),
        {"joining at every batch": lambda: joined(batches)},
    )


def joined(batches: list[np.ndarray]) -> np.ndarray:
    """As released: what came so far is copied at every batch."""
    rows = batches[0]
    for batch in batches[1:]:
        rows = np.concatenate([rows, batch])
    return rows


def tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(array))


def released_fit(rows: np.ndarray, labels: np.ndarray) -> tuple[list[np.ndarray], np.ndarray]:
    """Total covariance in float64 and its pseudo-inverse, as the released evaluations have it."""
    means = [rows[labels == c].mean(axis=0) for c in np.unique(labels)]
    covariance = np.cov(rows.T.astype(np.float64))
    return means, np.linalg.pinv(covariance).astype(np.float32)


def released_score(rows: np.ndarray, means: list[np.ndarray], precision: np.ndarray) -> np.ndarray:
    """A product of batch by batch for each class, of which the diagonal is used."""
    parts = []
    for start in range(0, len(rows), 512):
        batch = rows[start : start + 512]
        distances = [-0.5 * np.diag((batch - m) @ precision @ (batch - m).T) for m in means]
        parts.append(np.max(distances, axis=0))
    return np.concatenate(parts)


def pytorch_ood(name: str, use: Callable, prepare: Callable | None = None, **build: object) -> dict[str, Task]:
    try:
        from pytorch_ood import detector
    except ImportError as error:
        print(f"(pytorch-ood left out: {error})")
        return {}
    made = getattr(detector, name)(**({"encoder": None} | build))
    if prepare:
        prepare(made)
    return {f"pytorch-ood {name}": lambda: use(made)}


def pytorch_ood_metrics(inside: np.ndarray, outside: np.ndarray) -> dict[str, Task]:
    try:
        from pytorch_ood.metrics import OODMetrics
    except ImportError:
        return {}
    scores = torch.from_numpy(-np.concatenate([inside, outside]))
    labels = torch.cat([torch.zeros(len(inside)), -torch.ones(len(outside))]).long()

    def run() -> object:
        metrics = OODMetrics()
        metrics.update(scores, labels)
        return metrics.compute()

    return {"pytorch-ood OODMetrics": run}


def faiss_flat(train: np.ndarray, test: np.ndarray, k: int) -> dict[str, Task]:
    try:
        import faiss
    except ImportError as error:
        print(f"(faiss left out: {error})")
        return {}
    index = faiss.IndexFlatL2(train.shape[1])
    index.add(np.ascontiguousarray(train))
    return {"faiss flat, one call": lambda: index.search(np.ascontiguousarray(test), k)}


def sklearn_metrics(inside: np.ndarray, outside: np.ndarray) -> tuple:
    labels = np.concatenate([np.ones(len(inside)), np.zeros(len(outside))])
    scores = np.concatenate([inside, outside])
    curve = roc_curve(labels, scores)
    areas = average_precision_score(labels, scores), average_precision_score(1 - labels, -scores)
    return roc_auc_score(labels, scores), areas, curve


if __name__ == "__main__":
    main()
