"""How far numbers can be trusted: intervals over training seeds, and over the images of a pair of sets."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from methods.errors import refuse
from methods.metrics.counts import Counts, count, rank
from methods.metrics.ranking import FPR_RULES, auroc
from methods.metrics.seeds import Spread, spread

Metric = tuple[str, str]  # metric and rule, as in metrics.csv
Pair = tuple[np.ndarray, np.ndarray]  # ID scores (n,) and OOD scores (m,)

STATISTICS: dict[Metric, Callable[[Counts], float]] = {
    ("auroc", ""): auroc,
    **{("fpr95", name): rule for name, rule in FPR_RULES.items()},
}


@dataclass(frozen=True)
class Interval:
    """An estimate and the bounds that hold with probability ``level``."""

    estimate: float
    low: float
    high: float
    level: float


def t_interval(values: Sequence[float], level: float = 0.95) -> Interval:
    """Student's interval of the mean over training seeds: mean +- t_{n-1} std / sqrt(n).

    Raises:
        ReproError: fewer than two seeds, or a value that is not finite.
    """
    _require_level(level)
    refuse(len(values) < 2, f"There are {len(values)} seeds: an interval over seeds needs at least two.")
    refuse(not np.isfinite(values).all(), "A value is NaN or infinite: an interval over seeds needs finite values.")
    return interval_of(spread(values), level)


def interval_of(found: Spread, level: float = 0.95) -> Interval:
    """Student's interval of a mean over at least two seeds."""
    half = float(stdtrit(found.count - 1, (1 + level) / 2)) * found.std / math.sqrt(found.count)
    return Interval(found.mean, found.mean - half, found.mean + half, level)


def exceeds_noise(first: Spread, second: Spread, level: float = 0.95) -> bool:
    """Whether two means over seeds differ by more than chance allows (Welch's test).

    One seed does not tell how large the noise is: then the answer is no.
    """
    if min(first.count, second.count) < 2:
        return False
    parts = [found.std**2 / found.count for found in (first, second)]
    difference, variance = abs(first.mean - second.mean), sum(parts)
    if variance == 0:
        return difference > 0
    counts = (first.count, second.count)
    freedom = variance**2 / sum(part**2 / (n - 1) for part, n in zip(parts, counts, strict=True))
    return bool(difference > float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance))


def bootstrap(pairs: Sequence[Pair], replicates: int = 1000, seed: int = 0) -> dict[Metric, np.ndarray]:
    """(P, R) values of every metric for P methods on R resamples of the same images.

    ID and OOD images are drawn with replacement, each set in its own size; in one replicate all methods have the same
    images. Scores are sorted once: a resample is how often each image is in it.

    Args:
        pairs: (ID scores, OOD scores) of each method, images in the same order.
        replicates: R.
        seed: of the draws, which do not depend on scores or on the number of methods.

    Raises:
        ReproError: no method or replicate, unequal numbers of images, an empty set, or scores that are not finite.
    """
    refuse(replicates < 1, f"{replicates} replicates are asked for: a bootstrap needs at least one.")
    sizes = sorted({(len(inside), len(outside)) for inside, outside in pairs})
    refuse(len(sizes) != 1, f"Pairs of (ID, OOD) scores have the sizes {sizes}: expected the same images a method.")
    rankings, draw = [rank(*pair) for pair in pairs], np.random.default_rng(seed)
    values = np.empty((len(STATISTICS), len(pairs), replicates))
    for r in range(replicates):
        weights = np.concatenate([np.bincount(draw.integers(n, size=n), minlength=n) for n in sizes[0]])
        for p, ranking in enumerate(rankings):
            counts = ranking.counts(weights)
            values[:, p, r] = [statistic(counts) for statistic in STATISTICS.values()]
    return dict(zip(STATISTICS, values, strict=True))


def bootstrap_intervals(
    pair: Pair, level: float = 0.95, replicates: int = 1000, seed: int = 0
) -> dict[Metric, Interval]:
    """Percentile interval of every metric of one method on one pair of sets."""
    exact, values = count(*pair), bootstrap([pair], replicates, seed)
    return {metric: _percentiles(STATISTICS[metric](exact), values[metric][0], level) for metric in STATISTICS}


def paired_intervals(
    first: Pair, second: Pair, level: float = 0.95, replicates: int = 1000, seed: int = 0
) -> dict[Metric, Interval]:
    """Percentile interval of the difference first - second of two methods on the same images.

    An interval without 0 means that the methods differ on such images at this level; training seeds are another matter.
    """
    values, one, other = bootstrap([first, second], replicates, seed), count(*first), count(*second)
    return {
        metric: _percentiles(statistic(one) - statistic(other), np.subtract(*values[metric]), level)
        for metric, statistic in STATISTICS.items()
    }


def _percentiles(estimate: float, values: np.ndarray, level: float) -> Interval:
    _require_level(level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)


def _require_level(level: float) -> None:
    refuse(not 0 < level < 1, f"The level of an interval is {level}, expected a number between 0 and 1 such as 0.95.")
