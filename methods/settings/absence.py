"""What leaves the workflow, each with a notice: what needs a set that cannot be had, and scores a run cannot give."""

from collections.abc import Iterator

from methods.data.availability import can_be_had
from methods.registry import records
from methods.settings.needs import unmet_needs
from methods.settings.pretrained import lacking, weights_file
from methods.settings.study import Study


def leave_out_what_is_absent(study: Study) -> None:
    """Find the splits that cannot be had, take what needs them out of ``study``, and note it."""
    _note_idle_recipes(study)
    data = study.config["data"]
    study.absent = frozenset(
        part for part in set(_splits(study)) if not can_be_had(study.catalog, *part, data["sources"], data["folder"])
    )
    for name in list(study.evaluate):
        if reason := _id_set_missing(study, name) or _weights_missing(study, name):
            _drop_benchmark(study, name, reason)
        else:
            _drop_methods(study, name)
            _drop_scores(study, name)
            _note_ood_sets(study, name)


def _note_idle_recipes(study: Study) -> None:
    """A recipe without its line under `evaluate` is easily forgotten, and nothing else would say so."""
    for name, paper in study.papers.items():
        busy = {method for methods in paper["evaluate"].values() for method in methods}
        busy |= {recipe.get("extends") for recipe in paper["recipes"].values()}
        if idle := [method for method in paper["recipes"] if method not in busy]:
            verb = "stands" if len(idle) == 1 else "stand"
            study.notices.append(
                f"{', '.join(idle)} of the paper {name} {verb} under no `evaluate` and will not be trained"
            )


def _splits(study: Study) -> Iterator[tuple[str, str]]:
    for name in study.evaluate:
        yield from _id_splits(study, name)
        yield from ((ood, part["split"]) for ood, part in study.benchmarks[name]["ood"].items())
        yield from ((ood, part["split"]) for ood, part in study.benchmarks[name]["ood_validation"].items())
        for candidate, part in study.benchmarks[name].get("outlier_selection", {}).get("candidates", {}).items():
            yield candidate, part["split"]
        if exposure := study.benchmarks[name].get("outlier_exposure"):
            yield exposure["dataset"], exposure["split"]


def _id_splits(study: Study, benchmark: str) -> list[tuple[str, str]]:
    source = study.benchmarks[benchmark]["in_distribution"]
    return [(source["dataset"], source[role]) for role in ("train", "validation", "test")]


def _id_set_missing(study: Study, name: str) -> str | None:
    missing = [dataset for dataset, split in _id_splits(study, name) if not study.available(dataset, split)]
    return f"its ID set {missing[0]} is not available here{_why(study, missing[0])}" if missing else None


def _weights_missing(study: Study, name: str) -> str | None:
    """What is wrong with the pretrained weights of a benchmark, if one of its methods starts a training from them."""
    for weights in filter(None, {weights_file(study, run) for run in study.runs(name)}):
        if problem := lacking(study, weights[0]):
            remedy = "`weights: none` under its network trains from scratch"
            return f"its pretrained weights {weights[0]} are not available here: {problem} ({remedy})"
    return None


def _drop_benchmark(study: Study, name: str, why: str) -> None:
    study.notices.append(f"benchmark {name} is left out, {why}")
    for evaluate in _evaluations(study):
        evaluate.pop(name, None)


def _drop_methods(study: Study, name: str) -> None:
    exposure = study.benchmarks[name].get("outlier_exposure")
    if exposure is None or study.available(exposure["dataset"], exposure["split"]):
        return
    dataset, known = exposure["dataset"], records("objectives")
    trained = {m: study.recipes[m, name]["objective"] for m in study.evaluate[name] if not study.imported(m, name)}
    gone = [method for method, objective in trained.items() if known[objective["name"]]["needs_outliers"]]
    for method in gone:
        study.left_out[name, method] = dataset
        for evaluate in _evaluations(study):
            evaluate.get(name, {}).pop(method, None)
    if gone:
        words = ("is", "its") if len(gone) == 1 else ("are", "their")
        study.notices.append(
            f"{', '.join(gone)} {words[0]} left out on {name}, {words[1]} outlier set {dataset} is not available here"
            f"{_why(study, dataset)}"
        )


def _drop_scores(study: Study, name: str) -> None:
    for method, scores in study.evaluate[name].items():
        for score in list(scores):
            if missing := unmet_needs(study, name, method, score):
                study.notices.append(f"{score} is left out for {method} on {name}: it needs {missing[0]}")
                study.left_out_scores.setdefault((name, method), {})[score] = missing[0]
                for evaluate in _evaluations(study):
                    own = evaluate.get(name, {}).get(method, [])
                    own[:] = [instance for instance in own if instance != score]


def _note_ood_sets(study: Study, name: str) -> None:
    gone = [ood for ood in study.benchmarks[name]["ood"] if ood not in study.ood_sets(name)]
    for ood in gone:
        study.notices.append(f"the OOD set {ood} of {name} is not available here{_why(study, ood)}")
    wanted, there = study.benchmarks[name]["ood_validation"], study.ood_validation(name)
    shown = {score for scores in study.evaluate[name].values() for score in scores}
    if not any("tune" in study.scores[score] for score in shown):
        return
    for ood in (ood for ood in wanted if ood not in there):
        what = f"tuned without the OOD set {ood}" if there else f"not tuned, which takes the OOD set {ood}"
        study.notices.append(f"scores on {name} are {what}, not available here{_why(study, ood)}")


def _evaluations(study: Study) -> list[dict[str, dict[str, list[str]]]]:
    """What is evaluated: joined, and by each paper."""
    return [study.evaluate, *(paper["evaluate"] for paper in study.papers.values())]


def _why(study: Study, dataset: str) -> str:
    """Why a set cannot be had and what to do; an owner's long instructions are given once."""
    if dataset in study.config["datasets"]["unavailable"]:
        return " (config.datasets.unavailable)"
    record = study.catalog[dataset]
    bring = record.get("bring") or study.catalog[record.get("files_of", dataset)].get("bring", "")
    reason = f": {' '.join(bring.split())}" if bring else ""
    return " (see above)" if reason and any(notice.endswith(reason) for notice in study.notices) else reason
