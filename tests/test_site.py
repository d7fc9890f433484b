"""The site's files without a browser: links, ids, marks, and numbers equal to metrics.csv."""

import json
import math
import re
import statistics
from collections import Counter
from html.parser import HTMLParser
from urllib.parse import urlsplit

import pytest
from h5py import File

from methods.errors import ReproError
from methods.files import sha256_file, whole_folder
from methods.hdf5 import write_provenance
from methods.reporting.site.build import build_site
from methods.reporting.site.files import RunKey, read_record
from methods.reporting.site.leaderboard import make_board, metric_name
from methods.reporting.site.marks import benchmark_title, set_notes
from methods.reporting.site.method_pages import cost_table, duration
from methods.reporting.site.render import flat, library_script, raw_percent
from methods.settings.load import load_study
from methods.settings.outputs import drawable
from methods.settings.site import site_digest, site_runs, site_settings
from tests import site_folder
from tests.site_folder import RUNS, SUBSET, metrics_rows, read, write_site


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


class Page(HTMLParser):
    """Ids, links and text of a page, and tags left open or closed in the wrong order."""

    VOID = ("meta", "link", "img", "br", "input")

    def __init__(self, text):
        super().__init__()
        self.ids, self.links, self.words, self.open, self.wrong, self.tags = [], [], [], [], [], []
        self.feed(text)
        self.wrong += self.open

    def handle_starttag(self, tag, attributes):
        own = dict(attributes)
        self.tags.append((tag, own))
        self.ids += [own["id"]] if "id" in own else []
        self.links += [own[key] for key in ("href", "src") if key in own]
        self.open += [] if tag in self.VOID else [tag]

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.wrong.append(f"/{tag}")

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def pages(site):
    return {path.relative_to(site).as_posix(): Page(path.read_text()) for path in sorted(site.rglob("*.html"))}


def board_of(site):
    text = (site / "assets/leaderboard.js").read_text()
    board = json.loads(text.removeprefix("window.LEADERBOARD=").removesuffix(";\n"))
    return board | {"rows": [row_of(board, *row) for row in board["rows"]]}


def row_of(board, group, score, tuned, target, *cells):
    """A row as the page's script puts it together."""
    common = board["groups"][group]
    return {
        **common,
        "score": score,
        "scoreLabel": board["scores"][score] + ("†" if tuned else ""),
        "target": target,
        "targetLabel": board["targets"][common["benchmark"]][target],
        "record": f"{common['page']}#score-{score}",
        "cells": cells,
    }


def test_every_expected_page_is_there(site):
    found = set(pages(site))
    assert {"index.html", "methods.html", "tables.html", "figures.html", "about.html", "published.html"} <= found
    assert {"methods/plain.html", "methods/adapt.html", "runs/animals/plain/corrected.html"} <= found
    assert {"tables/one/main.html", "tables/one/against.html", "runs/scenes/adapt/corrected.html"} <= found


def test_every_link_leads_to_a_file_of_the_site_and_to_an_id_on_it(site):
    found = pages(site)
    count = 0
    for address, page in found.items():
        for link in page.links:
            parts = urlsplit(link)
            if link == "data:,":
                continue
            assert not parts.scheme, f"{address} links to {link}"
            assert not parts.netloc, f"{address} links to {link}"
            target = (site / address).parent.joinpath(parts.path).resolve() if parts.path else site / address
            assert target.is_file(), f"{address} links to {link}"
            name = target.relative_to(site.resolve()).as_posix() if parts.path else address
            if parts.fragment and "=" not in parts.fragment:
                assert parts.fragment in found[name].ids, f"{address} links to {link}"
            count += 1
    assert count > 100


def test_addresses_of_the_leaderboard_lead_to_a_score_on_a_page(site):
    found = pages(site)
    for row in board_of(site)["rows"]:
        page, _, anchor = row["record"].partition("#")
        assert anchor in found[page].ids
        assert f"methods/{row['method']}.html" in found


def test_nothing_is_loaded_from_elsewhere(site):
    for path in [*site.rglob("*.css"), *site.rglob("*.html")]:
        text = path.read_text()
        assert not re.search(r"@import|url\(\s*['\"]?(https?:)?//", text), path
        assert not re.search(r"<(script|link|img|iframe)[^>]*(https?:)?//", text), path
    own = (site / "assets/site.js").read_text() + (site / "assets/open.js").read_text()
    assert "http" not in own
    assert "fetch(" not in own


def test_ids_are_unique_and_tags_are_closed_in_order(site):
    for address, page in pages(site).items():
        assert not [name for name, count in Counter(page.ids).items() if count > 1], address
        assert not page.wrong, address


