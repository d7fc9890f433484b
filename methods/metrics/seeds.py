"""Spread over training seeds."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

LEAST = 3  # seeds or OOD sets from which a comparison by ranks says anything


@dataclass(frozen=True)
class Spread:
    """Mean and sample standard deviation (n - 1) over ``count`` seeds; the deviation of one seed is NaN."""

    mean: float
    std: float
    count: int


def spread(values: Sequence[float]) -> Spread:
    """Mean and standard deviation of one value a seed, summed exactly so that their order does not matter."""
    count = len(values)
    mean = math.fsum(values) / count
    if count == 1:
        return Spread(mean, math.nan, 1)
    return Spread(mean, math.sqrt(math.fsum((v - mean) ** 2 for v in values) / (count - 1)), count)
