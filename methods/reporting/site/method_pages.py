"""A page a method: results, exact recipe, cost, figures and tables."""

from collections.abc import Mapping
from typing import Any

from methods.progress import readable_bytes
from methods.reporting.site.leaderboard import DEFAULT, Row, run_page
from methods.reporting.site.marks import benchmark_notes, conventions
from methods.reporting.site.render import flat
from methods.reporting.site.results import Results
from methods.reporting.tables.parts import Rows

# Columns of cost.csv whose values are told in another way than they stand there
_COST = {
    "seconds": ("Training", lambda text: duration(float(text))),
    "images_per_second": ("Images/s", lambda text: f"{float(text):,.0f}"),
    "peak_gpu_bytes": ("Peak GPU memory", lambda text: readable_bytes(int(float(text))) if float(text) else "none"),
    "peak_process_bytes": ("Peak memory", lambda text: readable_bytes(int(float(text)))),
    "resumed": ("Resumed", lambda text: f"{float(text):g} times"),
}


def method_page(results: Results, method: str) -> dict[str, Any]:
    """What the template of a method shows."""
    recipes = [recipe for recipe in results.settings["recipes"] if recipe["method"] == method]
    return {
        "name": method,
        **results.settings["methods"][method],
        "sections": [_section(results, recipe) for recipe in recipes],
        "figures": [figure for figure in results.figures if method in figure.methods],
        "tables": [table for table in results.tables if method in {run[0] for run in table.runs}],
    }


def cost_table(costs: Mapping[int, Rows]) -> dict[str, Any]:
    """Heads, and for each seed its values; ``costs`` maps a seed to the rows of its cost.csv."""
    rows = {seed: own[0] for seed, own in sorted(costs.items()) if own}
    keys = list(dict.fromkeys(key for row in rows.values() for key in row))
    return {
        "heads": [_COST[key][0] if key in _COST else key.replace("_", " ").capitalize() for key in keys],
        "rows": [(seed, [_cost(key, row.get(key, "")) for key in keys]) for seed, row in rows.items()],
    }


def duration(seconds: float) -> str:
    """A time in the unit that fits: 12.3 s, 4.5 min, 6.7 h."""
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:.1f} {unit}"
    return f"{seconds:.1f} s"


def _cost(key: str, text: str) -> str:
    return _COST[key][1](text) if key in _COST and text else text


def _section(results: Results, recipe: Mapping[str, Any]) -> dict[str, Any]:
    """What stands about a method on one benchmark under one protocol."""
    key = (recipe["benchmark"], recipe["method"], recipe["protocol"])
    benchmark, rows = results.settings["benchmarks"][key[0]], [row for row in results.board.rows if row.key == key]
    costs = {run.seed: own for run, own in results.costs.items() if run.group == key}
    return {
        "benchmark": key[0],
        "protocol": key[2],
        "title": results.titles[key[0]],
        "task": benchmark["task"].replace("_", " "),
        "page": run_page(key),
        "imported": recipe["imported"],
        "results": _summary(rows),
        "recipe": flat(recipe["settings"]),
        "cost": cost_table(costs),
        "conventions": conventions(results.boards(key[0])),
        "notes": [*benchmark_notes(benchmark, results.boards(key[0])), *results.board.notes.get(key, [])],
    }


def _summary(rows: list[Row]) -> dict[str, Any]:
    """FPR95 and AUROC of every score on the groups' averages, on the OOD sets where there is no group."""
    groups = [row for row in rows if row.target.startswith("group:")] or rows
    targets = {row.target: row.target_label for row in groups}
    scores = {row.score: row.score_label for row in groups}
    found = {(row.score, row.target): row for row in groups}
    lines = [(score, label, [found.get((score, target)) for target in targets]) for score, label in scores.items()]
    return {"targets": list(targets.values()), "metrics": DEFAULT, "lines": lines}
