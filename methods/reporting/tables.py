"""Tables of a paper: methods and scores against OOD sets, as CSV, Markdown and LaTeX (booktabs).

Values are means over seeds with sample standard deviations, in percent with two decimals; CSV holds them in full.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.metrics.ranks import average_ranks, critical_difference
from methods.metrics.seeds import LEAST, Spread, spread
from methods.reporting.tuned import MARK, is_tuned, tuned_note, untuned_notes

METRICS = {
    "fpr95": ("FPR95", -1),
    "auroc": ("AUROC", 1),
    "aupr_in": ("AUPR-in", 1),
    "aupr_out": ("AUPR-out", 1),
}
# Column of cost.csv -> (name in the table's CSV, heading, factor)
COSTS = {
    "seconds": ("seconds", "Seconds", 1),
    "images_per_second": ("images_per_second", "Images/s", 1),
    "peak_process_bytes": ("peak_process_mib", "Process memory (MiB)", 2**-20),
    "peak_gpu_bytes": ("peak_gpu_mib", "GPU memory (MiB)", 2**-20),
}
ID_RULES = ("classifier", "prototype", "class_mean", "average_precision")

RunRows = Sequence[tuple[tuple[str, str, int], Sequence[Mapping[str, str]]]]


@dataclass(frozen=True)
class Column:
    """One column: ``direction`` is 1 if higher is better, -1 if lower, 0 if nothing is compared."""

    key: str
    group: str
    name: str
    direction: int


@dataclass
class Table:
    """A finished table.

    Attributes:
        columns: value columns, left to right.
        rows: (method label, score label) of each row.
        cells: for each row one spread or a text (blank, "n of m") a column.
        caption: what it shows, protocol, convention, seeds.
        notes: one line a mark.
    """

    columns: list[Column]
    rows: list[tuple[str, str]]
    cells: list[list[Spread | str]]
    caption: str
    notes: list[str] = field(default_factory=list)

    def best(self, column: int) -> set[int]:
        """Rows with the best mean of a column, if it has at least two."""
        direction = self.columns[column].direction
        means = {i: row[column].mean for i, row in enumerate(self.cells) if isinstance(row[column], Spread)}  # type: ignore[union-attr]
        if direction == 0 or len(means) < 2:
            return set()
        top = max(direction * value for value in means.values())
        return {i for i, value in means.items() if direction * value == top}


def main_table(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Methods and scores against OOD sets.

    Args:
        settings: the table's entry joined with labels, sets and seeds.
        runs: ((method, protocol, seed), rows of metrics.csv) of every run.
    """
    columns = _columns(settings)
    protocols = _protocols(settings)
    table = Table(columns, [], [], _caption(settings, protocols), _notes(settings))
    for method, label in settings["methods"]:
        for protocol in protocols:
            by_seed = {seed: rows for (name, p, seed), rows in runs if name == method and p == protocol}
            _add_rows(table, (method, _row_label(label, protocol, protocols)), by_seed, settings)
    refuse(
        not table.rows,
        f"The table {settings['caption']!r} has no row: no run has one of its scores on an OOD set that can be had "
        "here. Look at datasets.unavailable in the config and at the table's scores.",
    )
    return table


def _add_rows(
    table: Table,
    method: tuple[str, str],
    by_seed: Mapping[int, Sequence[Mapping[str, str]]],
    settings: Mapping[str, Any],
) -> None:
    """One row a score that the runs of one method (name, label) have, with a note on each that was tuned."""
    own = list(by_seed.values())
    present = {row["score"] for rows in own for row in rows if row["level"] != "tuned"}
    for score, label in settings["scores"]:
        if score not in settings["run_scores"][method[0]] or score not in present:
            continue
        mark = MARK if is_tuned(own, score) else ""
        if mark:
            table.notes.append(tuned_note(score, label, method[1], by_seed, settings["tuning"]["sets"]))
        table.rows.append((method[1], label + mark))
        table.cells.append([_cell(own, score, column, settings) for column in table.columns])


