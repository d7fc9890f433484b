"""A page a benchmark, method and protocol: every number of every seed, and where it comes from."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from methods.reporting.site.files import RunKey
from methods.reporting.site.leaderboard import Row, arrow, metric_name, run_page
from methods.reporting.site.marks import benchmark_notes, conventions
from methods.reporting.site.method_pages import cost_table
from methods.reporting.site.render import flat
from methods.reporting.site.results import Results
from methods.reporting.tables.parts import Rows

Record = tuple[Path, Mapping[str, Any]]


def run_context(results: Results, group: tuple[str, str, str]) -> dict[str, Any]:
    """What the template of a run shows."""
    benchmark, method, protocol = group
    runs = [run for run in results.runs if run.group == group]
    own, boards = results.settings["benchmarks"][benchmark], results.boards(benchmark)
    rows = [row for row in results.board.rows if row.key == group]
    return {
        "benchmark": results.titles[benchmark],
        "method": method,
        "label": results.label(benchmark, method),
        "protocol": protocol,
        "seeds": [run.seed for run in runs],
        "identified": _identified(results, runs),
        "scores": _scores(results, rows, runs),
        "cost": cost_table({run.seed: results.costs[run] for run in runs}),
        "origins": [_origin(results, run) for run in runs],
        "conventions": conventions(boards),
        "notes": [*benchmark_notes(own, boards), *results.board.notes.get(group, [])],
    }


def records_of(results: Results, run: RunKey) -> list[Record]:
    """(path, record) of all files behind a run's metrics."""
    benchmark = results.settings["benchmarks"][run.benchmark]
    return list(results.files.behind(run, [tuple(part) for part in benchmark["parts"]], benchmark["render"]))


def records_json(records: Iterable[Record]) -> str:
    """All records in full, for machines."""
    return json.dumps({path.as_posix(): record for path, record in records}, indent=1, sort_keys=True) + "\n"


def records_page(run: RunKey) -> str:
    """Address of a run's records from the site's root."""
    return f"{run_page(run.group).removesuffix('.html')}/seed{run.seed}.json"


def _origin(results: Results, run: RunKey) -> dict[str, Any]:
    """A run's records: those of the metrics in full, of the others what they are and what they were made from."""
    records = records_of(results, run)
    own = records[0][1]
    chain = [
        {
            "path": path.as_posix(),
            "kind": record.get("kind", ""),
            "digest": record.get("source_digest", ""),
            "parents": sorted(record.get("parents", {}).items()),
        }
        for path, record in records
    ]
    metrics = {"settings": flat(own["settings"]), "digest": own["source_digest"], "sha256": own["sha256"]}
    return {"seed": run.seed, "metrics": metrics, "chain": chain, "full": records_page(run)}


def _scores(results: Results, rows: list[Row], runs: list[RunKey]) -> list[dict[str, Any]]:
    """For each score a line a target and metric with the value of every seed as it stands in metrics.csv."""
    values = {run: _values(results.metrics[run]) for run in runs}
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        about = results.settings["scores"][row.score]
        score = found.setdefault(
            row.score, {"name": row.score, "label": row.score_label, "about": about, "lines": [], "tuned": row.tuned}
        )
        for metric, cell in row.cells.items():
            key = (row.score, row.target, *metric)
            own = [values[run].get(key, "") for run in runs]
            score["lines"].append((row.target_label, metric_name(metric) + arrow(metric), own, cell))
    return list(found.values())


def _values(rows: Rows) -> dict[tuple[str, ...], str]:
    places = ((row["score"], f"{row['level']}:{row['target']}", row["metric"], row["rule"]) for row in rows)
    return {place: row["value"] for place, row in zip(places, rows, strict=True)}


def _identified(results: Results, runs: list[RunKey]) -> list[tuple[str, list[str]]]:
    """(metric and rule, value of every seed) of what is measured on ID test images alone."""
    found = [[row for row in results.metrics[run] if row["level"] == "id"] for run in runs]
    by_run = [{f"{row['metric']} ({row['rule']})": row["value"] for row in rows} for rows in found]
    names = dict.fromkeys(name for own in by_run for name in own)
    return [(name.replace("_", " "), [own.get(name, "") for own in by_run]) for name in names]
