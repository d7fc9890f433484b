"""Speed of tail curves: every part from scratch, as evaluate does it, against one order a set that all parts reuse.

    python -m benchmarks.tail [--images 40000] [--ood 10000] [--sets 6] [--classes 80] [--scores 5] [--ties 0]

Labels have a long tail of classes; steps are 0 to 10, 20, 40 and 60 and the head is the most frequent class, which
makes 16 parts. Each figure is the best of --rounds; the ratio is peer / ours, so above 1 we are faster. Both give the
same values, which is checked first.
"""

import argparse

import numpy as np

from benchmarks.common import best
from methods.metrics.counts import Counts, Ranking, average_precision, rank, trapezoid_precision
from methods.metrics.multilabel import class_rows, tail_rows
from methods.metrics.ranking import FPR_RULES, auroc, detection_error
from methods.metrics.tail import id_parts

STEPS = [*range(11), 20, 40, 60]


def main() -> None:
    options = arguments()
    labels, inside, outside = draw(options)
    steps = [step for step in STEPS if step < options.classes]
    parts = id_parts(labels, 1, steps)
    left = ", ".join(f"{name} {int(mask.sum())}" for name, mask in parts.items())
    print(
        f"{options.images} ID images, {options.sets} OOD sets of {options.ood}, {options.scores} scores; left: {left}"
    )

    def ours() -> list[float]:
        rows = tail_rows(parts, inside, outside, {})
        return [row["value"] for row in rows if row["metric"] != "id_images" and row["rule"] != "percentile"]

    def peer() -> list[float]:
        return sorted_once(parts, inside, outside)

    assert ours() == peer()
    own, other = best(ours, options.rounds), best(peer, options.rounds)
    print(f"tail curves: ours {own:.2f} s, one order a set {other:.2f} s, ratio {other / own:.2f}")
    logits, names = np.random.default_rng(1).normal(size=labels.shape), list(map(str, range(options.classes)))
    print(f"AP of {options.classes} classes by both rules: {best(lambda: class_rows(logits, labels, names), 1):.2f} s")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    counts = {"images": 40000, "ood": 10000, "sets": 6, "classes": 80, "scores": 5, "rounds": 2}
    for name, value in counts.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--ties", type=int, default=0, help="decimals that scores are rounded to; 0 for none")
    return parser.parse_args()


def draw(options: argparse.Namespace) -> tuple[np.ndarray, dict, dict]:
    """Labels (N, C), instance -> ID scores, set -> instance -> OOD scores."""
    random = np.random.default_rng(0)
    share = 0.5 * 0.9 ** np.arange(options.classes) + 0.003
    labels = (random.uniform(size=(options.images, options.classes)) < share).astype(np.uint8)

    def scores(mean: float, count: int) -> dict[str, np.ndarray]:
        drawn = {f"s{i}": random.normal(mean, 1, count) for i in range(options.scores)}
        return {name: values.round(options.ties) if options.ties else values for name, values in drawn.items()}

    return labels, scores(1, options.images), {f"o{i}": scores(0, options.ood) for i in range(options.sets)}


def sorted_once(parts: dict, inside: dict, outside: dict) -> list[float]:
    """All metrics but `percentile`, which counts nothing; every part counted in an order made once a score and set."""
    values: dict[tuple[str, str, str], list[float]] = {}
    for score, own in inside.items():
        for name, scores in outside.items():
            ranking = rank(own, scores[score])
            sizes = np.diff(ranking.ends, prepend=-1)
            threshold = np.repeat(np.arange(len(sizes)), sizes)
            for part, mask in parts.items():
                if mask.any():
                    values[score, part, name] = metrics(counts_of(ranking, threshold, mask))
    order = ((score, part, name) for score in inside for part in parts for name in outside)
    return [value for key in order if key in values for value in values[key]]


def counts_of(ranking: Ranking, threshold: np.ndarray, part: np.ndarray) -> Counts:
    """Counts at the distinct scores that an image of the part (N,) or of OOD has."""
    outside = np.ones(len(ranking.order) - len(part), dtype=bool)
    kept = np.concatenate([part, outside])[ranking.order]
    threshold = threshold[kept]
    ends = np.append(np.flatnonzero(threshold[1:] != threshold[:-1]), len(threshold) - 1)
    positives = np.cumsum(ranking.positive[kept])[ends]
    return Counts(positives, ends + 1 - positives)


def metrics(counts: Counts) -> list[float]:
    swapped = counts.swapped()
    areas = [rule(side) for rule in (average_precision, trapezoid_precision) for side in (counts, swapped)]
    return [auroc(counts), *(rule(counts) for rule in FPR_RULES.values()), *areas, detection_error(counts)]


if __name__ == "__main__":
    main()