def test_pages_name_language_title_and_one_heading_and_every_picture_and_column_has_words(site):
    for address, page in pages(site).items():
        tags = Counter(tag for tag, _ in page.tags)
        assert dict(page.tags)["html"]["lang"] == "en"
        assert (tags["title"], tags["h1"], tags["main"]) == (1, 1, 1), address
        assert all(own.get("alt") for tag, own in page.tags if tag == "img"), address
        viewport = [own["content"] for tag, own in page.tags if own.get("name") == "viewport"]
        assert viewport == ["width=device-width, initial-scale=1"]


def test_text_from_papers_is_escaped(site):
    assert "<h1>Main &lt;table&gt;</h1>" in (site / "tables/one/main.html").read_text()
    assert "Plain <b> on Animals*" in pages(site)["runs/animals/plain/corrected.html"].text


def expected(benchmark, method, score, target, metric, rule):
    level, name = target.split(":")
    rows = [row for run in RUNS if run[:2] == (benchmark, method) for row in metrics_rows(run)]
    key = (score, level, name, metric, rule)
    return [row for row in rows if tuple(row.values())[:5] == key]


def test_all_numbers_of_the_leaderboard_are_means_of_metrics_csv(site):
    board, compared = board_of(site), 0
    names = {metric_name(metric): metric for metric in site_folder.METRICS}
    for row in board["rows"]:
        for (name, *_), (value, text) in zip(board["metrics"], row["cells"], strict=True):
            found = expected(row["benchmark"], row["method"], row["score"], row["target"], *names[name])
            assert len(found) == row["seeds"]
            if found[0]["value"] == "":
                assert (value, text) == (None, found[0]["complete"])
                continue
            values = [part["value"] for part in found]
            assert math.isclose(value, statistics.mean(values), abs_tol=1e-9)
            spread = f" ± {100 * statistics.stdev(values):.2f}" if len(values) > 1 else ""
            assert text == f"{100 * statistics.mean(values):.2f}{spread}"
            compared += 1
    assert compared == 4 * (2 * 3 * 3 + 2)  # metrics x (methods x scores x complete targets, and the other benchmark)


def test_every_value_of_every_seed_stands_on_the_page_of_its_run(site):
    for benchmark, method in (("animals", "plain"), ("animals", "adapt"), ("scenes", "adapt")):
        page = pages(site)[f"runs/{benchmark}/{method}/corrected.html"]
        shown = Counter(own["title"] for tag, own in page.tags if tag == "td" and own.get("title"))
        written = Counter(
            str(row["value"])
            for run in RUNS
            if run[:2] == (benchmark, method)
            for row in metrics_rows(run)
            if row["level"] in ("set", "group") and row["value"] != ""
        )
        assert shown == written


def test_a_row_that_two_papers_evaluate_stands_once(site):
    keys = [(r["benchmark"], r["method"], r["protocol"], r["score"], r["target"]) for r in board_of(site)["rows"]]
    assert len(keys) == len(set(keys))


def test_a_tuned_score_is_marked_and_its_choice_told(site):
    labels = {row["score"]: row["scoreLabel"] for row in board_of(site)["rows"]}
    assert labels["knn_tuned"] == "KNN†"
    assert labels["knn"] == "KNN"
    for address in ("index.html", "methods/adapt.html", "runs/animals/adapt/corrected.html"):
        assert "† KNN, ADAPT: k = 7, chosen by mean AUROC of ID validation against Blends." in pages(site)[address].text


def test_stand_ins_are_marked_wherever_a_number_rests_on_them(site):
    board = board_of(site)
    assert board["benchmarks"] == {"animals": "Animals*", "scenes": "Scenes"}
    marked = {row["target"] for row in board["rows"] if row["targetLabel"].endswith("*")}
    assert marked == {"set:near_set", "group:near"}
    words = "* Near set: subset in the place of whole."
    inside = "* The ID set Inside Animals: substitute in the place of zoo."
    for address in ("index.html", "methods/plain.html", "runs/animals/plain/corrected.html", "about.html"):
        assert words in pages(site)[address].text, address
        assert inside in pages(site)[address].text, address
    for address in ("figures.html", "methods/adapt.html"):
        assert "* The OOD set Near set: subset in the place of whole." in pages(site)[address].text


def test_a_star_on_the_benchmark_comes_from_outliers_too():
    part = {"title": "Few", "inside": {"title": "A", "relation": None}, "outliers": None}
    assert benchmark_title(part) == "Few"
    assert benchmark_title({**part, "outliers": {"title": "B", "relation": SUBSET}}) == "Few*"


def test_a_figure_is_told_of_the_stand_ins_it_shows_and_of_no_others():
    boards = [{"sets": site_folder.SETS["animals"]}]
    assert set_notes(boards, ["far_set"]) == []
    assert len(set_notes(boards, [])) == 1


