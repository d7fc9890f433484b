"""The page of metrics, made from methods/metrics/records.py and the docstrings of what computes them."""

from collections.abc import Iterator, Mapping
from typing import Any

from methods import registry
from methods.metrics.records import COLUMNS, LEVELS, RECORDS
from methods.reporting.pages import docstring, fenced, listed, table

_HEAD = """# Metrics

Made from `methods/metrics/` by `make docs`; do not edit.

Every run has one file of numbers, `metrics.csv` in its folder, a row a number. Scores are higher for images that look
more in-distribution (ID), and ID is the positive class. Values are shares from 0 to 1; tables show them in percent.
What the [tables](../tables.md) of a paper show is chosen there by `metrics`, `fpr_rule` and `aupr_rule` ([keys of a
table](papers.md#tables)), so a table can be made by another rule without computing anything again.
"""

_DIRECTIONS = {1: "higher is better", -1: "lower is better", 0: "a number, no quality"}


def page() -> str:
    """The whole page in Markdown."""
    columns = table(("column", "what it holds"), ([f"`{name}`", text] for name, text in COLUMNS.items()))
    levels = table(("level", "what a row is about"), ([f"`{name}`", text] for name, text in LEVELS.items()))
    parts = [_HEAD, "## Columns of metrics.csv\n", columns, "## Levels\n", levels, "## All metrics\n", _overview()]
    return "\n".join([*parts, *(line for name, record in RECORDS.items() for line in _details(name, record))])


def definition(function: str) -> str:
    """What the docstring of ``module.function`` of methods/metrics says."""
    module, _, name = function.rpartition(".")
    return docstring(registry.ROOT / "metrics" / f"{module}.py", name)


def levels_of(record: Mapping[str, Any]) -> list[str]:
    """Every level at which a metric is in metrics.csv."""
    more = ["group"] if "set" in record["levels"] else []
    more += ["tail"] if more and not record.get("not_for_parts") else []
    return [level for level in LEVELS if level in record["levels"] or level in more]


def _overview() -> str:
    rows = (
        [
            f"[{name}](#{name})",
            record["title"],
            _DIRECTIONS[record["direction"]],
            listed(levels_of(record)),
            listed(filter(None, record["rules"])),
        ]
        for name, record in RECORDS.items()
    )
    return table(("metric", "title", "direction", "levels", "rules"), rows)


def _details(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    yield f"## {name}\n"
    yield f"{record['title']}: {record['meaning']}.\n"
    texts = {rule: definition(function) for rule, function in record["rules"].items() if function}
    if len(set(texts.values())) == 1:
        yield fenced(next(iter(texts.values())))
    elif texts:
        yield fenced("\n\n".join(f"{rule}: {text}" for rule, text in texts.items()))
    if missing := record.get("without_interval"):
        yield f"The level `interval` has no rule {listed(missing)}.\n"
