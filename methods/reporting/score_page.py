"""The page of scores, made from their records."""

from collections.abc import Mapping
from typing import Any

from methods import registry
from methods.reporting.pages import docstring, fenced, listed, parameters, table

_HEAD = """# Scores

Made from the modules in `methods/scores/` by `make docs`; do not edit. Higher = more in-distribution, for every score.

*Needs*: the arrays a score reads; `train_embedding` are the embeddings of all ID training images, `classifier` and
`prototypes` what sits on top of the network, `network` the network and the images themselves. A paper names its scores
under [`scores`](papers.md#scores); [Add a score](../tutorials/add-a-score.md) shows how to write one.
"""

_COLUMNS = ("name", "title", "labels", "needs")


def page() -> str:
    """The whole page in Markdown."""
    records = registry.records("scores")
    rows = (_row(name, record) for name, record in records.items())
    return "\n".join([_HEAD, table(_COLUMNS, rows), *(_details(name, record) for name, record in records.items())])


def formula(name: str) -> str:
    """What the docstring of a score's ``score`` says before its sections, read without importing the module."""
    path = registry.ROOT / "scores" / f"{name}.py"
    return docstring(path, "score") or docstring(path, "network_score")


def _row(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    return (
        f"[{name}](#{name})",
        record["title"],
        ", ".join(record["tasks"]).replace("_", " "),
        listed(record["needs"]),
    )


def _details(name: str, record: Mapping[str, Any]) -> str:
    lines = [f"## {name}\n", f"{record['title']}: {record['paper']}.\n", fenced(formula(name))]
    return "\n".join([*lines, *filter(None, [parameters(record)])])
