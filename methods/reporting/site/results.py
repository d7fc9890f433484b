"""All that was read for the site, ready for its pages."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from methods.csv_file import read_csv
from methods.reporting.site.files import Files, RunKey, checked_record
from methods.reporting.site.leaderboard import Board, make_board
from methods.reporting.site.marks import benchmark_title, set_notes
from methods.reporting.site.tables import PUBLISHED, ShownTable, read_table
from methods.reporting.tables.parts import Rows


@dataclass(frozen=True)
class ShownFigure:
    """A figure of a paper: its entry with the caption, the record of its origin, notes on stand-ins it shows."""

    paper: str
    entry: Mapping[str, Any]
    record: Mapping[str, Any]
    notes: list[str]

    @property
    def address(self) -> str:
        """Address of the picture from the site's root, without its ending."""
        return f"figures/{self.paper}/{self.entry['name']}"

    @property
    def anchor(self) -> str:
        """Its id on the page of figures."""
        return f"{self.paper}-{self.entry['name']}"

    @property
    def methods(self) -> set[str]:
        """Recipes whose files it reads."""
        return {source["method"] for source in self.record["settings"].get("sources", [])}


@dataclass(frozen=True)
class Results:
    """Settings of the site and what the files hold."""

    settings: Mapping[str, Any]
    files: Files
    metrics: Mapping[RunKey, Rows]
    costs: Mapping[RunKey, Rows]
    tables: list[ShownTable]
    figures: list[ShownFigure]

    @property
    def runs(self) -> list[RunKey]:
        """All runs, in the order of config and papers."""
        return list(self.metrics)

    @cached_property
    def board(self) -> Board:
        """Rows of the leaderboard."""
        return make_board(self.settings["boards"], self.metrics)

    @property
    def benchmarks(self) -> dict[str, Mapping[str, Any]]:
        """What is said of each benchmark, in the order of config and papers."""
        return {run.benchmark: self.settings["benchmarks"][run.benchmark] for run in self.metrics}

    @property
    def methods(self) -> list[str]:
        """Recipes in the same order."""
        return list(dict.fromkeys(run.method for run in self.metrics))

    @property
    def scores(self) -> list[Mapping[str, Any]]:
        """What is said of each score, in the order of papers."""
        names = dict.fromkeys(name for board in self.settings["boards"] for name, _ in board["scores"])
        return [self.settings["scores"][name] for name in names]

    @property
    def published(self) -> list[ShownTable]:
        """Tables that hold results against published values."""
        return [table for table in self.tables if table.entry["kind"] == PUBLISHED]

    @property
    def titles(self) -> dict[str, str]:
        """Benchmark -> title with its mark."""
        return {name: benchmark_title(part) for name, part in self.benchmarks.items()}

    def boards(self, benchmark: str) -> list[Mapping[str, Any]]:
        """Settings of all papers' boards on one benchmark."""
        return [settings for settings in self.settings["boards"] if settings["benchmark"] == benchmark]

    def label(self, benchmark: str, method: str) -> str:
        """How a method is called on a benchmark."""
        labels = {name: label for settings in self.boards(benchmark) for name, label in settings["methods"]}
        return labels.get(method, self.settings["methods"].get(method, {}).get("label", method))

    def sources(self) -> dict[str, Path]:
        """Role -> file of everything whose content the pages show, but costs, which differ between equal runs."""
        found = {"/".join(map(str, (*run.group, run.seed))): self.files.of_run("metrics", run) for run in self.runs}
        found |= {t.page: self.files.of_paper("table", t.paper, t.name, "csv") for t in self.tables}
        return found | {f.address: self.files.of_paper("figure", f.paper, f.entry["name"], "svg") for f in self.figures}


def read_results(settings: Mapping[str, Any], files: Files) -> Results:
    """Read everything; what has a record beside it must be as it was made.

    Raises:
        ReproError: a file was changed after it was made, or has no record.
    """
    runs = [RunKey(*run) for run in settings["runs"]]
    metrics = {}
    for run in runs:
        path = files.of_run("metrics", run)
        checked_record(path)
        metrics[run] = read_csv(path)
    costs = {run: read_csv(files.of_run("cost", run)) for run in runs}
    tables = [read_table(files, paper["name"], entry) for paper in settings["papers"] for entry in paper["tables"]]
    return Results(settings, files, metrics, costs, tables, list(_figures(settings, files)))


def _figures(settings: Mapping[str, Any], files: Files) -> Iterable[ShownFigure]:
    for paper in settings["papers"]:
        for entry in paper["figures"]:
            record = checked_record(files.of_paper("figure", paper["name"], entry["name"], "svg"))
            boards = [board for board in settings["boards"] if board["benchmark"] == entry["benchmark"]]
            sources = record["settings"].get("sources", [])
            notes = set_notes(boards, (part["dataset"] for part in sources if "dataset" in part))
            shows_sets = any(part.get("needs") != "history" for part in sources)
            yield ShownFigure(paper["name"], entry, record, notes if shows_sets else [])
