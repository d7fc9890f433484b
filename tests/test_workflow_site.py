"""The site as a target of the workflow: built from results, again only when something that it shows changed."""

import json
import re
import shutil

import pytest

from tests.workflow import PAPER, snakemake, write_inputs

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def finished(micro_run, tmp_path_factory):
    folder = shutil.copytree(micro_run, tmp_path_factory.mktemp("workflow-site") / "finished")
    done = snakemake(folder, "site")
    assert done.returncode == 0, done.stdout
    return folder


def test_the_target_builds_pages_of_everything_in_the_paper(finished):
    site = finished / "results/site"
    for name in ("index.html", "methods/plain.html", "tables/micro/main.html", "figures/micro/curves.svg"):
        assert (site / name).is_file(), name
    data = (site / "assets/leaderboard.js").read_text()
    assert '"knn",0,"set:uniform_noise"' in data
    assert not list(finished.glob("results/.site*"))


def test_records_go_back_from_metrics_to_images(finished):
    records = json.loads((finished / "results/site/runs/digits/plain/corrected/seed0.json").read_text())
    kinds = [record["kind"] for record in records.values()]
    assert {"metrics", "scores", "detectors", "readout", "features", "model", "images"} == set(kinds)
    model = next(record for record in records.values() if record["kind"] == "model")
    assert model["settings"]["epochs"] == 1
    images = [record for record in records.values() if record["kind"] == "images"]
    assert any("digits.csv.gz" in record["parents"] for record in images)


def test_a_second_call_does_nothing_and_a_second_build_gives_the_same_bytes(finished):
    assert "Nothing to be done" in snakemake(finished, "site").stdout
    site, before = finished / "results/site", finished / "before"
    shutil.copytree(site, before)
    assert snakemake(finished, "site", "--forcerun", "make_site").returncode == 0
    names = sorted(path.relative_to(site) for path in site.rglob("*") if path.is_file())
    assert names == sorted(path.relative_to(before) for path in before.rglob("*") if path.is_file())
    assert not [name for name in names if (site / name).read_bytes() != (before / name).read_bytes()]


def test_a_changed_title_builds_the_site_alone(finished):
    write_inputs(finished, {**PAPER, "title": "Another title"})
    try:
        text = snakemake(finished, "site", "--dry-run").stdout.rpartition("Job stats:")[2]
        jobs = dict(re.findall(r"^(\w+) +(\d+)$", text, re.M))
        assert jobs == {"make_site": "1", "site": "1", "total": "2"}, text
    finally:
        write_inputs(finished)


def test_the_report_is_one_page_with_captions_labels_and_the_record_of_every_run(finished):
    assert snakemake(finished, "report").returncode == 0
    text = (finished / "results/papers/micro/report.html").read_text()
    for category in ("Tables", "Figures", "Environment", "Provenance"):
        assert f'"{category}"' in text
    metrics = "results/runs/digits/plain/corrected/seed0/eval-corrected/metrics.csv.provenance.json"
    for name in (metrics, "results/papers/micro/tables/main.html", "results/papers/micro/figures/curves.svg"):
        assert name in text
    assert "Hashes of the runs it was made from" in text
    assert json.loads((finished / metrics).read_text())["source_digest"] in text
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?(https?:)?//", text)
