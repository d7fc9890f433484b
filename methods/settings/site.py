"""What the site is told: every paper's tables and figures, every benchmark with its marks, every recipe in full."""

from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

from methods.data.render import render_name
from methods.files import sha256_file
from methods.provenance import fingerprint
from methods.registry import records
from methods.settings import outputs, steps
from methods.settings.study import Run, Study
from methods.source_digest import ROOT, source_digest

PACKAGE = ROOT / "methods" / "reporting" / "site"
METRICS = ["fpr95", "auroc", "aupr_in", "aupr_out"]


def site_settings(study: Study) -> dict[str, Any]:
    """Settings of the site: all that is shown and not read from results."""
    shown = {run.method: None for run in site_runs(study)}
    return {
        "papers": [_paper(study, name) for name in study.papers],
        "benchmarks": {name: _benchmark(study, name) for name in study.evaluate if study.runs(name)},
        "boards": list(_boards(study)),
        "methods": {name: _method(study, name) for name in shown},
        "scores": {name: _score(study, name) for name in _shown_scores(study)},
        "runs": [[run.benchmark, run.method, run.protocol, run.seed] for run in site_runs(study)],
        "recipes": [_recipe(study, run) for run in _first_seeds(study)],
    }


def site_runs(study: Study) -> list[Run]:
    """Every run of every benchmark that papers evaluate."""
    return [run for name in study.evaluate for run in study.runs(name)]


def site_digest() -> str:
    """Digest of the code, templates and style of the site and of the package whose table library it carries."""
    files = sorted(path for folder in ("templates", "static") for path in (PACKAGE / folder).iterdir())
    content = {path.name: sha256_file(path) for path in files}
    code = source_digest(["methods.reporting.site.build"], ["workflow_scripts.make_site"])
    return fingerprint([code, content, version("itables")])


def _first_seeds(study: Study) -> list[Run]:
    """One run for each benchmark, method and protocol."""
    found: dict[tuple[str, str, str], Run] = {}
    for run in site_runs(study):
        found.setdefault((run.benchmark, run.method, run.protocol), run)
    return list(found.values())


def _paper(study: Study, name: str) -> dict[str, Any]:
    paper = study.papers[name]
    tables = {key: e for key, e in paper["tables"].items() if outputs.possible(study, name, e)}
    figures = {key: e for key, e in paper["figures"].items() if outputs.drawable(study, name, e)}
    return {
        "name": name,
        "title": paper["title"],
        "tables": [_output(key, entry, entry["caption"]) for key, entry in tables.items()],
        "figures": [_output(key, entry, outputs.figure_caption(study, entry)) for key, entry in figures.items()],
    }


def _output(name: str, entry: Mapping[str, Any], caption: str) -> dict[str, Any]:
    return {"name": name, "kind": entry["kind"], "benchmark": entry.get("benchmark", ""), "caption": caption}


def _benchmark(study: Study, name: str) -> dict[str, Any]:
    benchmark = study.benchmarks[name]
    inside = study.catalog[benchmark["in_distribution"]["dataset"]]
    return {
        "title": benchmark["title"],
        "task": benchmark["task"],
        "network": benchmark["network"],
        "render": render_name(benchmark["render"]),
        "inside": {"title": inside["title"], "relation": inside.get("relation")},
        "outliers": _outliers(study, benchmark),
        "parts": _parts(study, name),
    }


def _outliers(study: Study, benchmark: Mapping[str, Any]) -> dict[str, Any] | None:
    """Title and relation of the set that methods train with as outliers."""
    if (part := benchmark.get("outlier_exposure")) is None:
        return None
    record = study.catalog[part["dataset"]]
    return {"title": record["title"], "relation": record.get("relation")}


def _parts(study: Study, name: str) -> list[list[str]]:
    """(data set, split) of every image store behind a benchmark's numbers: those trained on, evaluated, tuned on."""
    source, runs = study.benchmarks[name]["in_distribution"], study.runs(name)
    parts = [(source["dataset"], source[role]) for role in ("train", "test")]
    parts += [(ood, part["split"]) for ood, part in sorted(study.ood_sets(name).items())]
    for run in runs:
        parts += [*steps.validation_parts(study, run), *steps.train_sets(study, run).values()]
    return [list(part) for part in dict.fromkeys(parts)]


def _boards(study: Study) -> Iterator[dict[str, Any]]:
    """What a table of everything that a paper evaluates on a benchmark would be told."""
    for paper in study.papers:
        for name in study.papers[paper]["evaluate"]:
            groups = {group: None for part in study.benchmarks[name]["ood"].values() for group in part["groups"]}
            rules = {"fpr_rule": "closest", "aupr_rule": "average_precision"}
            entry = {"kind": "main", "benchmark": name, "metrics": METRICS, "groups": list(groups), **rules}
            entry["caption"] = study.benchmarks[name]["title"]
            if outputs.possible(study, paper, entry):
                yield {"paper": paper, **outputs.table_settings(study, paper, entry)}


def _method(study: Study, name: str) -> dict[str, Any]:
    recipe = next(recipe for (method, _), recipe in study.recipes.items() if method == name)
    record = records("objectives")[recipe["objective"]["name"]]
    return {"label": recipe["label"], "objective": record["title"], "paper": record["paper"]}


def _recipe(study: Study, run: Run) -> dict[str, Any]:
    """Everything that shapes a training but its seed, every switch with the value it has."""
    settings = {key: value for key, value in steps.train_settings(study, run).items() if key != "seed"}
    imported = "checkpoint" in study.recipe(run)
    if not imported:
        settings["switches"] = steps.resolved_switches(study, run)
    settings["evaluation_normalisation"] = steps.evaluation_normalisation(study, run)
    names = {"benchmark": run.benchmark, "method": run.method, "protocol": run.protocol}
    return {**names, "imported": imported, "settings": settings}


def _shown_scores(study: Study) -> list[str]:
    shown = {name for methods in study.evaluate.values() for scores in methods.values() for name in scores}
    return [name for name in study.scores if name in shown]


def _score(study: Study, name: str) -> dict[str, Any]:
    part = study.scores[name]
    record = records("scores")[part["score"]]
    parameters = {key: value for key, value in part.items() if key not in ("score", "label")}
    label = part.get("label", name)
    return {"label": label, "title": record["title"], "paper": record["paper"], "parameters": parameters}
