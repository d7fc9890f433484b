"""The whole site, written into a folder."""

import json
import shutil
from pathlib import Path

from jinja2 import Environment

from methods import provenance
from methods.reporting.site.leaderboard import board_data, metric_name, run_page
from methods.reporting.site.marks import benchmark_notes, conventions
from methods.reporting.site.method_pages import method_page
from methods.reporting.site.render import HERE, environment, library_file, library_script, write_page
from methods.reporting.site.results import Results
from methods.reporting.site.run_pages import records_json, records_of, records_page, run_context
from methods.reporting.site.tables import FORMS

_ALWAYS = {
    "index.html": "Leaderboard",
    "methods.html": "Methods",
    "tables.html": "Tables",
    "figures.html": "Figures",
    "about.html": "How to read it",
}


def build_site(results: Results, digest: str, folder: Path) -> None:
    """Write every page, picture and script; two calls on the same results write the same bytes.

    Args:
        results: what the pages show.
        digest: of the code and templates of the site, for its record.
        folder: an empty folder.
    """
    made = environment(_navigation(results))
    _write_assets(folder)
    _write_leaderboard(made, results, folder)
    _write_methods(made, results, folder)
    _write_tables(made, results, folder)
    _write_figures(made, results, folder)
    _write_runs(made, results, folder)
    _write_about(made, results, folder)
    record = provenance.record("site", results.settings, digest, results.sources())
    _write_json(folder / "provenance.json", record)


def _navigation(results: Results) -> dict[str, str]:
    """Address -> title of the pages that every page links to."""
    pages = dict(_ALWAYS)
    about = pages.pop("about.html")
    if results.published:
        pages["published.html"] = "Published against ours"
    return {**pages, "about.html": about}


def _write_assets(folder: Path) -> None:
    assets = folder / "assets"
    shutil.copytree(HERE / "static", assets)
    (assets / "datatables.js").write_text(library_script(), encoding="utf-8")
    (assets / "datatables.css").write_text(library_file("dt_bundle.css"), encoding="utf-8")


def _write_leaderboard(made: Environment, results: Results, folder: Path) -> None:
    data = board_data(results.board, results.titles)
    text = json.dumps(data, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    (folder / "assets" / "leaderboard.js").write_text(f"window.LEADERBOARD={text};\n", encoding="utf-8")
    metrics = [metric_name(metric) for metric in results.board.metrics]
    write_page(made, folder, "index.html", "leaderboard.html", metrics=metrics, sections=_sections(results))


def _sections(results: Results) -> list[dict]:
    """Notes and conventions of every benchmark."""
    found = []
    for name, benchmark in results.benchmarks.items():
        boards = results.boards(name)
        tuned = [note for group, notes in results.board.notes.items() if group[0] == name for note in notes]
        notes = [*benchmark_notes(benchmark, boards), *tuned]
        found.append({"name": name, "title": results.titles[name], "notes": notes, "conventions": conventions(boards)})
    return found


def _write_methods(made: Environment, results: Results, folder: Path) -> None:
    pages = [method_page(results, name) for name in results.methods]
    write_page(made, folder, "methods.html", "methods.html", methods=pages)
    for page in pages:
        write_page(made, folder, f"methods/{page['name']}.html", "method.html", method=page)


def _write_tables(made: Environment, results: Results, folder: Path) -> None:
    papers = results.settings["papers"]
    grouped = [(paper, [t for t in results.tables if t.paper == paper["name"]]) for paper in papers]
    write_page(made, folder, "tables.html", "tables.html", papers=grouped)
    for table in results.tables:
        benchmark = table.entry["benchmark"]
        runs = {(method, protocol): None for method, protocol, _ in table.runs}
        links = [(run_page((benchmark, *run)), f"{results.label(benchmark, run[0])} ({run[1]})") for run in runs]
        known = {run.group for run in results.runs}
        links = [link for link, run in zip(links, runs, strict=True) if (benchmark, *run) in known]
        write_page(made, folder, table.page, "table.html", table=table, links=links, forms=FORMS)
        for form in FORMS:
            path = results.files.of_paper("table", table.paper, table.name, form)
            shutil.copyfile(path, (folder / table.page).with_suffix(f".{form}"))
    if results.published:
        write_page(made, folder, "published.html", "published.html", tables=results.published)


def _write_figures(made: Environment, results: Results, folder: Path) -> None:
    papers = results.settings["papers"]
    grouped = [(paper, [f for f in results.figures if f.paper == paper["name"]]) for paper in papers]
    write_page(made, folder, "figures.html", "figures.html", papers=grouped)
    for figure in results.figures:
        target = folder / figure.address
        target.parent.mkdir(parents=True, exist_ok=True)
        for form in ("svg", "pdf"):
            path = results.files.of_paper("figure", figure.paper, figure.entry["name"], form)
            shutil.copyfile(path, target.with_suffix(f".{form}"))


def _write_runs(made: Environment, results: Results, folder: Path) -> None:
    for group in dict.fromkeys(run.group for run in results.runs):
        write_page(made, folder, run_page(group), "run.html", run=run_context(results, group))
    for run in results.runs:
        path = folder / records_page(run)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(records_json(records_of(results, run)), encoding="utf-8")


def _write_about(made: Environment, results: Results, folder: Path) -> None:
    write_page(made, folder, "about.html", "about.html", sections=_sections(results), scores=results.scores)


def _write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")