def cost_table(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Seconds, images a second and peak memory of training; differs from run to run, so it is never compared."""
    on_gpu = any(float(rows[0]["peak_gpu_bytes"]) > 0 for _, rows in runs)
    costs = {key: cost for key, cost in COSTS.items() if on_gpu or key != "peak_gpu_bytes"}
    columns = [Column(name, "Training", heading, 0) for name, heading, _ in costs.values()]
    table = Table(columns, [], [], f"{settings['caption']}. Mean ± standard deviation over seeds {_seeds(settings)}.")
    protocols = _protocols(settings)
    for method, label in settings["methods"]:
        for protocol in protocols:
            own = [rows for (name, p, _), rows in runs if name == method and p == protocol]
            if not own:
                continue
            table.rows.append((_row_label(label, protocol, protocols), ""))
            table.cells.append(
                [spread([scale * float(rows[0][key]) for rows in own]) for key, (*_, scale) in costs.items()]
            )
    return table


def ranks_table(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Average rank of each method and score over the OOD sets that are here, with Nemenyi's critical difference.

    Raises:
        ReproError: fewer than three seeds or sets, or fewer than two methods.
    """
    main = main_table({**settings, "groups": []}, runs)
    shown = [i for i, column in enumerate(main.columns) if column.key.startswith("set:")]
    cells = [[cell for i in shown if isinstance(cell := row[i], Spread)] for row in main.cells]
    seeds = min((cell.count for row in cells for cell in row), default=0)
    refuse(seeds < LEAST, f"The table {settings['caption']!r} compares by ranks, needs {LEAST} seeds and has {seeds}.")
    means = np.array([[cell.mean for cell in row] for row in cells]).T
    ranks = average_ranks(means, main.columns[shown[0]].direction)
    difference = critical_difference(means.shape[1], means.shape[0])
    metric = METRICS[settings["metrics"][0]][0]
    caption = f"{main.caption} Average rank of {metric} over {len(means)} OOD sets, 1 = best."
    note = f"Average ranks that differ by less than {difference:.2f} (Nemenyi, 5 %) are not told apart."
    column = Column(f"rank:{settings['metrics'][0]}", "Rank", metric, 0)
    return Table([column], main.rows, [[spread([float(rank)])] for rank in ranks], caption, [*main.notes, note])


KINDS = {"main": main_table, "cost": cost_table, "ranks": ranks_table}


def _columns(settings: Mapping[str, Any]) -> list[Column]:
    name = "mAP" if settings["task"] == "multi_label" else "Acc."
    columns = [Column("id", "ID", name, 0)]
    for part in settings["sets"]:
        mark = "*" if part["relation"] else ""
        columns += _metric_columns(settings, f"set:{part['name']}", part["title"] + mark)
    for group in settings["groups"]:
        mark = "*" if any(part["relation"] and group in part["groups"] for part in settings["sets"]) else ""
        columns += _metric_columns(settings, f"group:{group}", f"Average {group}{mark}")
    return columns


def _metric_columns(settings: Mapping[str, Any], key: str, title: str) -> list[Column]:
    return [Column(f"{key}:{metric}", title, *METRICS[metric]) for metric in settings["metrics"]]


def _cell(
    runs: Sequence[Sequence[Mapping[str, str]]], score: str, column: Column, settings: Mapping[str, Any]
) -> Spread | str:
    found = [_pick(rows, score, column, settings) for rows in runs]
    if any(row is None for row in found):
        return "n/a"
    texts = [row["value"] for row in found if row is not None]
    if "" in texts:
        return next(row["complete"] for row in found if row is not None and row["value"] == "")
    return spread([float(text) for text in texts])


def _pick(
    rows: Sequence[Mapping[str, str]], score: str, column: Column, settings: Mapping[str, Any]
) -> Mapping[str, str] | None:
    if column.key == "id":
        own = {row["rule"]: row for row in rows if row["level"] == "id"}
        return next((own[rule] for rule in ID_RULES if rule in own), None)
    level, target, metric = column.key.split(":")
    rule = {"fpr95": settings["fpr_rule"], "auroc": ""}.get(metric, settings["aupr_rule"])
    wanted = (score, level, target, metric, rule)
    return next((r for r in rows if (r["score"], r["level"], r["target"], r["metric"], r["rule"]) == wanted), None)


def _protocols(settings: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(protocol for _, protocol, _ in settings["runs"]))


def _row_label(label: str, protocol: str, protocols: list[str]) -> str:
    return label if len(protocols) == 1 else f"{label} ({protocol})"


def _caption(settings: Mapping[str, Any], protocols: list[str]) -> str:
    rules = {
        "closest": "FPR at the threshold whose TPR is closest to 95 %, ID positive",
        "at_least": "FPR at the highest threshold with a TPR of at least 95 %, ID positive",
        "percentile": "FPR strictly above the interpolated 5th percentile of ID scores, ID positive",
        "ood_positive": "FPR at a TPR of at least 95 %, OOD positive",
    }
    parts = [settings["caption"], f"Percent, mean ± standard deviation over seeds {_seeds(settings)}"]
    if "fpr95" in settings["metrics"]:
        parts.append(f"FPR95: {rules[settings['fpr_rule']]}")
    if {"aupr_in", "aupr_out"} & set(settings["metrics"]):
        rules = {
            "average_precision": "average precision",
            "trapezoid": "area under the precision-recall curve by trapezoids",
        }
        parts.append(f"AUPR: {rules[settings['aupr_rule']]}")
    parts.append(f"Protocol: {', '.join(protocols)}; precision {settings['precision']}")
    if settings["task"] == "single_label":
        parts.append("ID accuracy by the classifier where the method has one, else by the nearest prototype")
    else:
        parts.append("mAP: mean over classes of average precision")
    return ". ".join(parts) + "."


def _notes(settings: Mapping[str, Any]) -> list[str]:
    stand_ins = [part for part in settings["sets"] if part["relation"]]
    notes = [f"* {p['title']}: {p['relation']['kind']} in the place of {p['relation']['of']}." for p in stand_ins]
    for part in settings["sets"]:
        if part["shared_classes"]:
            notes.append(
                f"{part['title']} is labelled with classes of the ID set: {', '.join(part['shared_classes'])}."
            )
    if exposure := settings.get("exposure"):
        shown = f" ({', '.join(exposure['classes'])})" if exposure["classes"] else ""
        title = exposure["title"]
        notes.append(f"Outliers ({title}) may show classes of the ID set{shown}: {exposure['reason']}.")
    if gone := [part["title"] for part in settings["sets"] if not part["available"]]:
        notes.append(f"n/a: {', '.join(gone)} not available here; averages that lack a set stay blank (n of m).")
    for label, title in settings["left_out"]:
        notes.append(f"{label} is left out: its outlier set {title} is not available here.")
    for score, label, reason in settings["left_out_scores"]:
        notes.append(f"{score} is left out for {label}: it needs {reason}.")
    for label in settings["imported"]:
        notes.append(f"{label} is an imported checkpoint: one run, whatever the seeds.")
    return [*notes, *untuned_notes(settings["tuning"]["untuned"])]


def _seeds(settings: Mapping[str, Any]) -> str:
    return ", ".join(map(str, settings["seeds"]))


def percent(cell: Spread | str, scale: float = 100) -> str:
    """``12.34 ± 0.56``; a single seed has no deviation."""
    if isinstance(cell, str):
        return cell
    if math.isnan(cell.std):
        return f"{scale * cell.mean:.2f}"
    return f"{scale * cell.mean:.2f} ± {scale * cell.std:.2f}"
