"""Values of metrics.csv for figures: percent, by seed, with the rule of each metric."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from methods.csv_file import read_csv
from methods.metrics.seeds import Spread, spread
from methods.reporting.figures.sources import Source, of_method

# Value in percent by score, target, metric and rule. A target is ``set:<name>`` or ``group:<name>``, of a further
# benchmark with that benchmark and a slash before.
Values = Mapping[tuple[str, str, str, str], float]
NAMES = {"auroc": "AUROC", "fpr95": "FPR95", "aupr_in": "AUPR-in", "aupr_out": "AUPR-out"}
LOWER_IS_BETTER = ("fpr95",)


def read_values(sources: Sequence[Source]) -> dict[str, Values]:
    """Values of every file of metrics, by its path; what is blank there, such as an incomplete average, is not here."""
    return {source.path: _values(source) for source in sources if source.needs == "metrics"}


def over_seeds(
    values: Mapping[str, Values], sources: Sequence[Source], method: str, score: str, settings: Mapping[str, Any]
) -> Spread | None:
    """Mean and deviation over the seeds of a method of one score, averaged over the targets of the figure."""
    return averaged(values, sources, (method, score), settings["targets"], rule_of(settings))


def averaged(
    values: Mapping[str, Values],
    sources: Sequence[Source],
    shown: tuple[str, str],
    targets: Sequence[str],
    metric: tuple[str, str],
) -> Spread | None:
    """Mean and deviation over seeds of the average over ``targets``; None where a value is missing."""
    method, score = shown
    by_seed: dict[int | None, dict[tuple[str, str, str, str], float]] = {}
    for source in of_method(sources, method):
        if source.needs == "metrics":
            by_seed.setdefault(source.seed, {}).update(values[source.path])
    own = list(by_seed.values())
    keys = [(score, target, *metric) for target in targets]
    if not own or any(key not in seed for seed in own for key in keys):
        return None
    return spread([float(np.mean([seed[key] for key in keys])) for seed in own])


def rule_of(settings: Mapping[str, Any]) -> tuple[str, str]:
    """(metric, rule) of a figure, as metrics.csv calls them."""
    metric = settings.get("metric", "auroc")
    return metric, {"auroc": "", "fpr95": settings.get("fpr_rule", "closest")}.get(metric, "average_precision")


def metric_words(settings: Mapping[str, Any]) -> str:
    """The metric of a figure as its axis calls it."""
    metric, rule = rule_of(settings)
    return f"{NAMES[metric]} in percent" + (f" ({rule})" if metric == "fpr95" else "")


def _values(source: Source) -> Values:
    rows = [row for row in read_csv(source.path) if row["level"] in ("set", "group") and row["value"]]
    before = f"{source.benchmark}/" if source.benchmark else ""
    return {
        (row["score"], f"{before}{row['level']}:{row['target']}", row["metric"], row["rule"]): 100 * float(row["value"])
        for row in rows
    }
