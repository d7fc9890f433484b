"""Detection metrics on parts of the ID images: scores are sorted once, each part is then counted, not sorted again."""

from dataclasses import dataclass

import numpy as np

from methods.metrics.counts import Counts, Ranking, average_precision, rank, trapezoid_precision
from methods.metrics.ranking import FPR_RULES, auroc, detection_error, fpr_percentile


@dataclass(frozen=True)
class SortedPair:
    """(n,) ID and (m,) OOD scores with their common ranking.

    Attributes:
        threshold: (n + m,) number of the distinct score, highest first, of each image in ranking order.
    """

    inside: np.ndarray
    outside: np.ndarray
    ranking: Ranking
    threshold: np.ndarray

    def metrics(self, part: np.ndarray) -> list[tuple[str, str, float]]:
        """What ``detection_metrics(inside[part], outside)`` gives, as (metric, rule, value); (n,) mask, not empty.

        The list is written out again because what tunes scores rests on that function: it is left as it is.
        """
        counts = self._counts(part)
        swapped = counts.swapped()
        rows = [("auroc", "", auroc(counts))]
        rows += [("fpr95", name, rule(counts)) for name, rule in FPR_RULES.items()]
        rows.append(("fpr95", "percentile", fpr_percentile(self.inside[part], self.outside)))
        for name, rule in (("average_precision", average_precision), ("trapezoid", trapezoid_precision)):
            rows += [("aupr_in", name, rule(counts)), ("aupr_out", name, rule(swapped))]
        return [*rows, ("detection_error", "", detection_error(counts))]

    def _counts(self, part: np.ndarray) -> Counts:
        """Counts at the distinct scores that an image of the part or of OOD has."""
        kept = np.concatenate([part, np.ones(len(self.outside), dtype=bool)])[self.ranking.order]
        threshold = self.threshold[kept]
        ends = np.append(np.flatnonzero(threshold[1:] != threshold[:-1]), len(threshold) - 1)
        positives = np.cumsum(self.ranking.positive[kept])[ends]
        return Counts(positives, ends + 1 - positives)


def sort_pair(inside: np.ndarray, outside: np.ndarray) -> SortedPair:
    """Sort (n,) ID and (m,) OOD scores; refuses what :func:`methods.metrics.counts.rank` refuses."""
    ranking = rank(inside, outside)
    sizes = np.diff(ranking.ends, prepend=-1)
    return SortedPair(inside, outside, ranking, np.repeat(np.arange(len(sizes)), sizes))
