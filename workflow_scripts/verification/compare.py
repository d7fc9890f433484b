"""Two runs of the same papers, cell by cell: bundles or results folders."""

import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from methods.errors import ReproError, refuse
from methods.records import read_record
from methods.settings.checks import output_record
from workflow_scripts.verification.bundle import FORMAT, read_bundle
from workflow_scripts.verification.evidence import scan
from workflow_scripts.verification.folder import MANIFEST, RECORDS
from workflow_scripts.verification.judge import differences
from workflow_scripts.verification.layout import KINDS, place_of

# Columns that hold results; the others tell the rows of a file apart. Of tables all with a colon.
_VALUES = {"metrics": ("value", "complete"), "dilation": ("paper_topk", "released_bug")}
_COMPARED = ("table", "metrics", "dilation")
_SHOWN = 20


@dataclass
class Side:
    """One of the two: CSV files and records by key; a bundle holds some of the results, a published folder fewer."""

    name: str
    bundled: bool
    published: bool = False
    files: dict[str, bytes] = field(default_factory=dict)
    records: dict[str, dict[str, Any]] = field(default_factory=dict)


@dataclass
class Difference:
    """What differs in one file.

    Attributes:
        lines: one sentence a difference, the largest first.
        cells: how many cells were compared.
    """

    lines: list[str]
    cells: int


def open_side(path: str | Path) -> Side:
    """A bundle, a folder that one was published into, or a results folder.

    Raises:
        ReproError: it is none of them.
    """
    if Path(path).is_dir() and not (Path(path) / MANIFEST).is_file():
        return _folder(Path(path))
    members = read_bundle(path)
    try:
        known = json.loads(members[RECORDS])
        records = {key: part["record"] for key, part in known.items() if "record" in part}
        refuse(
            json.loads(members[MANIFEST])["format"] != FORMAT, f"{path} has a format that this checkout does not read."
        )
    except (ValueError, KeyError, TypeError) as error:
        raise ReproError(f"{path} is damaged ({error!r}): check it, and fetch it again.") from error
    compared = {key: text for key, text in members.items() if _is_compared(key)}
    return Side(str(path), True, Path(path).is_dir(), compared, records)


def _folder(folder: Path) -> Side:
    files = scan({"results": folder, "data": folder / "no data"})
    refuse(not files, f"{folder} holds no results: give a results folder or a bundle.")
    side = Side(str(folder), False)
    for key, path in files.items():
        place = place_of(key)
        form = KINDS[place.kind][1] if place else None
        if form:
            try:
                side.records[key] = read_record(path, form)
            except ReproError:
                continue  # `verify` names it; here its cells count
    side.files = {key: path.read_bytes() for key, path in files.items() if _is_compared(key)}
    return side


def _is_compared(key: str) -> bool:
    place = place_of(key)
    return bool(place and place.kind in _COMPARED)


def compare(one: Side, two: Side, tolerance: float) -> tuple[list[str], list[str]]:
    """Differences of results, and of how they were made, one sentence each.

    Args:
        one: the run compared with.
        two: one's own.
        tolerance: largest difference of two numbers that counts as none.
    """
    found, cells, files = [], 0, 0
    for key in _keys(one, two):
        if key not in one.files or key not in two.files:
            found.append(f"{key} is only in {one.name if key in one.files else two.name}")
            continue
        part = compare_csv(_rows(one, key), _rows(two, key), place_of(key).kind, tolerance)  # type: ignore[union-attr]
        found += [f"{key}: {line}" for line in part.lines[:_SHOWN]]
        if len(part.lines) > _SHOWN:
            found.append(f"{key}: ... and {len(part.lines) - _SHOWN} more")
        cells, files = cells + part.cells, files + 1
    made = [f"{cells} cells of {files} files compared, tolerance {tolerance:g}", *_made(one, two)]
    return found, made


def _keys(one: Side, two: Side) -> list[str]:
    """Files to compare: what published folders hold, else what bundles hold, else what one of the two has."""
    bundles = [side for side in (one, two) if side.bundled]
    small = [side for side in bundles if side.published]
    keys = {key for side in small or bundles or (one, two) for key in side.files}
    return sorted(key for key in keys if not _is_cost(one, two, key))


