"""The tutorials about running papers, carried out block by block."""

import json
import re

import pytest
import yaml

from tests import tutorials

pytestmark = pytest.mark.workflow


def test_the_first_tutorial_reproduces_a_paper(tmp_path_factory):
    root = tutorials.finished_project(tmp_path_factory)
    for name in ("papers/first/report.html", "site/index.html"):
        assert (root / "results" / name).exists()
    assert json.loads((root / "results/verify.json").read_text())["state"] == "ok"
    assert [path.name for path in (root / "results/runs").iterdir()] == ["digits8"]  # ADAPT was only planned


def jobs_run(root):
    """Rule -> how many jobs of it were run since the page took `.snakemake` away, as Snakemake's own logs tell."""
    text = "".join(path.read_text() for path in (root / ".snakemake/log").iterdir())
    stats = text.partition("Job stats:")[2].partition("total ")[0]
    return {rule: int(count) for rule, count in re.findall(r"^(\w+) +(\d+)$", stats, re.MULTILINE)}


def test_a_part_runs_again_and_no_more_than_that(tmp_path_factory, tmp_path):
    root = tutorials.go_on("partial-rerun", tmp_path_factory, tmp_path)
    assert jobs_run(root) == {
        "prepare_images": 1,
        "extract_features": 2,
        "score": 2,
        "evaluate": 2,
        "make_figure": 1,
        "make_table": 1,
        "make_report": 1,
        "first": 1,
    }
    accepted = yaml.safe_load((root / "resources/equivalent_code.yaml").read_text())
    assert [entry["concerns"] for entry in accepted] == ["model of digits8/contrastive (1 file)"]
    assert (root / "results/papers/first/figures/roc.pdf").exists()
    assert [path.name for path in (root / "results/runs/digits8/contrastive").iterdir()] == ["corrected"]


def test_jobs_queue_for_several_gpus_and_a_training_takes_two(tmp_path_factory, tmp_path, monkeypatch):
    monkeypatch.setenv("OOD_REPRO_GPU_SLOTS", str(tmp_path / "slots"))  # no other test's jobs hold these devices
    root = tutorials.go_on("several-gpus", tmp_path_factory, tmp_path)
    extractions = (root / "logs/extract_features").rglob("*.log")
    devices = [found for log in extractions for found in re.findall(r"computes on GPU (\S+)", log.read_text())]
    assert sorted(devices) == ["2", "3"]
    costs = (root / "results/runs/digits8/plain/corrected/seed1/cost.csv").read_text().splitlines()
    assert dict(zip(*(line.split(",") for line in costs), strict=True))["devices"] == "2"
