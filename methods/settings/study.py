"""The study: everything that config and papers ask for, checked and joined, before the first job starts."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from methods.data.catalog import Catalog, load_catalog
from methods.errors import ReproError
from methods.settings.papers import complete_recipe, load_paper, recipe_on, resolve_recipe
from methods.settings.parts import complete_part
from methods.settings.schema import load_schema, problems, with_defaults


@dataclass(frozen=True, order=True)
class Run:
    """One training: what a model file is made from."""

    benchmark: str
    method: str
    protocol: str
    seed: int


@dataclass
class Study:
    """Config, catalog and papers joined.

    Attributes:
        papers: name -> paper, in config order.
        benchmarks: name -> benchmark of any paper.
        recipes: (method, benchmark) -> complete recipe.
        scores: instance name -> score with its hyper-parameters.
        evaluate: benchmark -> method -> score instances, joined over papers.
    """

    config: dict[str, Any]
    catalog: Catalog
    papers: dict[str, dict[str, Any]] = field(default_factory=dict)
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    evaluate: dict[str, dict[str, list[str]]] = field(default_factory=dict)

    def runs(self, benchmark: str, methods: Iterable[str] | None = None) -> list[Run]:
        """Runs of a benchmark: every protocol, method and seed, in config and paper order."""
        chosen = list(self.evaluate[benchmark]) if methods is None else list(methods)
        return [
            Run(benchmark, method, protocol, seed)
            for protocol in self.config["protocols"]
            for method in chosen
            for seed in self.config["seeds"]
        ]

    def recipe(self, run: Run) -> dict[str, Any]:
        """The complete recipe of a run."""
        return self.recipes[run.method, run.benchmark]

    def ood_sets(self, benchmark: str) -> dict[str, dict[str, Any]]:
        """OOD sets of a benchmark that can be had here."""
        gone = self.config["datasets"]["unavailable"]
        return {name: part for name, part in self.benchmarks[benchmark]["ood"].items() if name not in gone}


def load_config(document: Mapping[str, Any]) -> dict[str, Any]:
    """The config with defaults.

    Raises:
        ReproError: lists every violation of the schema.
    """
    schema = load_schema("config")
    if found := problems(dict(document), schema, "config"):
        raise ReproError("\n".join(found))
    return with_defaults(dict(document), schema)


def load_study(document: Mapping[str, Any]) -> Study:
    """Config document to a checked study.

    Raises:
        ReproError: one line a problem, all that were found.
    """
    from methods.settings.checks import study_problems

    study = Study(load_config(document), load_catalog())
    for entry in study.config["papers"]:
        paper = load_paper(entry)
        if paper["name"] in study.papers:
            raise ReproError(f"config.papers lists two papers of the name {paper['name']!r}: rename one of them.")
        study.papers[paper["name"]] = paper
    _join(study)
    if found := study_problems(study):
        raise ReproError("\n".join(found))
    _complete(study)
    return study


def _join(study: Study) -> None:
    owners: dict[str, str] = {}
    for paper in study.papers.values():
        for name in paper["benchmarks"]:
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
            raise ReproError(f"The score instance {name!r} of {paper['name']} is defined otherwise by another paper: rename it.")


def _join_methods(study: Study, paper: Mapping[str, Any]) -> None:
    for benchmark, methods in paper["evaluate"].items():
        joined = study.evaluate.setdefault(benchmark, {})
        for method, scores in methods.items():
            joined.setdefault(method, []).extend(s for s in scores if s not in joined.get(method, []))
            if method in paper["recipes"]:
                place = f"papers/{paper['name']}.yaml.recipes.{method}"
                recipe = recipe_on(resolve_recipe(paper, method), benchmark)
                study.recipes[method, benchmark] = complete_recipe(recipe, place)


def _complete(study: Study) -> None:
    """Fill in the defaults of every part once all parts are known to be valid."""
    for benchmark in study.benchmarks.values():
        benchmark["network"] = complete_part("networks", "name", benchmark["network"])
    for recipe in study.recipes.values():
        recipe["objective"] = complete_part("objectives", "name", recipe["objective"])
    for name, score in study.scores.items():
        study.scores[name] = complete_part("scores", "score", score, "label")
