"""The study: everything that config and papers ask for, checked and joined, before the first job starts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from methods.data.catalog import Catalog


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
