"""Figures through Snakemake: every kind of file that one reads is made and found."""

import copy
import re

import pytest

from tests.workflow import PAPER, snakemake, write_inputs

pytestmark = pytest.mark.workflow

RECIPE = {
    **PAPER["recipes"]["plain"],
    "label": "PALM",
    "objective": {"name": "palm", "prototypes_per_class": 2, "top_k": 1},
    "projector": {"hidden": 8, "dimension": 4},
}
COMMON = {"benchmark": "digits", "caption": "A figure"}
FIGURES = {
    "prototypes": {"kind": "prototype_map", **COMMON, "points": 60},
    "cost": {"kind": "cost_auroc", **COMMON, "scores": ["knn"]},
    "zoom": {"kind": "fpr_tpr_zoom", **COMMON, "scores": ["knn"], "style": {"grey": True}},
    "ranks": {"kind": "critical_difference", **COMMON},
}


def test_figures_read_what_they_need_and_only_a_changed_entry_is_drawn_again(tmp_path):
    paper = copy.deepcopy(PAPER)
    paper["recipes"]["protos"] = {key: value for key, value in RECIPE.items() if key != "head"}
    paper["evaluate"]["digits"]["protos"] = ["knn"]
    paper["figures"] = FIGURES
    write_inputs(tmp_path, paper)
    done = snakemake(tmp_path, "figures")
    assert done.returncode == 0, done.stdout
    drawn = {path.stem for path in (tmp_path / "results/papers/micro/figures").glob("*.pdf")}
    assert drawn == {"prototypes", "cost", "zoom"}  # ranks need three seeds
    record = (tmp_path / "results/papers/micro/figures/prototypes.svg.provenance.json").read_text()
    assert set(re.findall(r'"(protos/\w+)": "[0-9a-f]{64}"', record)) == {"protos/digits", "protos/readout"}
    paper["figures"]["zoom"]["labels"] = {"plain": "Own name"}
    write_inputs(tmp_path, paper)
    plan = snakemake(tmp_path, "figures", "-n").stdout.rpartition("Job stats:")[2]
    assert dict(re.findall(r"^(\w+)\s+(\d+)$", plan, flags=re.M))["make_figure"] == "1"
    assert "make_table" not in plan
    assert "train" not in plan
