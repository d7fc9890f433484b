"""The leaderboard: one row a benchmark, method, protocol, score and OOD set or group, one column a metric and rule."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from methods.metrics.seeds import Spread, spread
from methods.reporting.layout import ARROWS
from methods.reporting.site.files import RunKey
from methods.reporting.tables.detection import ID_RULES, target_title
from methods.reporting.tables.parts import METRICS, Rows, percent
from methods.reporting.tables.words import protocols_of, row_label
from methods.reporting.tuned import MARK, is_tuned, tuned_note

Metric = tuple[str, str]  # metric and rule, as in metrics.csv
Cell = Spread | str

DEFAULT: tuple[Metric, ...] = (("fpr95", "closest"), ("auroc", ""))
_NAMES = {key: name for key, (name, _) in METRICS.items()} | {"detection_error": "Detection error", "oscr": "OSCR"}
_LOWER = ("fpr95", "detection_error")  # is better


@dataclass(frozen=True)
class Row:
    """One line; ``cells`` maps metric and rule to its spread over seeds, or to why there is none."""

    key: tuple[str, str, str]  # benchmark, method, protocol
    label: str
    score: str
    score_label: str
    target: str  # level:name
    target_label: str
    seeds: tuple[int, ...]
    cells: Mapping[Metric, Cell]
    identified: Cell
    tuned: bool


@dataclass
class Board:
    """All rows, the metrics that occur, and for each benchmark, method and protocol the notes on tuned scores."""

    rows: list[Row] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    notes: dict[tuple[str, str, str], list[str]] = field(default_factory=dict)


def make_board(boards: Iterable[Mapping[str, Any]], metrics: Mapping[RunKey, Rows]) -> Board:
    """Rows of every paper's settings; what two papers evaluate alike stands once.

    Args:
        boards: for each paper and benchmark the settings of a table of everything.
        metrics: rows of metrics.csv of every run.
    """
    board, seen = Board(), set()
    for settings in boards:
        for group, label in _groups(settings):
            own = {run.seed: rows for run, rows in metrics.items() if run.group == group}
            rows = [row for row in _rows(settings, group, label, own) if (row.key, row.score, row.target) not in seen]
            seen |= {(row.key, row.score, row.target) for row in rows}
            board.rows += rows
            board.notes.setdefault(group, []).extend(_tuned_notes(settings, rows, own))
    found = sorted({metric for row in board.rows for metric in row.cells}, key=_place)
    board.metrics = found
    return board


def metric_name(metric: Metric) -> str:
    """How a column is called: the metric, and its rule where it is not the usual one."""
    name = _NAMES.get(metric[0], metric[0])
    plain = metric in DEFAULT or not metric[1]
    return name if plain else f"{name} ({metric[1].replace('_', ' ')})"


def direction(metric: Metric) -> int:
    """1 if higher is better, -1 if lower."""
    return -1 if metric[0] in _LOWER else 1


def arrow(metric: Metric) -> str:
    """The arrow behind a metric's name."""
    return ARROWS[direction(metric)]


def _place(metric: Metric) -> tuple[int, int, str]:
    """Sorts metrics: the usual two, then by the order of their names."""
    names = list(_NAMES)
    return 0 if metric in DEFAULT else 1, names.index(metric[0]) if metric[0] in names else len(names), metric[1]


def _groups(settings: Mapping[str, Any]) -> list[tuple[tuple[str, str, str], str]]:
    """((benchmark, method, protocol), label) of the runs of one board, in its order."""
    protocols, offered = protocols_of(settings), {(method, protocol) for method, protocol, _ in settings["runs"]}
    return [
        ((settings["benchmark"], method, protocol), row_label(label, protocol, protocols))
        for method, label in settings["methods"]
        for protocol in protocols
        if (method, protocol) in offered
    ]


def _rows(
    settings: Mapping[str, Any], group: tuple[str, str, str], label: str, runs: Mapping[int, Rows]
) -> Iterable[Row]:
    indexed = [_index(rows) for rows in runs.values()]
    identified = _identified(indexed)
    shown = settings["run_scores"][group[1]]
    for score, score_label in settings["scores"]:
        if score not in shown:
            continue
        tuned = is_tuned(list(runs.values()), score)
        for target, title in _targets(settings):
            cells = _cells([index.get((score, target), {}) for index in indexed])
            if cells:
                marked = score_label + (MARK if tuned else "")
                yield Row(group, label, score, marked, target, title, tuple(sorted(runs)), cells, identified, tuned)


