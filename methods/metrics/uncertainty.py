"""How far numbers can be trusted: intervals over training seeds, and over the images of a pair of sets."""

import math
import zlib
from collections.abc import Callable, Mapping, Sequence
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
    found = welch_interval(first, second, level)
    return found is not None and not found.low <= 0 <= found.high


def welch_interval(first: Spread, second: Spread, level: float = 0.95) -> Interval | None:
    """Welch's interval of the difference first - second of two means over seeds; None where one has a single seed.

    Its degrees of freedom are Satterthwaite's, so that neither equal deviations nor equal numbers of seeds are assumed.
    """
    _require_level(level)
    if min(first.count, second.count) < 2:
        return None
    parts = [found.std**2 / found.count for found in (first, second)]
    difference, variance = first.mean - second.mean, sum(parts)
    if variance == 0:
        return Interval(difference, difference, difference, level)
    counts = (first.count, second.count)
    freedom = variance**2 / sum(part**2 / (n - 1) for part, n in zip(parts, counts, strict=True))
    half = float(stdtrit(freedom, (1 + level) / 2)) * math.sqrt(variance)
    return Interval(difference, difference - half, difference + half, level)


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
    draw = np.random.default_rng(seed)
    return _resampled(pairs, replicates, (draw, draw))


def _resampled(
    pairs: Sequence[Pair], replicates: int, draws: Sequence[np.random.Generator]
) -> dict[Metric, np.ndarray]:
    """Metrics on resamples: of ID images by the first of ``draws``, of OOD images by the second."""
    refuse(replicates < 1, f"{replicates} replicates are asked for: a bootstrap needs at least one.")
    sizes = sorted({(len(inside), len(outside)) for inside, outside in pairs})
    refuse(len(sizes) != 1, f"Pairs of (ID, OOD) scores have the sizes {sizes}: expected the same images a method.")
    rankings = [rank(*pair) for pair in pairs]
    values = np.empty((len(STATISTICS), len(pairs), replicates))
    for r in range(replicates):
        drawn = [draw.integers(n, size=n) for draw, n in zip(draws, sizes[0], strict=True)]
        weights = np.concatenate([np.bincount(part, minlength=n) for part, n in zip(drawn, sizes[0], strict=True)])
        for p, ranking in enumerate(rankings):
            counts = ranking.counts(weights)
            values[:, p, r] = [statistic(counts) for statistic in STATISTICS.values()]
    return dict(zip(STATISTICS, values, strict=True))


def bootstrap_intervals(
    pair: Pair, level: float = 0.95, replicates: int = 1000, seed: int = 0
) -> dict[Metric, Interval]:
    """Percentile interval of every metric of one method on one pair of sets."""
    exact, values = count(*pair), bootstrap([pair], replicates, seed)
    return {metric: percentile_interval(STATISTICS[metric](exact), values[metric][0], level) for metric in STATISTICS}


def paired_intervals(
    first: Pair, second: Pair, level: float = 0.95, replicates: int = 1000, seed: int = 0
) -> dict[Metric, Interval]:
    """Percentile interval of the difference first - second of two methods on the same images.

    An interval without 0 means that the methods differ on such images at this level; training seeds are another matter.
    """
    values, one, other = bootstrap([first, second], replicates, seed), count(*first), count(*second)
    return {
        metric: percentile_interval(statistic(one) - statistic(other), np.subtract(*values[metric]), level)
        for metric, statistic in STATISTICS.items()
    }


def bootstrap_sets(
    inside: Sequence[np.ndarray], outside: Mapping[str, Sequence[np.ndarray]], replicates: int = 1000, seed: int = 0
) -> dict[str, dict[Metric, np.ndarray]]:
    """(P, R) values of every metric for P methods on R resamples, by OOD set; all sets see the same ID resamples.

    So the average over sets of one replicate is an average over one draw of ID images, as it is in a table. An OOD set
    has the same resamples whatever other sets there are.

    Args:
        inside: ID scores of each method, images in the same order.
        outside: OOD set -> scores of each method, images in the same order.
        replicates: R.
        seed: of the draws.

    Raises:
        ReproError: what :func:`bootstrap` refuses.
    """
    found = {}
    for name, scores in outside.items():
        draws = [np.random.default_rng([seed, number]) for number in (0, zlib.crc32(name.encode()))]
        found[name] = _resampled(list(zip(inside, scores, strict=True)), replicates, draws)
    return found


def percentile_interval(estimate: float, values: np.ndarray, level: float = 0.95) -> Interval:
    """The middle ``level`` of resampled (R,) values around an estimate."""
    _require_level(level)
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return Interval(estimate, float(low), float(high), level)


def _require_level(level: float) -> None:
    refuse(not 0 < level < 1, f"The level of an interval is {level}, expected a number between 0 and 1 such as 0.95.")