def test_gaps_say_how_many_sets_are_missing(site):
    rows = [row for row in board_of(site)["rows"] if row["target"] == "group:far" and row["benchmark"] == "animals"]
    assert rows
    assert all(cell == [None, "1 of 2"] for row in rows for cell in row["cells"])


def test_conventions_stand_beside_the_numbers(site):
    for address in ("index.html", "methods/plain.html", "runs/animals/plain/corrected.html"):
        text = pages(site)[address].text
        for words in ("threshold whose TPR is closest to 95 %", "over seeds 0, 1", "Protocol: corrected", "fp32"):
            assert words in text, (address, words)


def test_a_table_keeps_caption_cells_and_notes_of_its_file(site):
    page = pages(site)["tables/one/main.html"]
    assert "Main <table>. Percent over seeds 0, 1." in page.text
    assert "12.50" in page.text
    assert "* Near: subset in the place of whole." in page.text
    assert (site / "tables/one/main.csv").read_text() == "csv\n"


def test_a_table_leads_to_its_runs_and_shows_its_record(site):
    page = pages(site)["tables/one/main.html"]
    assert {"../../runs/animals/plain/corrected.html", "../../runs/animals/adapt/corrected.html"} <= set(page.links)
    assert "b" * 64 in page.text


def test_tables_against_published_values_have_a_page_of_their_own(site, tmp_path):
    assert "published.html" in pages(site)["index.html"].links
    assert "Published & ours. Percent" in pages(site)["published.html"].text
    papers = site_folder.settings()["papers"]
    papers[0]["tables"] = [site_folder.MAIN]
    results = read(tmp_path / "results", {"papers": papers})
    (tmp_path / "site").mkdir()
    build_site(results, "d" * 64, tmp_path / "site")
    assert "published.html" not in pages(tmp_path / "site")["index.html"].links
    assert not (tmp_path / "site/published.html").exists()


def test_a_method_shows_recipe_cost_figures_and_tables(site):
    page = pages(site)["methods/adapt.html"]
    for words in ("optimiser.learning_rate 0.1", "switches.drop_last false", "1.1 h", "1,234"):
        assert words in page.text
    assert "../figures/one/curves.svg" in page.links
    assert "../tables/one/main.html" in page.links
    assert "../figures/one/curves.svg" not in pages(site)["methods/plain.html"].links


def test_an_imported_method_has_no_cost(tmp_path):
    recipes = [{**part, "imported": True} for part in site_folder.settings()["recipes"]]
    results = read(tmp_path / "results", {"recipes": recipes})
    (tmp_path / "site").mkdir()
    build_site(results, "d" * 64, tmp_path / "site")
    text = pages(tmp_path / "site")["methods/plain.html"].text
    assert "nothing was trained here" in text
    assert "1.1 h" not in text


def test_a_run_tells_seed_digest_settings_and_parents(site):
    page = pages(site)["runs/animals/adapt/corrected.html"]
    assert {"seed0", "seed1", "score-msp"} <= set(page.ids)
    assert "a" * 64 in page.text
    records = json.loads((site / "runs/animals/adapt/corrected/seed1.json").read_text())
    (record,) = records.values()
    assert record["seed"] == 1
    assert record["parents"] == {"id_scores": sha256_file(site_folder.__file__)}


def test_records_are_followed_back_as_far_as_files_lie_there(tmp_path):
    results = read(tmp_path)
    run = RunKey(*RUNS[0])
    image = tmp_path / "images/inside/test@8px-native.h5"
    image.parent.mkdir(parents=True)
    with File(image, "w") as file:
        write_provenance(file, {"kind": "images", "parents": {"archive": "e" * 64}})
    found = list(results.files.behind(run, [("inside", "test")], "8px-native"))
    assert [record["kind"] for _, record in found] == ["metrics", "images"]


def test_a_damaged_file_has_no_record_and_stops_no_page(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"nothing")
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    (tmp_path / "a.csv.provenance.json").write_text("{")
    assert [read_record(tmp_path / name) for name in ("a.h5", "a.safetensors", "a.csv", "b.h5")] == [None] * 4


@pytest.mark.parametrize("name", ["runs/animals/plain/corrected/0/metrics.csv", "one/main.csv", "one/curves.svg"])
def test_a_file_that_was_changed_after_it_was_made_is_refused(tmp_path, name):
    files = site_folder.write_results(tmp_path)
    with open(tmp_path / name, "a") as file:
        file.write("\n")
    with pytest.raises(ReproError, match="was changed after it was made"):
        site_folder.read_results(site_folder.settings(), files)


