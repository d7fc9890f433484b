"""What a schema cannot say: names that must exist, parts that must fit, files that must not collide."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from methods import registry
from methods.settings.check_figures import figure_problems, name_problems
from methods.settings.check_sets import benchmark_problems, share, unknown
from methods.settings.dilation import dilation_problems
from methods.settings.imports import checkpoint_problems, snapshot_problems
from methods.settings.needs import unmet_needs
from methods.settings.parts import part_problems
from methods.settings.published_files import library_problems
from methods.settings.study import Study
from methods.settings.tuning import CHOICE_KEYS, fits_on_validation, grid_problems
from methods.training.switches import switch_problems

# Targets and rules of the workflow: a paper's target stands beside them.
TARGETS = frozenset(
    [
        "all",
        "datasets",
        "tables",
        "figures",
        "report",
        "site",
        "verify",
        "fetch_archive",
        "verify_source",
        "prepare_images",
        "train",
        "extract_features",
        "extract_readout",
        "measure_dilation",
        "tune_scores",
        "fit_scores",
        "score",
        "score_network",
        "evaluate",
        "make_table",
        "make_figure",
        "make_report",
        "make_site",
        "make_bundle",
        "bundle",
        "environment",
    ]
)


def study_problems(study: Study) -> list[str]:
    """Every problem of a joined study, one sentence each."""
    found = [*_config(study), *_scores(study), *benchmark_problems(study), *_methods(study), *_outputs(study)]
    for name, benchmark in study.benchmarks.items():
        found += dilation_problems(study, f"benchmarks.{name}", name, benchmark)
    return list(dict.fromkeys(found))


def output_record(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    """The record of the kind of a table or figure; an empty one for a kind that is not known."""
    tables, figures = registry.records("reporting.tables"), registry.records("reporting.figures")
    return tables.get(entry["kind"]) or figures.get(entry["kind"], {})


def _config(study: Study) -> Iterator[str]:
    seeds = study.config["seeds"]
    if len(set(seeds)) != len(seeds):
        yield f"config.seeds is {seeds}: a seed given twice would write the same files twice"
    if len(set(study.config["protocols"])) != len(study.config["protocols"]):
        yield "config.protocols names a protocol twice: its runs would write the same files twice"
    for name in study.config["datasets"]["unavailable"]:
        yield from unknown("config.datasets.unavailable", name, study.catalog | study.weights)
    for name in study.papers:
        if name in TARGETS:
            yield f"papers/{name}.yaml: the name {name!r} is a target of the workflow, choose another"


def _scores(study: Study) -> Iterator[str]:
    for name, score in study.scores.items():
        found = part_problems("scores", "score", score, f"scores.{name}", *CHOICE_KEYS)
        for line in found:
            missing = "tune" in score and "lacks the key" in line
            yield f"{line}: the value that holds where a benchmark has no ood_validation set" if missing else line
        yield from () if found else grid_problems(name, score)


def _methods(study: Study) -> Iterator[str]:
    for name, paper in study.papers.items():
        for method, recipe in paper["recipes"].items():
            for benchmark in recipe.get("on", {}):
                yield from unknown(f"papers/{name}.yaml.recipes.{method}.on", benchmark, study.benchmarks)
    for benchmark, methods in study.evaluate.items():
        place = f"evaluate.{benchmark}"
        yield from unknown("evaluate", benchmark, study.benchmarks)
        if benchmark not in study.benchmarks:
            continue
        for method, scores in methods.items():
            if (method, benchmark) not in study.recipes:
                yield from _missing_recipe(study, place, method)
                continue
            yield from _recipe(study, benchmark, method)
            for score in scores:
                yield from _score_fits(study, benchmark, method, score)
            yield from _some_score(study, benchmark, method, scores)
        yield from _scores_on_validation(study, benchmark)


def _missing_recipe(study: Study, place: str, method: str) -> Iterator[str]:
    owners = {name: paper["name"] for paper in study.papers.values() for name in paper["recipes"]}
    if method in owners:
        yield f"{place} names the recipe {method!r} of {owners[method]}: take it over with `use: {owners[method]}`"
    yield from unknown(place, method, owners)


def _recipe(study: Study, benchmark: str, method: str) -> Iterator[str]:
    recipe, place = study.recipes[method, benchmark], f"recipes.{method}"
    found = part_problems("objectives", "name", recipe["objective"], f"{place}.objective")
    yield from found
    if found:
        return
    record = registry.records("objectives")[recipe["objective"]["name"]]
    if study.benchmarks[benchmark]["task"] not in record["tasks"]:
        yield f"{place} cannot run on {benchmark}: {record['title']} is for {' and '.join(record['tasks'])}"
    for part in record["needs"]:
        if part not in recipe:
            yield f"{place} lacks a {part}, which {record['title']} trains"
    if study.imported(method, benchmark):
        yield from checkpoint_problems(recipe, place)
    elif "checkpoint" in recipe:
        yield from snapshot_problems(study, benchmark, recipe, place)
    elif record["needs_outliers"]:
        if "outlier_exposure" not in study.benchmarks[benchmark]:
            yield f"{place} trains with outliers, which the benchmark {benchmark} does not name (outlier_exposure)"
        if "outlier_batch" not in recipe:
            yield f"{place} lacks the key 'outlier_batch'"
    if not study.protocols(benchmark, method):
        asked, offered = (" or ".join(names) for names in (study.config["protocols"], record["protocols"]))
        remedy = f"add {offered} to config.protocols, or leave {place} out of `evaluate`"
        yield f"config.protocols: {record['title']} has no protocol {asked}, only {offered}: {remedy}"
    late = [epoch for epoch in recipe.get("snapshots", ()) if epoch > recipe["epochs"]]
    if late:
        yield f"{place}.snapshots names epoch {late[0]} of {recipe['epochs']}: name epochs that the training has"
    if "evaluation_normalisation" in recipe and "train_eval_norm" not in record.get("switches", {}):
        yield f"{place} has an evaluation_normalisation, which {record['title']} never uses: leave it out"
    if recipe["switches"].get("train_eval_norm") == "mismatched" and "evaluation_normalisation" not in recipe:
        yield f"{place}.switches.train_eval_norm is mismatched, which needs the key evaluation_normalisation"
    if recipe["switches"].get("final_model") == "best_val" and recipe["selection"]["rule"] != "best_validation":
        yield f"{place}.switches.final_model is best_val, which needs selection.rule best_validation"
    if recipe["selection"]["rule"] == "best_validation":
        if "head" not in recipe:
            rule = "best_validation, which needs a classifier head: use last or best_train_loss"
            yield f"{place}.selection.rule is {rule}"
        yield from _validation_apart(study, benchmark, f"{place} selects its weights")
    yield from switch_problems(record, recipe["switches"], f"{place}.switches")


def _validation_apart(study: Study, benchmark: str, what: str) -> Iterator[str]:
    source = study.benchmarks[benchmark]["in_distribution"]
    parts = [(source["dataset"], source[role]) for role in ("train", "validation", "test")]
    for other in (parts[0], parts[2]):
        if share(study, parts[1], other):
            yield (
                f"{what} on {'/'.join(parts[1])}, which shares images with {'/'.join(other)} of "
                f"the benchmark {benchmark}: name splits that are apart under in_distribution"
            )


def _scores_on_validation(study: Study, benchmark: str) -> Iterator[str]:
    """A score that is tuned or fitted on the ID validation split asks for one that is apart from the others."""
    shown = dict.fromkeys(name for scores in study.evaluate[benchmark].values() for name in scores)
    for name in shown:
        score = study.scores.get(name, {})
        if fits_on_validation(score) or ("tune" in score and study.benchmarks[benchmark]["ood_validation"]):
            yield from _validation_apart(study, benchmark, f"The score {name} is tuned or fitted")


def _score_fits(study: Study, benchmark: str, method: str, instance: str) -> Iterator[str]:
    place = f"evaluate.{benchmark}.{method}"
    if instance not in study.scores:
        yield from unknown(place, instance, study.scores)
        return
    record = registry.records("scores").get(study.scores[instance]["score"])
    if record is None:
        return
    task = study.benchmarks[benchmark]["task"]
    if task not in record["tasks"]:
        yield f"{place}: the score {instance!r} is for {' and '.join(record['tasks'])}, the benchmark is {task}"


def _some_score(study: Study, benchmark: str, method: str, scores: Iterable[str]) -> Iterator[str]:
    known = registry.records("scores")
    usable = [name for name in scores if name in study.scores and study.scores[name].get("score") in known]
    if usable and all(unmet_needs(study, benchmark, method, name) for name in usable):
        missing = unmet_needs(study, benchmark, method, usable[0])
        yield f"evaluate.{benchmark}.{method}: none of its scores can be computed, {usable[0]} lacks {missing[0]}"


def _outputs(study: Study) -> Iterator[str]:
    for name, paper in study.papers.items():
        for kind in ("tables", "figures"):
            for key, entry in paper[kind].items():
                yield from _entry(study, f"papers/{name}.yaml.{kind}.{key}", entry)
        for key, table in paper["tables"].items():
            yield from _table(study, f"papers/{name}.yaml.tables.{key}", table)
            if output_record(table).get("published_values"):
                yield from library_problems(table.get("published", name))
        yield from figure_problems(study, name, paper)


def _table(study: Study, place: str, table: Mapping[str, Any]) -> Iterator[str]:
    """Own names, order and sets are for kinds that show methods, scores and sets as the entry has them."""
    record = output_record(table)
    if table["benchmark"] in study.evaluate and table["benchmark"] in study.benchmarks:
        yield from name_problems(study, place, table)
    if record.get("compares") and "against" not in table:
        yield f"{place} lacks the key 'against': the recipe that the others are held against"
    fixed = record.get("published_values") or record["needs"] == "dilation"
    ignored = [*(("labels", "order") if fixed else ()), *(() if record.get("column_a_set") else ("sets",))]
    ignored += [] if record.get("compares") else ["against"]
    for key in ignored:
        if key in table:
            yield f"{place} has {key}, which a table of kind {table['kind']} cannot take: leave it out"


def _entry(study: Study, place: str, entry: Mapping[str, Any]) -> Iterator[str]:
    benchmark = entry["benchmark"]
    if benchmark not in study.evaluate:
        yield from unknown(f"{place}.benchmark", benchmark, study.evaluate)
        return
    methods = study.evaluate[benchmark]
    for method in entry.get("methods", []):
        yield from unknown(f"{place}.methods", method, methods)
    if "against" in entry:
        yield from unknown(f"{place}.against", entry["against"], methods)
    for score in entry.get("scores", []):
        yield from unknown(f"{place}.scores", score, {s for scores in methods.values() for s in scores})
    if benchmark in study.benchmarks:
        ood = study.benchmarks[benchmark]["ood"]
        for dataset in entry.get("sets", []):
            yield from unknown(f"{place}.sets", dataset, ood)
        groups = {g for part in ood.values() for g in part["groups"]}
        for group in entry.get("groups", []):
            yield from unknown(f"{place}.groups", group, groups)
        if "group" in entry:
            yield from unknown(f"{place}.group", entry["group"], groups)
        yield from _suits(study, place, entry)


def _suits(study: Study, place: str, entry: Mapping[str, Any]) -> Iterator[str]:
    """The benchmark has the task and the keys that the kind of a table or figure asks for."""
    record, benchmark = output_record(entry), study.benchmarks[entry["benchmark"]]
    tasks = record.get("tasks", [benchmark["task"]])
    if benchmark["task"] not in tasks:
        yield f"{place}.kind {entry['kind']} is for {' and '.join(tasks)}, the benchmark is {benchmark['task']}"
        return
    for key in record.get("benchmark_keys", ()):
        if key not in benchmark:
            yield f"{place} shows what the benchmark {entry['benchmark']} does not name: give it the key {key!r}"
