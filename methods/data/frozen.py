"""Seeded rules behind the frozen lists of the real data sets: which images are kept for validation.

The lists in ``resources/splits`` are what counts; these rules say how they came about. ``numpy.random.RandomState`` is
used because its streams are frozen for good.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Rule:
    """Draw ``count`` images of the split ``of``, in its order; with ``by_class`` equally many of each class."""

    of: str
    count: int
    seed: int
    by_class: bool = False


# <data set>/<split of the list> -> rule. A list holds sample ids of the split that it is drawn from.
RULES: Mapping[str, Rule] = {
    "cifar10/validation": Rule("train", 5000, seed=2410),
    "cifar100/validation": Rule("train", 5000, seed=24100, by_class=True),
    "tin/ood_validation": Rule("val", 1000, seed=24200),
    "svhn/test_10000": Rule("test", 10000, seed=24300),
    "tin_resize/validation": Rule("all", 1000, seed=24400),
    "lsun_mini/validation": Rule("all", 900, seed=24500, by_class=True),
    "places_mini/validation": Rule("all", 1000, seed=24600, by_class=True),
    "dtd_mini/validation": Rule("all", 200, seed=24700, by_class=True),
}

# Sample ids that are known without the files, and their labels are not needed
KNOWN_IDS: Mapping[str, Sequence[str]] = {
    "cifar10/validation": [f"{number:05d}" for number in range(50000)],
    "svhn/test_10000": [f"{number:06d}" for number in range(26032)],
    "tin/ood_validation": sorted(f"val_{number}.JPEG" for number in range(10000)),
}


def draw(rule: Rule, ids: Sequence[str], labels: np.ndarray | None = None) -> list[str]:
    """Sample ids of a frozen list.

    Args:
        rule: what to draw.
        ids: N sample ids of the split that is drawn from.
        labels: (N,) classes; needed only where equally many of each class are drawn.
    """
    random = np.random.RandomState(rule.seed)
    if rule.by_class and labels is None:
        raise ValueError("a rule that draws by class needs the labels")
    if labels is None or not rule.by_class:
        chosen = random.permutation(len(ids))[: rule.count]
    else:
        classes = np.unique(labels)
        each = rule.count // len(classes)
        chosen = np.concatenate([random.permutation(np.flatnonzero(labels == c))[:each] for c in classes])
    return [ids[index] for index in np.sort(chosen)]
