"""From config and papers to a checked study."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.data.catalog import load_catalogs
from methods.errors import ReproError, refuse
from methods.settings.absence import leave_out_what_is_absent
from methods.settings.checks import study_problems
from methods.settings.imports import add_downloads
from methods.settings.papers import complete_recipe, load_paper, recipe_on, resolve_recipe, used_benchmark
from methods.settings.parts import complete_part
from methods.settings.schema import load_schema, problems, typed, with_defaults
from methods.settings.study import Study
from methods.settings.tuning import CHOICE_KEYS


def load_config(document: Mapping[str, Any]) -> dict[str, Any]:
    """The config with defaults.

    Raises:
        ReproError: lists every violation of the schema.
    """
    schema = load_schema("config")
    config = typed(document, schema)
    if found := problems(config, schema, "config"):
        raise ReproError("\n".join(found))
    return _with_home(with_defaults(config, schema))


def _with_home(config: dict[str, Any]) -> dict[str, Any]:
    """``~`` and ``$NAME`` in folders mean what they mean in a shell."""
    data, results = config["data"], config["results"]
    data["folder"], results["folder"] = _full(data["folder"]), _full(results["folder"])
    data["sources"] = [_full(folder) for folder in data["sources"]]
    missing = [folder for folder in data["sources"] if not Path(folder).is_dir()]
    refuse(
        bool(missing),
        f"config.data.sources names {', '.join(missing)}, where there is no folder: mount or correct it, or take it "
        "out of the list (what was verified there stays prepared).",
    )
    return config


def _full(folder: str) -> str:
    return os.path.expanduser(os.path.expandvars(folder))


def load_study(document: Mapping[str, Any]) -> Study:
    """Config document to a checked study.

    Raises:
        ReproError: one line a problem, all that were found.
    """
    catalog, weights = load_catalogs()
    study = Study(load_config(document), catalog, weights=weights)
    for entry in study.config["papers"]:
        paper = load_paper(entry)
        if paper["name"] in study.papers:
            raise ReproError(f"config.papers lists two papers of the name {paper['name']!r}: rename one of them.")
        study.papers[paper["name"]] = paper
    _join(study)
    if found := study_problems(study):
        raise ReproError("\n".join(found))
    _complete(study)
    add_downloads(study)
    leave_out_what_is_absent(study)
    return study


def _join(study: Study) -> None:
    owners: dict[str, str] = {}
    for paper in study.papers.values():
        for name, benchmark in paper["benchmarks"].items():
            if "use" in benchmark:
                paper["benchmarks"][name] = study.benchmarks.get(name) or used_benchmark(paper, name)
            else:
                _claim(owners, f"benchmark {name}", paper["name"])
        for name, recipe in paper["recipes"].items():
            if "use" not in recipe:
                _claim(owners, f"recipe {name}", paper["name"])
        study.benchmarks |= paper["benchmarks"]
        _join_scores(study, paper)
    for paper in study.papers.values():
        _join_methods(study, paper)


def _claim(owners: dict[str, str], what: str, paper: str) -> None:
    if what.lower() in owners:
        raise ReproError(
            f"The {what} is defined by {owners[what.lower()]} and by {paper}: two runs would write the same files. "
            "Rename one, or take it over with `use:`."
        )
    owners[what.lower()] = paper


def _join_scores(study: Study, paper: Mapping[str, Any]) -> None:
    for name, score in paper["scores"].items():
        if study.scores.setdefault(name, score) != score:
            raise ReproError(
                f"The score instance {name!r} of {paper['name']} is defined otherwise by another paper: rename it."
            )


def _join_methods(study: Study, paper: Mapping[str, Any]) -> None:
    for benchmark, methods in paper["evaluate"].items():
        joined = study.evaluate.setdefault(benchmark, {})
        for method, scores in methods.items():
            joined.setdefault(method, []).extend(s for s in scores if s not in joined.get(method, []))
            if method in paper["recipes"]:
                place = f"papers/{paper['name']}.yaml.recipes.{method}"
                recipe = recipe_on(resolve_recipe(paper, method), benchmark)
                _claim_recipe(study, method, benchmark, complete_recipe(recipe, place))


def _claim_recipe(study: Study, method: str, benchmark: str, recipe: dict[str, Any]) -> None:
    if study.recipes.setdefault((method, benchmark), recipe) != recipe:
        raise ReproError(
            f"The recipe {method} stands on {benchmark} with different values in two papers: their runs would write "
            "the same files. Rename one of them."
        )


def _complete(study: Study) -> None:
    """Fill in the defaults of every part once all parts are known to be valid."""
    for benchmark in study.benchmarks.values():
        benchmark["network"] = complete_part("networks", "name", benchmark["network"])
    for recipe in study.recipes.values():
        recipe["objective"] = complete_part("objectives", "name", recipe["objective"])
    for name, score in study.scores.items():
        study.scores[name] = complete_part("scores", "score", score, *CHOICE_KEYS)
