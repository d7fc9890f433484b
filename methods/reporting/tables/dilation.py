"""Candidate outlier sets and their dilation distance, by which EDGE selects one."""

from collections.abc import Mapping
from typing import Any

from methods.metrics.seeds import Spread, spread
from methods.reporting.tables.parts import Column, RunRows, Table
from methods.reporting.tables.words import over_seeds

RECORD = {
    "title": "Dilation distance of candidate outlier sets",
    "needs": "dilation",
    "benchmark_keys": ["outlier_selection"],
}

FORMS = {"paper_topk": "paper, the {top_k} largest", "released_bug": "released, all times √{top_k}"}


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """A row a candidate, nearest first by the form that the benchmark names; one is marked if a direction selects."""
    selection = settings["selection"]
    columns = [Column(form, "Distance", name.format(**selection), 0) for form, name in FORMS.items()]
    table = Table(columns, [], [], _caption(settings), _notes(settings), ("Candidate", "Role"), scale=1)
    place = list(FORMS).index(selection["form"])
    found = [(part, [_cell(runs, part["name"], form) for form in FORMS]) for part in settings["candidates"]]
    found.sort(key=lambda row: row[1][place].mean)
    for part, cells in found:
        table.rows.append(
            (f"{_name(part)}{'*' if part['relation'] else ''} ({_images(runs, part)} images)", _role(part))
        )
        table.cells.append([*cells])
    if selection["select"] != "none":
        best, _ = found[0 if selection["select"] == "smallest" else -1]
        table.notes.insert(0, f"The {selection['select']} distance selects {_name(best)}.")
    return table


def _cell(runs: RunRows, name: str, key: str) -> Spread:
    return spread([float(row[key]) for _, rows in runs for row in rows if row["dataset"] == name])


def _name(part: Mapping[str, Any]) -> str:
    return f"{part['title']}, {part['split']}"


def _images(runs: RunRows, part: Mapping[str, Any]) -> str:
    return next(row["images"] for _, rows in runs for row in rows if row["dataset"] == part["name"])


def _role(part: Mapping[str, Any]) -> str:
    words = [word for key, word in (("used", "trained with"), ("tested", "OOD test set")) if part[key]]
    return ", ".join(words)


def _caption(settings: Mapping[str, Any]) -> str:
    network, weights = settings["network"]
    origin = f"with {weights}" if weights else "as first drawn"
    parts = [settings["caption"], f"Un-tuned {network} {origin}, {settings['views']} views"]
    text = over_seeds(settings)
    batches = f"batches of {settings['selection']['batch']}, {text}"
    return ". ".join([parts[0], f"{parts[1]}, {batches}"]) + "."


def _notes(settings: Mapping[str, Any]) -> list[str]:
    notes = ["Whether the largest or the smallest distance selects is said neither by the paper nor by its code."]
    stand_ins = [part for part in settings["candidates"] if part["relation"]]
    notes += [f"* {p['title']}: {p['relation']['kind']} in the place of {p['relation']['of']}." for p in stand_ins]
    if settings["absent"]:
        notes.append(f"Not available here: {', '.join(settings['absent'])}.")
    return notes
