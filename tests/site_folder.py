"""Results of two small benchmarks as the site reads them, written by hand, with stand-ins, gaps, tuning and a table."""

import json
import random
from pathlib import Path
from typing import Any

from methods import provenance
from methods.csv_file import csv_text
from methods.files import write_text
from methods.reporting.site.build import build_site
from methods.reporting.site.files import Files
from methods.reporting.site.results import Results, read_results

SEEDS = (0, 1)
RUNS = [
    *(("animals", method, "corrected", seed) for method in ("plain", "adapt") for seed in SEEDS),
    ("scenes", "adapt", "corrected", 0),
]
SCORES = {"msp": "MSP", "knn": "KNN", "knn_tuned": "KNN"}
METRICS = (("fpr95", "closest"), ("fpr95", "at_least"), ("auroc", ""), ("aupr_in", "average_precision"))
PUBLISHED = {"name": "against", "kind": "published", "benchmark": "animals", "caption": "Published & ours"}
MAIN = {"name": "main", "kind": "main", "benchmark": "animals", "caption": "Main <table>"}
FIGURE = {"name": "curves", "kind": "roc_curves", "benchmark": "animals", "caption": "ROC of everything. Seed 0."}
HTML = """<!doctype html><html lang="en"><head><title>{0}</title><style>b {{}}</style></head><body><table>
<caption>{0}. Percent over seeds 0, 1.</caption>
<thead><tr><th></th><th>Near*</th></tr></thead><tbody><tr><th>Plain</th><td><b>12.50</b></td></tr></tbody>
</table><p>* Near: subset in the place of whole.</p></body></html>"""


def set_of(name: str, groups: list[str], relation: dict[str, str] | None = None, available: bool = True) -> dict:
    return {
        "name": name,
        "split": "test",
        "title": name.replace("_", " ").capitalize(),
        "groups": groups,
        "relation": relation,
        "available": available,
        "shared_classes": [],
    }


SUBSET = {"of": "whole", "kind": "subset"}
SETS = {
    "animals": [set_of("near_set", ["near"], SUBSET), set_of("far_set", ["far"]), set_of("gone", ["far"], None, False)],
    "scenes": [set_of("far_set", ["far"])],
}


def board(paper: str, benchmark: str, methods: list[str], scores: list[str]) -> dict[str, Any]:
    """Settings of a table of everything that a paper evaluates on a benchmark."""
    runs = [[m, p, s] for b, m, p, s in RUNS if b == benchmark and m in methods]
    return {
        "paper": paper,
        "kind": "main",
        "benchmark": benchmark,
        "caption": benchmark.capitalize(),
        "task": "single_label",
        "metrics": ["fpr95", "auroc"],
        "fpr_rule": "closest",
        "aupr_rule": "average_precision",
        "groups": ["near", "far"] if benchmark == "animals" else ["far"],
        "sets": SETS[benchmark],
        "runs": runs,
        "methods": [[m, {"plain": "Plain <b>", "adapt": "ADAPT"}[m]] for m in methods],
        "scores": [[s, SCORES[s]] for s in scores],
        "run_scores": dict.fromkeys(methods, scores),
        "seeds": list(SEEDS),
        "precision": "fp32",
        "left_out": [],
        "left_out_scores": [],
        "tuning": {"sets": ["Blends"], "untuned": []},
        "imported": [],
    }


def settings() -> dict[str, Any]:
    """Settings of the site."""
    recipe = {"optimiser": {"learning_rate": 0.1, "name": "sgd"}, "epochs": 3, "switches": {"drop_last": False}}
    groups = list(dict.fromkeys(run[:3] for run in RUNS))
    score = {"title": "A score", "paper": "Somebody 2020", "parameters": {"k": 5}}
    return {
        "papers": [
            {"name": "one", "title": "Paper one", "tables": [MAIN, PUBLISHED], "figures": [FIGURE]},
            {"name": "two", "title": "Paper two", "tables": [], "figures": []},
        ],
        "benchmarks": {
            "animals": benchmark("Animals", {"of": "zoo", "kind": "substitute"}),
            "scenes": benchmark("Scenes", None),
        },
        "boards": [
            board("one", "animals", ["plain", "adapt"], ["msp", "knn", "knn_tuned"]),
            board("two", "animals", ["adapt"], ["msp"]),  # already shown by the other paper
            board("two", "scenes", ["adapt"], ["msp"]),
        ],
        "methods": {name: {"label": name, "objective": "A loss", "paper": "2021"} for name in ("plain", "adapt")},
        "scores": {name: {"label": label, **score} for name, label in SCORES.items()},
        "runs": [list(run) for run in RUNS],
        "recipes": [
            {"benchmark": b, "method": m, "protocol": p, "imported": False, "settings": recipe} for b, m, p in groups
        ],
    }


