"""What tables and figures are told: their entry in the paper, joined with labels, sets, seeds and conventions."""

from collections.abc import Mapping
from typing import Any

from methods.data.overlap import shared_classes
from methods.metrics.seeds import LEAST
from methods.registry import records
from methods.settings.check_sets import exposed_classes
from methods.settings.checks import FIGURE_KEYS
from methods.settings.parts import complete_part
from methods.settings.study import Run, Study


def table_runs(study: Study, paper: str, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a table reads, in row order."""
    return study.runs(entry["benchmark"], _methods(study, paper, entry))


def table_settings(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one table."""
    benchmark = study.benchmarks[entry["benchmark"]]
    runs = table_runs(study, paper, entry)
    common = {
        **entry,
        "runs": [[run.method, run.protocol, run.seed] for run in runs],
        "methods": [[m, study.recipes[m, entry["benchmark"]]["label"]] for m in _methods(study, paper, entry)],
        "seeds": study.config["seeds"],
    }
    if entry["kind"] == "cost":
        return common
    return {
        **common,
        **_scores(study, paper, entry),
        "title": benchmark["title"],
        "task": benchmark["task"],
        "sets": [_set(study, entry["benchmark"], name) for name in benchmark["ood"]],
        "left_out": _left_out(study, paper, entry),
        "left_out_scores": _left_out_scores(study, paper, entry),
        "tuning": _tuning(study, paper, entry),
        "imported": [label for m, label in common["methods"] if "checkpoint" in study.recipes[m, entry["benchmark"]]],
        "precision": study.config["precision"],
        **_exposure(study, paper, entry),
    }


def figure_seed(study: Study, entry: Mapping[str, Any]) -> int:
    """The seed a figure shows: its own, or the first."""
    return entry.get("seed", study.config["seeds"][0])


def figure_caption(study: Study, entry: Mapping[str, Any]) -> str:
    """Caption with the seed and protocol shown."""
    runs = study.runs(entry["benchmark"], entry.get("methods"))
    protocols = {run.protocol: None for run in runs if run.protocol == shown_protocol(study, run)}
    return f"{entry['caption']}. Seed {figure_seed(study, entry)}, protocol {' or '.join(protocols)}."


def shown_protocol(study: Study, run: Run) -> str:
    """The protocol whose run of a method figures show: the first of the config that it offers."""
    return study.protocols(run.benchmark, run.method)[0]


def figure_runs(study: Study, paper: str, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a figure shows: the first protocol of a method, one seed."""
    seed = figure_seed(study, entry)
    methods = _methods(study, paper, entry)
    runs = sorted(study.runs(entry["benchmark"], methods), key=lambda run: methods.index(run.method))
    return [run for run in runs if run.seed == seed and run.protocol == shown_protocol(study, run)]


def figure_settings(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one figure, with one ``sources`` item for every file it reads, in the order of the files."""
    needs = records("reporting.figures")[entry["kind"]]["needs"]
    return {
        **complete_part("reporting.figures", "kind", entry, *FIGURE_KEYS),
        **(_scores(study, paper, entry, network=False) if needs == "scores" else {}),
        "seed": figure_seed(study, entry),
        "method_order": list(_own(study, paper, entry["benchmark"])),
        "set_order": list(study.benchmarks[entry["benchmark"]]["ood"]),
        "sources": [source for source, _ in figure_sources(study, paper, entry)],
    }


def figure_sources(study: Study, paper: str, entry: Mapping[str, Any]) -> list[tuple[dict[str, Any], Run]]:
    """What a figure reads: one item a run for histories, one a run and set otherwise."""
    needs = records("reporting.figures")[entry["kind"]]["needs"]
    found = []
    for run in figure_runs(study, paper, entry):
        common = {"method": run.method, "label": study.recipe(run)["label"], "needs": needs}
        if needs == "history":
            found.append((common, run))
        else:
            found += [({**common, **part}, run) for part in _figure_sets(study, entry)]
    return found


def possible(study: Study, paper: str, entry: Mapping[str, Any]) -> bool:
    """Whether the benchmark and a method of a table or figure are in the study, and the seeds that ranks need."""
    if entry["kind"] == "ranks" and len(study.config["seeds"]) < LEAST:
        return False
    return entry["benchmark"] in study.evaluate and bool(_methods(study, paper, entry))


def drawable(study: Study, paper: str, entry: Mapping[str, Any]) -> bool:
    """Whether a figure has a method and, unless it shows histories, an OOD set that can be had here."""
    if not possible(study, paper, entry):
        return False
    needs = records("reporting.figures")[entry["kind"]]["needs"]
    return needs == "history" or len(_figure_sets(study, entry)) > 1


def _own(study: Study, paper: str, benchmark: str) -> dict[str, list[str]]:
    """Methods and scores that the paper itself evaluates, so that no other paper changes its tables and figures."""
    return study.papers[paper]["evaluate"].get(benchmark, study.evaluate[benchmark])


def _methods(study: Study, paper: str, entry: Mapping[str, Any]) -> list[str]:
    """Methods of a table or figure, without those left out here and, where training is shown, those imported."""
    benchmark = entry["benchmark"]
    chosen = entry.get("methods", list(_own(study, paper, benchmark)))
    here = [method for method in chosen if method in study.evaluate[benchmark]]
    figures = records("reporting.figures")
    trained = entry["kind"] == "cost" or figures.get(entry["kind"], {}).get("needs") == "history"
    return [method for method in here if not (trained and "checkpoint" in study.recipes[method, benchmark])]


def _exposure(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """``exposure``: title, ID classes and reason of outliers that may show ID classes, where a method sees them."""
    benchmark, known = study.benchmarks[entry["benchmark"]], records("objectives")
    part = benchmark.get("outlier_exposure", {})
    shown = [study.recipes[m, entry["benchmark"]]["objective"]["name"] for m in _methods(study, paper, entry)]
    if "overlap_allowed" not in part or not any(known[name]["needs_outliers"] for name in shown):
        return {}
    title, classes = study.catalog[part["dataset"]]["title"], exposed_classes(study, benchmark)
    return {"exposure": {"title": title, "classes": classes, "reason": part["overlap_allowed"]}}


def _left_out(study: Study, paper: str, entry: Mapping[str, Any]) -> list[list[str]]:
    """(label, title of the outlier set) of methods of the table that were left out here."""
    benchmark = entry["benchmark"]
    chosen = set(entry.get("methods", study.papers[paper]["recipes"]))
    gone = {m: dataset for (name, m), dataset in study.left_out.items() if name == benchmark and m in chosen}
    return [[study.recipes[m, benchmark]["label"], study.catalog[dataset]["title"]] for m, dataset in gone.items()]


def _left_out_scores(study: Study, paper: str, entry: Mapping[str, Any]) -> list[list[str]]:
    """(label of the score, label of the method, reason) of scores of the table that a run cannot give."""
    benchmark, methods = entry["benchmark"], _methods(study, paper, entry)
    shown = entry.get("scores", list(study.papers[paper]["scores"]))
    return [
        [study.scores[score].get("label", score), study.recipes[method, benchmark]["label"], reason]
        for method in methods
        for score, reason in study.left_out_scores.get((benchmark, method), {}).items()
        if score in shown
    ]


def _tuning(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Titles of the OOD validation sets, and (label, fixed values) of scores that cannot be tuned without one."""
    sets = [study.catalog[name]["title"] for name in study.ood_validation(entry["benchmark"])]
    shown = {name: study.scores[name] for name, _ in _scores(study, paper, entry)["scores"]}
    untuned = [
        [score.get("label", name), {key: score[key] for key in score["tune"]}]
        for name, score in shown.items()
        if "tune" in score and not sets
    ]
    return {"sets": sets, "untuned": untuned}


def _scores(study: Study, paper: str, entry: Mapping[str, Any], network: bool = True) -> dict[str, Any]:
    """``scores``: (instance, label) pairs in order (canonical JSON would sort a mapping); ``run_scores`` by method.

    Without ``network``, only those that are computed from features.
    """
    benchmark, own = entry["benchmark"], _own(study, paper, entry["benchmark"])
    by_method = {m: own.get(m, study.evaluate[benchmark][m]) for m in _methods(study, paper, entry)}
    used = {score for scores in by_method.values() for score in scores}
    needs = {name: records("scores")[study.scores[name]["score"]]["needs"] for name in used}
    used = {name for name in used if network or "network" not in needs[name]}
    chosen = [name for name in entry.get("scores", study.scores) if name in used]
    return {
        "scores": [[name, study.scores[name].get("label", name)] for name in chosen],
        "run_scores": {method: [s for s in chosen if s in scores] for method, scores in by_method.items()},
    }


def _figure_sets(study: Study, entry: Mapping[str, Any]) -> list[dict[str, Any]]:
    benchmark = study.benchmarks[entry["benchmark"]]
    source, ood = benchmark["in_distribution"], study.ood_sets(entry["benchmark"])
    inside = {"role": "id", "dataset": source["dataset"], "split": source["test"], "title": "ID test"}
    shown = [name for name in entry.get("sets", ood) if name in ood]
    sets = [_set(study, entry["benchmark"], name) for name in shown]
    return [inside, *({"role": "ood", "dataset": s["name"], "split": s["split"], "title": s["title"]} for s in sets)]


def _set(study: Study, benchmark: str, name: str) -> dict[str, Any]:
    record, part = study.catalog[name], study.benchmarks[benchmark]["ood"][name]
    inside = study.benchmarks[benchmark]["in_distribution"]["dataset"]
    return {
        "name": name,
        "split": part["split"],
        "title": record["title"],
        "groups": part["groups"],
        "relation": record.get("relation"),
        "available": name in study.ood_sets(benchmark),
        "shared_classes": shared_classes(study.catalog, inside, name, part["split"]),
    }
