"""The study: everything that config and papers ask for, checked and joined, before the first job starts."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from methods.data.catalog import Catalog
from methods.registry import records


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
        weights: pretrained weights by name, with records like those of the catalog.
        papers: name -> paper, in config order.
        benchmarks: name -> benchmark of any paper.
        recipes: (method, benchmark) -> complete recipe.
        scores: instance name -> score with its hyper-parameters.
        evaluate: benchmark -> method -> score instances, joined over papers.
        left_out: (benchmark, method) -> outlier set that cannot be had here.
        left_out_scores: (benchmark, method) -> score instance -> what the run lacks.
        absent: (data set, split) that no address gives and no folder of the user's holds.
        notices: what was left out of the workflow, and why, one sentence each.
    """

    config: dict[str, Any]
    catalog: Catalog
    weights: Catalog = field(default_factory=dict)
    papers: dict[str, dict[str, Any]] = field(default_factory=dict)
    benchmarks: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    scores: dict[str, dict[str, Any]] = field(default_factory=dict)
    evaluate: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    left_out_scores: dict[tuple[str, str], dict[str, str]] = field(default_factory=dict)
    absent: frozenset[tuple[str, str]] = frozenset()
    notices: list[str] = field(default_factory=list)

    def runs(self, benchmark: str, methods: Iterable[str] | None = None) -> list[Run]:
        """Runs of a benchmark: every protocol that a method offers, method and seed, in config and paper order."""
        chosen = list(self.evaluate[benchmark]) if methods is None else list(methods)
        return [
            Run(benchmark, method, protocol, seed)
            for protocol in self.config["protocols"]
            for method in chosen
            for seed in self.seeds(benchmark, method)
            if protocol in self.protocols(benchmark, method)
        ]

    def seeds(self, benchmark: str, method: str) -> list[int]:
        """Seeds of a method's runs: the first alone for an imported checkpoint, which is the same for all."""
        return self.config["seeds"][: 1 if self.imported(method, benchmark) else None]

    def imported(self, method: str, benchmark: str) -> bool:
        """Whether a method is a checkpoint of others; neither trainings nor snapshots of them are."""
        checkpoint = self.recipes[method, benchmark].get("checkpoint")
        return checkpoint is not None and "recipe" not in checkpoint

    def protocols(self, benchmark: str, method: str) -> list[str]:
        """Protocols of the config that the objective of a method offers."""
        offered = records("objectives")[self.recipes[method, benchmark]["objective"]["name"]]["protocols"]
        return [protocol for protocol in self.config["protocols"] if protocol in offered]

    def recipe(self, run: Run) -> dict[str, Any]:
        """The complete recipe of a run."""
        return self.recipes[run.method, run.benchmark]

    def precision(self, method: str, benchmark: str) -> str:
        """Arithmetic of a training: that of the config or, where it says `recipe`, of the recipe."""
        chosen: str = self.config["precision"]
        return self.recipes[method, benchmark].get("precision", "fp32") if chosen == "recipe" else chosen

    def ood_sets(self, benchmark: str) -> dict[str, dict[str, Any]]:
        """OOD sets of a benchmark that can be had here."""
        sets = self.benchmarks[benchmark]["ood"]
        return {name: part for name, part in sets.items() if self.available(name, part["split"])}

    def ood_validation(self, benchmark: str) -> dict[str, dict[str, Any]]:
        """OOD sets that scores are tuned on and that can be had here."""
        sets = self.benchmarks[benchmark]["ood_validation"]
        return {name: part for name, part in sorted(sets.items()) if self.available(name, part["split"])}

    def available(self, dataset: str, split: str) -> bool:
        """Whether a split can be had here: not listed as unavailable, and fetched, found or made somehow."""
        return dataset not in self.config["datasets"]["unavailable"] and (dataset, split) not in self.absent
