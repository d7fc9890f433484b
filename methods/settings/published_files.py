"""Files of published values: the values, who printed them and how, and what they are called here."""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.settings.schema import ROOT, load_schema, load_yaml, nearest, problems, with_defaults

Row = Mapping[str, str]

COLUMNS = (
    "paper",
    "table",
    "id_set",
    "network",
    "method",
    "score",
    "ood_set",
    "metric",
    "value",
    "status",
    "source",
)
ALIAS_COLUMNS = ("paper", "method", "score", "id_set", "recipe", "instance", "epochs", "note")
STATUS = {"author": "author", "secondary": "quoted", "user_rerun": "user's run"}
# Metric of a source -> its name and rule in metrics.csv; a rule in brackets is that of the source.
METRICS = {
    "fpr95": ("fpr95", "{fpr_rule}"),
    "auroc": ("auroc", ""),
    "aupr": ("aupr_in", "{aupr_rule}"),
    "id_acc": ("accuracy", "classifier"),
    "map": ("map", "trapezoid"),
}
ID_TEST = "id_test"


@dataclass(frozen=True)
class Library:
    """Published values of one file, and how their sources measured.

    Attributes:
        values: rows of the file.
        aliases: (paper, method, score) -> what that is here, by recipe and score instance.
        sources: paper -> title, rules, ID test split, OOD sets and their splits.
        networks: name in the file -> networks here that are the same.
    """

    values: tuple[Row, ...]
    aliases: Mapping[tuple[str, str, str], list[Row]]
    sources: Mapping[str, Mapping[str, Any]]
    networks: Mapping[str, list[Mapping[str, Any]]]


def library(name: str) -> Library:
    """Values of ``papers/published/<name>.csv``, or of a file that ends in .csv with aliases and sources beside it.

    Raises:
        ReproError: a file is missing, or a row is not what the columns ask for.
    """
    path = Path(name) if name.endswith(".csv") else ROOT / "papers" / "published" / f"{name}.csv"
    return _read_library(path)


def library_problems(name: str) -> list[str]:
    """What is wrong with a file of published values, one sentence each."""
    try:
        library(name)
    except ReproError as error:
        return str(error).splitlines()
    return []


@cache
def _read_library(path: Path) -> Library:
    values = tuple(_read_rows(path, COLUMNS))
    sources = _read_sources(path.with_name("sources.yaml"))
    aliases: dict[tuple[str, str, str], list[Row]] = {}
    for row in _read_rows(path.with_name("aliases.csv"), ALIAS_COLUMNS):
        aliases.setdefault((row["paper"], row["method"], row["score"]), []).append(row)
    if found := [line for number, row in enumerate(values, 2) for line in _value_problems(row, sources, path, number)]:
        raise ReproError("\n".join(found))
    return Library(values, aliases, sources["sources"], sources["networks"])


def _read_rows(path: Path, columns: tuple[str, ...]) -> list[Row]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file)
            rows: list[Row] = list(reader)
            found = tuple(reader.fieldnames or ())
    except FileNotFoundError as error:
        raise ReproError(f"{path} does not exist: a table of published values reads it.") from error
    if found != columns:
        raise ReproError(f"{path} has the columns {', '.join(found)}; it needs {', '.join(columns)}.")
    for number, row in enumerate(rows, 2):
        if None in row or None in row.values():
            raise ReproError(f"{path}, line {number} has not {len(columns)} fields: quote a text that has commas.")
    seen = set()
    for number, row in enumerate(rows, 2):
        key = tuple(row[name] for name in columns if name not in ("value", "status", "source", "note"))
        if key in seen:
            raise ReproError(f"{path}, line {number} says again what an earlier line says: leave one of them out.")
        seen.add(key)
    return rows


def _read_sources(path: Path) -> dict[str, Any]:
    document, schema = load_yaml(path), load_schema("published")
    if found := problems(document, schema, path.name):
        raise ReproError("\n".join(found))
    return dict(with_defaults(document, schema))


def _value_problems(row: Row, sources: Mapping[str, Any], path: Path, number: int) -> Iterator[str]:
    place, source = f"{path.name}, line {number}", sources["sources"].get(row["paper"])
    if source is None:
        yield f"{place}: the paper {row['paper']!r} is not in sources.yaml, {nearest(row['paper'], sources['sources'])}"
        return
    known = {
        "network": sources["networks"],
        "metric": METRICS,
        "status": STATUS,
        "id_set": source["id_tests"],
        "ood_set": [*source["sets"], ID_TEST],
    }
    for key, names in known.items():
        if row[key] not in names:
            yield f"{place}: {key} is {row[key]!r}: {nearest(row[key], names)}"
    if not _is_percent(row["value"]):
        yield f"{place}: value is {row['value']!r}, a number of 0 to 100 was expected"


def _is_percent(text: str) -> bool:
    try:
        return 0 <= float(text) <= 100
    except ValueError:
        return False