def benchmark(title: str, relation: dict[str, str] | None) -> dict[str, Any]:
    return {
        "title": title,
        "task": "single_label",
        "network": {"name": "small"},
        "render": "8px-native",
        "inside": {"title": f"Inside {title}", "relation": relation},
        "outliers": None,
        "parts": [["inside", "test"]],
    }


def patterns(folder: Path) -> dict[str, str]:
    """Path patterns of results in ``folder``."""
    run = f"{folder}/runs/{{benchmark}}/{{method}}/{{protocol}}/{{seed}}"
    images = f"{folder}/images/{{dataset}}/{{split}}@{{render}}.h5"
    names = {"tuned": "tuned.json", "detectors": "detectors.h5", "readout": "readout.h5", "model": "model.safetensors"}
    found = {kind: f"{run}/{name}" for kind, name in names.items()}
    found |= {kind: f"{run}/{kind}/{{dataset}}/{{split}}.h5" for kind in ("scores", "network_scores", "features")}
    own = {"metrics": f"{run}/metrics.csv", "cost": f"{run}/cost.csv", "images": images}
    return {**found, **own, "table": f"{folder}/{{paper}}/{{name}}", "figure": f"{folder}/{{paper}}/{{name}}"}


def metrics_rows(run: tuple) -> list[dict[str, Any]]:
    """Rows of metrics.csv: values in full precision, drawn once for every run."""
    draw = random.Random(repr(run)).random
    rows = []
    for score in ["msp"] if run[0] == "scenes" else SCORES:
        targets = [("set", part["name"]) for part in SETS[run[0]] if part["available"]]
        for level, name in [*targets, ("group", "near"), ("group", "far")]:
            if (run[0], name) == ("scenes", "near"):
                continue
            blank = (run[0], name) == ("animals", "far")
            for metric, rule in METRICS:
                value, complete = ("", "1 of 2") if blank else (draw(), "1 of 1")
                rows.append((score, level, name, metric, rule, value, complete))
    if run[0] == "animals":
        rows.append(("knn_tuned", "tuned", "k", "chosen", "auroc", "7", "1 of 1"))
    rows.append(("", "id", "test", "accuracy", "classifier", draw(), "1 of 1"))
    keys = ("score", "level", "target", "metric", "rule", "value", "complete")
    return [dict(zip(keys, row, strict=True)) for row in rows]


def write_results(folder: Path) -> Files:
    """Everything that the site reads, in ``folder``."""
    files = Files(patterns(folder))
    for run in RUNS:
        path = Path(files.patterns["metrics"].format(benchmark=run[0], method=run[1], protocol=run[2], seed=run[3]))
        write_text(path, csv_text(metrics_rows(run)))
        parents = {"id_scores": __file__}
        provenance.write_sidecar(
            path, provenance.record("metrics", {"task": "single_label"}, "a" * 64, parents, run[3])
        )
        cost = {"seconds": 4000.5, "images_per_second": 1234.5, "peak_gpu_bytes": 0.0, "device": "CPU"}
        write_text(path.with_name("cost.csv"), csv_text([cost]))
    own = {"runs": [["plain", "corrected", 0], ["adapt", "corrected", 1]]}
    for entry in (MAIN, PUBLISHED):
        path = files.of_paper("table", "one", entry["name"], "csv")
        for form in ("csv", "md", "tex"):
            write_text(path.with_suffix(f".{form}"), f"{form}\n")
        write_text(path.with_suffix(".html"), HTML.format(entry["caption"].replace("&", "&amp;").replace("<", "&lt;")))
        provenance.write_sidecar(path, provenance.record("table", {**entry, **own}, "b" * 64, {"metrics": path}))
    path = files.of_paper("figure", "one", FIGURE["name"], "svg")
    write_text(path, '<svg xmlns="http://www.w3.org/2000/svg" width="300" height="200"><circle r="90"/></svg>')
    write_text(path.with_suffix(".pdf"), "pdf")
    sources = {"sources": [{"method": "adapt", "needs": "scores", "dataset": "near_set"}]}
    provenance.write_sidecar(path, provenance.record("figure", {**FIGURE, **sources}, "c" * 64, {"scores": path}, 0))
    return files


def read(folder: Path, changed: dict[str, Any] | None = None) -> Results:
    """Results of ``folder``, with changed settings."""
    return read_results(json.loads(json.dumps(settings() | (changed or {}))), write_results(folder))


def write_site(folder: Path) -> Path:
    """The site of hand-made results, in ``folder``/site."""
    results, site = read(folder / "results"), folder / "site"
    site.mkdir()
    build_site(results, "d" * 64, site)
    return site
