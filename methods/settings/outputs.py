"""What tables and figures are told: their entry in the paper, joined with labels, sets, seeds and conventions."""

from collections.abc import Mapping
from typing import Any

from methods.data.overlap import shared_classes
from methods.registry import records
from methods.settings import figures, published, steps
from methods.settings.check_figures import FIGURE_KEYS
from methods.settings.check_sets import exposed_classes
from methods.settings.checks import output_record
from methods.settings.dilation import candidates, shown
from methods.settings.parts import complete_part
from methods.settings.study import Run, Study


def table_runs(study: Study, paper: str, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a table reads, in row order."""
    return study.runs(entry["benchmark"], _methods(study, paper, entry))


def table_sources(study: Study, paper: str, entry: Mapping[str, Any]) -> list[tuple[Run, tuple[str, ...]]]:
    """What a table of runs reads: (run,), or one item a run and (data set, split) where it needs scores, ID first."""
    runs = table_runs(study, paper, entry)
    if output_record(entry)["needs"] != "scores":
        return [(run, ()) for run in runs]
    source, here = study.benchmarks[entry["benchmark"]]["in_distribution"], study.ood_sets(entry["benchmark"])
    shown = [part["name"] for part in _sets(study, entry)["sets"] if part["name"] in here]
    parts = [(source["dataset"], source["test"]), *((name, here[name]["split"]) for name in shown)]
    return [(run, part) for run in runs for part in parts]


def table_settings(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one table."""
    benchmark = study.benchmarks[entry["benchmark"]]
    if output_record(entry)["needs"] == "dilation":
        seeds = study.config["seeds"]
        named = [["outlier_selection", "", seed] for seed in seeds]
        return {**entry, "runs": named, "seeds": seeds, **shown(study, entry["benchmark"])}
    runs = table_runs(study, paper, entry)
    common = {
        **entry,
        "runs": [[run.method, run.protocol, run.seed, *part[:1]] for run, part in table_sources(study, paper, entry)],
        "methods": [[m, _label(study, entry, m)] for m in _methods(study, paper, entry)],
        "seeds": study.config["seeds"],
    }
    if output_record(entry)["needs"] == "cost":
        return common
    return {
        **common,
        **_benchmark_keys(study, entry),
        **_scores(study, paper, entry, network=output_record(entry)["needs"] == "metrics"),
        "title": benchmark["title"],
        "task": benchmark["task"],
        **_sets(study, entry),
        "left_out": _left_out(study, paper, entry),
        "left_out_scores": _left_out_scores(study, paper, entry),
        "tuning": _tuning(study, paper, entry),
        "imported": [label for m, label in common["methods"] if study.imported(m, entry["benchmark"])],
        "precision": _precision(study, entry, _methods(study, paper, entry)),
        **_exposure(study, paper, entry),
        **_random_views(study, entry, runs),
        **(published.concerning(study, paper, entry) if output_record(entry).get("published_values") else {}),
    }


def _label(study: Study, entry: Mapping[str, Any], method: str) -> str:
    """How a table calls a method."""
    return figures.label(entry, method, study.recipes[method, entry["benchmark"]]["label"])


def _sets(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """``sets`` that a table concerns; ``shown`` are those with columns, where it names them.

    Sets behind the average of a group are told about as well, for one that stands in for another marks the average.
    """
    ood = study.benchmarks[entry["benchmark"]]["ood"]
    named = entry.get("sets", list(ood))
    averaged = [name for name, part in ood.items() if set(part["groups"]) & set(entry.get("groups", ()))]
    sets = [_set(study, entry["benchmark"], name) for name in dict.fromkeys([*named, *averaged])]
    titled = [{**part, "title": figures.label(entry, part["name"], part["title"])} for part in sets]
    return {"sets": titled, **({"shown": named} if "sets" in entry else {})}


def _precision(study: Study, entry: Mapping[str, Any], methods: list[str]) -> str:
    """Arithmetic of the trainings shown; by method where it differs."""
    found = {_label(study, entry, method): study.precision(method, entry["benchmark"]) for method in methods}
    kinds = list(dict.fromkeys(found.values()))
    if len(kinds) == 1:
        return kinds[0]
    return "; ".join(f"{kind} ({', '.join(m for m, own in found.items() if own == kind)})" for kind in kinds)


def figure_seed(study: Study, entry: Mapping[str, Any]) -> int:
    """The seed a figure shows: its own, or the first."""
    return entry.get("seed", study.config["seeds"][0])


def figure_caption(study: Study, entry: Mapping[str, Any]) -> str:
    """Caption with the seed and protocol shown."""
    record = output_record(entry)
    if record["needs"] == "dilation":
        return f"{entry['caption']}. Mean over seeds {', '.join(map(str, study.config['seeds']))}."
    runs = study.runs(entry["benchmark"], figures.named_methods(entry))
    protocols = {run.protocol: None for run in runs if run.protocol == shown_protocol(study, run)}
    seeds = f"Seed {figure_seed(study, entry)}"
    if _over_seeds(entry) and len(study.config["seeds"]) > 1:
        deviation = f" ({record['deviation']}: standard deviation)" if "deviation" in record else ""
        seeds = f"Mean over seeds {', '.join(map(str, study.config['seeds']))}{deviation}"
    caption = f"{entry['caption']}. {seeds}, protocol {' or '.join(protocols)}."
    timed = "cost" in figures.files_read(entry)
    return f"{caption} Times are those of the machine that trained: they differ from run to run." if timed else caption


def shown_protocol(study: Study, run: Run) -> str:
    """The protocol whose run of a method figures show: the first of the config that it offers."""
    return study.protocols(run.benchmark, run.method)[0]


def figure_runs(study: Study, paper: str, entry: Mapping[str, Any]) -> list[Run]:
    """Runs a figure shows: the first protocol of a method, one seed, or all where it shows metrics and names none."""
    seeds = study.config["seeds"] if _over_seeds(entry) else [figure_seed(study, entry)]
    methods = _methods(study, paper, entry)
    runs = sorted(study.runs(entry["benchmark"], methods), key=lambda run: methods.index(run.method))
    return [run for run in runs if run.seed in seeds and run.protocol == shown_protocol(study, run)]


def figure_settings(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one figure, with one ``sources`` item for every file it reads, in the order of the files."""
    needs = output_record(entry)["needs"]
    if needs == "dilation":
        sources = [source for source, _ in figure_sources(study, paper, entry)]
        own, told = complete_part("reporting.figures", "kind", entry, *FIGURE_KEYS), shown(study, entry["benchmark"])
        named = [{**part, "title": figures.label(entry, part["name"], part["title"])} for part in told["candidates"]]
        return {**own, **told, "candidates": named, "seed": None, "sources": sources}
    return {
        **complete_part("reporting.figures", "kind", entry, *FIGURE_KEYS),
        **(_scores(study, paper, entry, network=needs == "metrics") if needs in ("scores", "metrics") else {}),
        **(_targets(study, paper, entry) if needs == "metrics" else {}),
        **_benchmark_keys(study, entry),
        **(figures.panel_values(study, entry) if "panels" in entry else {}),
        **_courses(study, paper, entry),
        **({"shown_classes": figures.shown_classes(study, entry)} if output_record(entry).get("gives") else {}),
        "seed": None if _over_seeds(entry) else figure_seed(study, entry),
        "method_order": figures.method_order(study, paper),
        **({} if needs == "history" else {"set_order": list(study.benchmarks[entry["benchmark"]]["ood"])}),
        "sources": [source for source, _ in figure_sources(study, paper, entry)],
    }


def figure_sources(study: Study, paper: str, entry: Mapping[str, Any]) -> list[tuple[dict[str, Any], Run]]:
    """What a figure reads: one item a run and set for scores and features, one a run otherwise."""
    if output_record(entry)["needs"] == "dilation":
        common = {"method": "outlier_selection", "label": "", "needs": "dilation"}
        runs = [Run(entry["benchmark"], "", "", seed) for seed in study.config["seeds"]]
        return [({**common, "seed": run.seed}, run) for run in runs]
    found = [(s, run) for run in figure_runs(study, paper, entry) for s in figures.run_sources(study, entry, run)]
    for own in figures.further(study, entry, _methods(study, paper, entry)):
        for run in figure_runs(study, paper, own):
            found += [({**s, "benchmark": own["benchmark"]}, run) for s in figures.run_sources(study, own, run)]
    return found


def _courses(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """``courses`` of a figure over epochs."""
    if not output_record(entry).get("with_snapshots"):
        return {}
    return {"courses": figures.courses(study, entry, _methods(study, paper, entry))}


def _targets(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Targets of a figure of metrics, with the columns of further benchmarks."""
    more = figures.further(study, entry, _methods(study, paper, entry))
    return {**figures.shown_targets(study, entry), "columns": figures.columns_of(study, entry, more)}


def possible(study: Study, paper: str, entry: Mapping[str, Any]) -> bool:
    """Whether a table or figure has its benchmark, a method, and the seeds or protocols that its kind needs."""
    record = output_record(entry)
    if len(study.config["seeds"]) < record.get("least_seeds", 0):
        return False
    if record.get("both_protocols") and len(study.config["protocols"]) < 2:
        return False
    if output_record(entry)["needs"] == "dilation":
        return entry["benchmark"] in study.evaluate and bool(candidates(study, entry["benchmark"]))
    methods = _methods(study, paper, entry) if entry["benchmark"] in study.evaluate else []
    return bool(methods) and ("against" not in entry or {entry["against"]} < set(methods))


def drawable(study: Study, paper: str, entry: Mapping[str, Any]) -> bool:
    """Whether a figure has a method and, unless it shows no set, an OOD set, or its whole group, to be had here."""
    if not possible(study, paper, entry):
        return False
    return output_record(entry)["needs"] in ("history", "dilation") or figures.sets_are_here(study, entry)


def _own(study: Study, paper: str, benchmark: str) -> dict[str, list[str]]:
    """Methods and scores that the paper itself evaluates, so that no other paper changes its tables and figures."""
    return study.papers[paper]["evaluate"].get(benchmark, study.evaluate[benchmark])


def _methods(study: Study, paper: str, entry: Mapping[str, Any]) -> list[str]:
    """Methods of a table or figure, without those left out here and, where training is shown, those that are none."""
    benchmark, record = entry["benchmark"], output_record(entry)
    chosen = figures.named_methods(entry) or list(_own(study, paper, benchmark))
    here = [method for method in chosen if method in study.evaluate[benchmark]]
    if record.get("with_snapshots"):
        here = figures.with_snapshots(study, benchmark, here)
    trained = bool({"cost", "history"} & set(figures.files_read(entry)))
    here = [method for method in here if not (trained and "checkpoint" in study.recipes[method, benchmark])]
    whole = [method for method in here if figures.has_parts(study, benchmark, method, record.get("gives", ()))]
    return figures.ordered(entry, whole)


def _random_views(study: Study, entry: Mapping[str, Any], runs: list[Run]) -> dict[str, Any]:
    """``random_views``: labels of runs whose OOD images are evaluated through random views, and whether ID ones are."""
    ood = study.ood_sets(runs[0].benchmark)
    parts = [(name, part["split"]) for name, part in ood.items()]
    seen = [run for run in runs if any(steps.evaluation_views(study, run, *part) for part in parts)]
    labels = list(dict.fromkeys(f"{_label(study, entry, run.method)} ({run.protocol})" for run in seen))
    if not labels:
        return {}
    inside = study.benchmarks[runs[0].benchmark]["released_id_transform"] == "random"
    return {"random_views": {"methods": labels, "id": inside}}


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
    return [[_label(study, entry, m), study.catalog[dataset]["title"]] for m, dataset in gone.items()]


def _left_out_scores(study: Study, paper: str, entry: Mapping[str, Any]) -> list[list[str]]:
    """(label of the score, label of the method, reason) of scores of the table that a run cannot give."""
    benchmark, methods = entry["benchmark"], _methods(study, paper, entry)
    shown = entry.get("scores", list(study.papers[paper]["scores"]))
    return [
        [figures.label(entry, score, study.scores[score].get("label", score)), _label(study, entry, method), reason]
        for method in methods
        for score, reason in study.left_out_scores.get((benchmark, method), {}).items()
        if score in shown
    ]


def _tuning(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Titles of the OOD validation sets, and (label, fixed values) of scores that cannot be tuned without one."""
    sets = [study.catalog[name]["title"] for name in study.ood_validation(entry["benchmark"])]
    shown = {name: study.scores[name] for name, _ in _scores(study, paper, entry)["scores"]}
    untuned = [
        [figures.label(entry, name, score.get("label", name)), {key: score[key] for key in score["tune"]}]
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
    chosen = figures.ordered(entry, [name for name in entry.get("scores", study.scores) if name in used])
    return {
        "scores": [[name, figures.label(entry, name, study.scores[name].get("label", name))] for name in chosen],
        "run_scores": {method: [s for s in chosen if s in scores] for method, scores in by_method.items()},
    }


def _over_seeds(entry: Mapping[str, Any]) -> bool:
    """Whether a figure shows all seeds together."""
    return output_record(entry)["needs"] == "metrics" and "seed" not in entry


def _benchmark_keys(study: Study, entry: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of the benchmark that the kind of a table or figure asks for."""
    return {key: study.benchmarks[entry["benchmark"]][key] for key in output_record(entry).get("benchmark_keys", ())}


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