def _targets(settings: Mapping[str, Any]) -> list[tuple[str, str]]:
    found = [("group", name) for name in settings["groups"]] + [("set", part["name"]) for part in settings["sets"]]
    return [(f"{level}:{name}", target_title(settings, level, name)) for level, name in found]


def _index(rows: Rows) -> dict[tuple[str, str], dict[Metric, Mapping[str, str]]]:
    """(score, level:target) -> (metric, rule) -> row of metrics.csv."""
    found: dict[tuple[str, str], dict[Metric, Mapping[str, str]]] = {}
    for row in rows:
        place = (row["score"], f"{row['level']}:{row['target']}")
        found.setdefault(place, {})[row["metric"], row["rule"]] = row
    return found


def _cells(runs: Sequence[Mapping[Metric, Mapping[str, str]]]) -> dict[Metric, Cell]:
    found = sorted({metric for run in runs for metric in run}, key=_place)
    return {metric: _cell([run.get(metric) for run in runs]) for metric in found}


def _cell(rows: Sequence[Mapping[str, str] | None]) -> Cell:
    present = [row for row in rows if row is not None]
    if len(present) < len(rows):
        return "n/a"
    blank = [row["complete"] for row in present if row["value"] == ""]
    return blank[0] if blank else spread([float(row["value"]) for row in present])


def _identified(indexed: Sequence[Mapping[tuple[str, str], Mapping[Metric, Mapping[str, str]]]]) -> Cell:
    """ID accuracy or mAP by the first rule that the runs have."""
    values = [index.get(("", "id:test"), {}) for index in indexed]
    known = [(metric, rule) for rule in ID_RULES for metric in ("accuracy", "map")]
    chosen = next((m for m in known if values and all(m in value for value in values)), None)
    return "n/a" if chosen is None else _cell([value[chosen] for value in values])


def _tuned_notes(settings: Mapping[str, Any], rows: Sequence[Row], runs: Mapping[int, Rows]) -> list[str]:
    """What was chosen for each tuned score among ``rows``, which are of one method."""
    labels, tuned = dict(settings["scores"]), {row.score: row.label for row in rows if row.tuned}
    sets = settings["tuning"]["sets"]
    return [tuned_note(score, labels[score], method, runs, sets) for score, method in tuned.items()]


def board_data(board: Board, benchmarks: Mapping[str, str]) -> dict[str, Any]:
    """What the page's script reads, labels once: there may be ten thousand rows.

    A row is the number of its group, score, whether it was tuned, target, and a cell a metric: [number to sort by or
    null, text].

    Args:
        board: the rows.
        benchmarks: name -> title with its mark.
    """
    groups = {row.key: row for row in board.rows}
    place = {key: number for number, key in enumerate(groups)}
    targets: dict[str, dict[str, str]] = {}
    for row in board.rows:
        targets.setdefault(row.key[0], {})[row.target] = row.target_label
    return {
        "metrics": [[metric_name(m), direction(m), metric_name(m) + arrow(m)] for m in board.metrics],
        "shown": [board.metrics.index(m) for m in DEFAULT if m in board.metrics],
        "benchmarks": benchmarks,
        "groups": [_group(row) for row in groups.values()],
        "scores": {row.score: row.score_label.removesuffix(MARK) for row in board.rows},
        "targets": targets,
        "rows": [
            [place[row.key], row.score, int(row.tuned), row.target]
            + [_pair(row.cells.get(metric, "n/a")) for metric in board.metrics]
            for row in board.rows
        ],
    }


def _group(row: Row) -> dict[str, Any]:
    """What rows of one benchmark, method and protocol have in common."""
    benchmark, method, protocol = row.key
    return {
        "benchmark": benchmark,
        "method": method,
        "protocol": protocol,
        "label": row.label,
        "seeds": len(row.seeds),
        "page": run_page(row.key),
        "id": _pair(row.identified),
    }


def _pair(cell: Cell) -> list[Any]:
    return [round(cell.mean, 9) if isinstance(cell, Spread) else None, percent(cell)]


def run_page(key: tuple[str, str, str], score: str = "") -> str:
    """Address, from the site's root, of the page of all seeds of a run, or of one score on it."""
    return f"runs/{'/'.join(key)}.html" + (f"#score-{score}" if score else "")
