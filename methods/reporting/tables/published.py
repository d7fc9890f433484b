"""Published values beside ours, with a verdict where they can be compared."""

from collections.abc import Mapping
from typing import Any

from methods.errors import refuse
from methods.metrics.seeds import Spread, spread
from methods.metrics.uncertainty import interval_of
from methods.reporting.tables.parts import METRICS, Column, Rows, RunRows, Table, seeds_of
from methods.reporting.tables.words import detection_notes, origin, over_seeds

RECORD = {"title": "Published against reproduced", "needs": "metrics", "published_values": True}

HEADS = ("Method", "Score", "Source", "OOD set", "Metric")
COLUMNS = [
    Column("published", "", "Published", 0),
    Column("released", "Ours", "released", 0),
    Column("corrected", "Ours", "corrected", 0),
    Column("interval", "", "95 % interval", 0, words=True),
    Column("difference", "", "Ours − published", 0),
    Column("verdict", "", "Verdict", 0, words=True),
    Column("reason", "", "Reason", 0, words=True, machine=True),
]
_NAMES = {**{key: name for key, (name, _) in METRICS.items()}, "accuracy": "Accuracy", "map": "mAP"}
_VERDICTS = {
    "reproduced": "difference of at most {} points",
    "close": "at most {}",
}


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """A row a published value that concerns the benchmark.

    Ours is taken by the rule of the source. The verdict looks at the released protocol where the method offers it, and
    is given only where nothing that the sources tell differs.

    Args:
        settings: those of a main table with ``published`` (methods/settings/published.py) and the tolerances.
        runs: ((method, protocol, seed), rows of metrics.csv) of every run.

    Raises:
        ReproError: no published value concerns the benchmark.
    """
    refuse(
        not settings["published"],
        f"The table {settings['caption']!r} has no row: no published value concerns its benchmark, methods and scores. "
        "Look at the file it reads in papers/published and at aliases.csv beside it.",
    )
    table = Table(COLUMNS, [], [], _caption(settings), detection_notes(settings), HEADS)
    marks: dict[str, str] = {}
    for value in settings["published"]:
        labels = (value["method"], value["score"], value["source"], value["ood"], _NAMES[value["metric"]])
        table.rows.append(labels)
        table.cells.append(_cells(value, runs, settings["tolerance"], marks))
    table.notes += [f"({mark}) {reason}." for reason, mark in marks.items()]
    if settings["not_offered"]:
        table.notes.append(f"{settings['not_offered']} more values are of methods or scores that are not offered here.")
    if settings["unpublished"]:
        table.notes.append(f"No published value is known of: {', '.join(settings['unpublished'])}.")
    return table


def _cells(
    value: Mapping[str, Any], runs: RunRows, tolerance: Mapping[str, float], marks: dict[str, str]
) -> list[Spread | str]:
    ours = {protocol: _ours(value, runs, protocol) for protocol in ("released", "corrected")}
    judged, printed = ours[value["protocol"]], spread([value["value"]])
    reason = "; ".join(value["reasons"]) or ("" if judged else _not_run(value))
    comparable = judged is not None and not value["reasons"]
    difference = spread([judged.mean - printed.mean]) if judged is not None and comparable else None
    if difference is not None:
        verdict = _verdict(100 * abs(difference.mean), tolerance)
    else:
        mark = marks.setdefault(reason, _letter(len(marks)))
        verdict = f"{'not comparable' if value['reasons'] else 'not run'} ({mark})"
    shown = [cell if cell is not None else "" for cell in (ours["released"], ours["corrected"])]
    interval = _interval(judged or ours["corrected"])
    return [printed, *shown, interval, "" if difference is None else difference, verdict, reason]


def _ours(value: Mapping[str, Any], runs: RunRows, protocol: str) -> Spread | None:
    """Our value over seeds, or none where a run, the score or the set is missing."""
    found = [_pick(value, rows) for rows in seeds_of(runs, value["recipe"], protocol).values()]
    return spread([float(text) for text in found]) if found and all(found) else None


def _pick(value: Mapping[str, Any], rows: Rows) -> str:
    if not value["target"]:
        return ""
    score = "" if value["target"].startswith("id:") else value["instance"]
    wanted = (score, *value["target"].split(":"), value["metric"], value["rule"])
    keys = ("score", "level", "target", "metric", "rule")
    return next((row["value"] for row in rows if tuple(row[key] for key in keys) == wanted), "")


def _not_run(value: Mapping[str, Any]) -> str:
    return f"no run under the {value['protocol']} protocol has that value here"


def _verdict(points: float, tolerance: Mapping[str, float]) -> str:
    return next((name for name in _VERDICTS if points <= tolerance[name]), "not reproduced")


def _interval(cell: Spread | None) -> str:
    if cell is None or cell.count < 2:
        return ""
    found = interval_of(cell)
    return f"{100 * found.low:.2f} to {100 * found.high:.2f}"


def _letter(number: int) -> str:
    """a to z, then aa, ab and so on."""
    first, last = divmod(number, 26)
    return (_letter(first - 1) if first else "") + chr(ord("a") + last)


def _caption(settings: Mapping[str, Any]) -> str:
    verdicts = "; ".join(f"{name}: {text.format(settings['tolerance'][name])}" for name, text in _VERDICTS.items())
    parts = [
        settings["caption"],
        f"Percent, {over_seeds(settings)}; metrics by the rule of the source",
        f"Verdicts look at the released protocol of methods that have one ({verdicts}; else not reproduced)",
        origin(settings),
    ]
    return ". ".join(parts) + "."