def test_a_page_without_a_table_is_named(tmp_path):
    files = site_folder.write_results(tmp_path)
    (tmp_path / "one/main.html").write_text("<html><body></body></html>")
    with pytest.raises(ReproError, match=r"one/main.html holds no table"):
        site_folder.read_results(site_folder.settings(), files)


def test_two_builds_give_the_same_bytes(tmp_path):
    results, folders = read(tmp_path / "results"), (tmp_path / "first", tmp_path / "second")
    for folder in folders:
        folder.mkdir()
        build_site(results, "d" * 64, folder)
    first, second = ({p.relative_to(f): p.read_bytes() for p in f.rglob("*") if p.is_file()} for f in folders)
    assert len(first) > 20
    assert first == second


def test_the_record_of_the_site_names_its_sources(site):
    record = json.loads((site / "provenance.json").read_text())
    assert record["kind"] == "site"
    assert record["source_digest"] == "d" * 64
    assert {"animals/plain/corrected/0", "tables/one/main.html", "figures/one/curves"} <= set(record["parents"])


def test_the_folder_is_whole_or_as_before(tmp_path):
    target = tmp_path / "site"
    target.mkdir()
    (target / "old").write_text("old")

    def build(then):
        with whole_folder(target) as folder:
            (folder / "new").write_text("new")
            then()

    with pytest.raises(ZeroDivisionError):
        build(lambda: 1 / 0)
    assert [path.name for path in tmp_path.rglob("*")] == ["site", "old"]
    build(lambda: None)
    assert [path.name for path in tmp_path.rglob("*")] == ["site", "new"]


def test_the_table_library_is_a_plain_script():
    text = library_script()
    assert "window.DataTable=" in text
    assert not re.search(r"\bexport\s*\{", text)
    assert "SpryMedia" in text  # its licence notices stay


def test_cost_is_told_in_fitting_units():
    assert [duration(seconds) for seconds in (5, 90, 7200)] == ["5.0 s", "1.5 min", "2.0 h"]
    found = cost_table({1: [{"seconds": "30", "torch": "2.1"}], 0: [{"seconds": "3600", "torch": "2.1"}]})
    assert found == {"heads": ["Training", "Torch"], "rows": [(0, ["1.0 h", "2.1"]), (1, ["30.0 s", "2.1"])]}


def test_settings_are_told_leaf_by_leaf():
    assert flat({"b": {"c": [1, 2], "a": None}, "a": "x", "d": {}}) == [
        ("a", "x"),
        ("b.a", "null"),
        ("b.c", "[1, 2]"),
        ("d", "{}"),
    ]


def test_text_that_is_no_number_stays():
    assert [raw_percent(text) for text in ("0.12345", "", "1 of 2")] == ["12.35", "", "1 of 2"]


def test_a_metric_that_a_run_lacks_has_no_value():
    runs = {RunKey(*run): [{k: str(v) for k, v in row.items()} for row in metrics_rows(run)] for run in RUNS}
    runs[RunKey(*RUNS[0])] = [row for row in runs[RunKey(*RUNS[0])] if row["rule"] != "at_least"]
    board = make_board(site_folder.settings()["boards"], runs)
    plain = [row for row in board.rows if row.key[1] == "plain"]
    assert {row.cells["fpr95", "at_least"] for row in plain} == {"n/a"}


def test_settings_of_the_site_cover_every_run_table_and_figure_of_the_papers():
    study = load_study({"papers": ["demo"]})
    settings = site_settings(study)
    assert settings["runs"] == [[r.benchmark, r.method, r.protocol, r.seed] for r in site_runs(study)]
    (paper,) = settings["papers"]
    assert {entry["name"] for entry in paper["tables"]} == set(study.papers["demo"]["tables"])
    assert {entry["name"] for entry in paper["figures"]} == {
        name for name, entry in study.papers["demo"]["figures"].items() if drawable(study, "demo", entry)
    }
    assert {(part["method"], part["benchmark"]) for part in settings["recipes"]} == set(study.recipes)
    assert ["digits", "train"] in settings["benchmarks"]["digits"]["parts"]
    assert settings["methods"]["adapt"]["label"] == "ADAPT"
    recipe = next(part for part in settings["recipes"] if part["method"] == "adapt")
    assert recipe["settings"]["switches"]["lr_timing"] == "before_step"
    assert "seed" not in recipe["settings"]


def test_the_digest_of_the_site_counts_templates(monkeypatch, tmp_path):
    from methods.settings import site as settings

    for folder in ("templates", "static"):
        (tmp_path / folder).mkdir()
    monkeypatch.setattr(settings, "PACKAGE", tmp_path)
    before = site_digest()
    (tmp_path / "templates/page.html").write_text("new")
    assert site_digest() != before
