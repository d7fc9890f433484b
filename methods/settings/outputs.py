"""What tables and figures are told: their entry in the paper, joined with labels, sets, seeds and conventions."""

from collections.abc import Mapping
from typing import Any

from methods.registry import records
from methods.settings.checks import FIGURE_KEYS
from methods.settings.parts import complete_part
from methods.settings.study import Run, Study


def table_runs(study: Study, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a table reads, in row order."""
    return study.runs(entry["benchmark"], entry.get("methods"))


def table_settings(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one table."""
    benchmark = study.benchmarks[entry["benchmark"]]
    runs = table_runs(study, entry)
    return {
        **entry,
        "title": benchmark["title"],
        "task": benchmark["task"],
        "runs": [[run.method, run.protocol, run.seed] for run in runs],
        "methods": [[method, label] for method, label in {r.method: study.recipe(r)["label"] for r in runs}.items()],
        "scores": _score_labels(study, entry),
        "sets": [_set(study, entry["benchmark"], name) for name in benchmark["ood"]],
        "seeds": study.config["seeds"],
        "precision": study.config["precision"],
    }


def figure_runs(study: Study, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a figure shows: the first protocol, one seed (the first unless the entry names one)."""
    seed, protocol = entry.get("seed", study.config["seeds"][0]), study.config["protocols"][0]
    runs = study.runs(entry["benchmark"], entry.get("methods"))
    return [run for run in runs if run.seed == seed and run.protocol == protocol]


def figure_settings(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one figure, with one ``sources`` item for every file it reads, in the order of the files."""
    runs = figure_runs(study, entry)
    scores = _score_labels(study, entry)
    return {
        **complete_part("reporting.figures", "kind", entry, *FIGURE_KEYS),
        "scores": scores,
        "run_scores": {r.method: [s for s, _ in scores if s in study.evaluate[r.benchmark][r.method]] for r in runs},
        "method_order": list(study.evaluate[entry["benchmark"]]),
        "set_order": list(study.benchmarks[entry["benchmark"]]["ood"]),
        "sources": [source for source, _ in figure_sources(study, entry)],
    }


def figure_sources(study: Study, entry: Mapping[str, Any]) -> list[tuple[dict[str, Any], Run]]:
    """What a figure reads: one item a run for histories, one a run and set otherwise."""
    needs = records("reporting.figures")[entry["kind"]]["needs"]
    found = []
    for run in figure_runs(study, entry):
        common = {"method": run.method, "label": study.recipe(run)["label"], "needs": needs}
        if needs == "history":
            found.append((common, run))
        else:
            found += [({**common, **part}, run) for part in _figure_sets(study, entry)]
    return found


def _figure_sets(study: Study, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    benchmark = study.benchmarks[entry["benchmark"]]
    source, ood = benchmark["in_distribution"], study.ood_sets(entry["benchmark"])
    inside = {"role": "id", "dataset": source["dataset"], "split": source["test"], "title": "ID test"}
    shown = [name for name in entry.get("sets", ood) if name in ood]
    sets = [_set(study, entry["benchmark"], name) for name in shown]
    return [
        inside,
        *({"role": "ood", "dataset": s["name"], "split": s["split"], "title": s["title"]} for s in sets),
    ]


def _set(study: Study, benchmark: str, name: str) -> dict[str, Any]:
    record, part = study.catalog[name], study.benchmarks[benchmark]["ood"][name]
    return {
        "name": name,
        "split": part["split"],
        "title": record["title"],
        "groups": part["groups"],
        "relation": record.get("relation"),
        "available": name in study.ood_sets(benchmark),
    }


def _score_labels(study: Study, entry: Mapping[str, Any]) -> list[list[str]]:
    """(instance, label) pairs in order; canonical JSON would sort a mapping."""
    used = {score for scores in study.evaluate[entry["benchmark"]].values() for score in scores}
    chosen = entry.get("scores", [name for name in study.scores if name in used])
    return [[name, study.scores[name].get("label", name)] for name in chosen]