def _is_cost(one: Side, two: Side, key: str) -> bool:
    """Whether a table shows what training cost, which differs between equal runs."""
    settings = (one.records.get(key) or two.records.get(key) or {}).get("settings", {})
    return "kind" in settings and output_record(settings).get("needs") == "cost"


Rows = pd.DataFrame


def _rows(side: Side, key: str) -> Rows:
    try:
        return pd.read_csv(io.BytesIO(side.files[key]), dtype=str, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:
        raise ReproError(f"{key} of {side.name} cannot be read as CSV ({error}): make it again.") from error


def compare_csv(one: Rows, two: Rows, kind: str, tolerance: float) -> Difference:
    """Cells of two CSV files with the same rows and columns in any order; what only one has is a difference."""
    values = [name for frame in (one, two) for name in frame.columns if _is_value(name, kind)]
    shared = [name for name in dict.fromkeys(values) if name in one.columns and name in two.columns]
    lines = [
        f"the column {name} is only in {_which(name in one.columns)}" for name in _unshared(one.columns, two.columns)
    ]
    first, second = _by_labels(one, kind), _by_labels(two, kind)
    lines += [f"the row {_label(key)} is only in {_which(key in first)}" for key in _unshared(first, second)]
    off = []
    for key in (key for key in first if key in second):
        for name in shared:
            size = distance(first[key][name], second[key][name])
            if size > tolerance:
                off.append((size, f"{_label(key)}, {name}: {first[key][name]} against {second[key][name]}{_by(size)}"))
    off.sort(key=lambda pair: -pair[0])
    return Difference([*lines, *(line for _, line in off)], len(shared) * len(set(first) & set(second)))


def distance(one: str, two: str) -> float:
    """Absolute difference of two cells; infinite if they differ and are not both numbers."""
    if one == two:
        return 0.0
    try:
        size = abs(float(one) - float(two))
    except ValueError:
        return math.inf
    return math.inf if math.isnan(size) else size


def _is_value(name: str, kind: str) -> bool:
    return ":" in name if kind == "table" else name in _VALUES[kind]


def _by_labels(frame: Rows, kind: str) -> dict[tuple[str, ...], Mapping[str, str]]:
    """Rows by what is no value, those with the same labels numbered."""
    labels = sorted(str(name) for name in frame.columns if not _is_value(str(name), kind))
    found: dict[tuple[str, ...], Mapping[str, str]] = {}
    for cells in frame.to_dict(orient="records"):
        row = {str(name): str(value) for name, value in cells.items()}
        key = tuple(row[name] for name in labels)
        number = 2
        while key in found:
            key, number = (*key[: len(labels)], f"no. {number}"), number + 1
        found[key] = row
    return found


def _unshared(one: Iterable[Any], two: Iterable[Any]) -> list[Any]:
    first, second = dict.fromkeys(one), dict.fromkeys(two)
    return [item for item in first if item not in second] + [item for item in second if item not in first]


def _which(in_first: bool) -> str:
    return "the first" if in_first else "the second"


def _label(key: tuple[str, ...]) -> str:
    return " / ".join(part for part in key if part)


def _by(size: float) -> str:
    return "" if math.isinf(size) else f", difference {size:.3g}"


def _made(one: Side, two: Side) -> Iterator[str]:
    """How the two were made: settings and code of every artifact that both have a record of."""
    shared = [key for key in sorted(one.records) if key in two.records]
    settings = {key: differences(one.records[key]["settings"], two.records[key]["settings"]) for key in shared}
    other = {key: lines for key, lines in settings.items() if lines}
    code = [key for key in shared if one.records[key]["source_digest"] != two.records[key]["source_digest"]]
    seeds = [key for key in shared if one.records[key].get("seed") != two.records[key].get("seed")]
    if not shared:
        yield "the two have no record of the same artifact: nothing is known of their settings and code"
        return
    told = [f"{key}: {'; '.join(lines[:3])}".replace(", expected ", " against ") for key, lines in other.items()]
    yield f"settings differ in {len(other)} of {len(shared)} records" + _first(told)
    yield f"code differs in {len(code)} of {len(shared)} records" + _first(code)
    if seeds:
        yield f"seeds differ in {len(seeds)} of {len(shared)} records" + _first(seeds)


def _first(names: list[str]) -> str:
    return f", such as {'; '.join(names[:3])}" if names else ""
