"""Weights of chosen epochs: kept by a training, evaluated as recipes of their own, drawn against the epochs."""

import copy
import json

import numpy as np
import pytest

from methods.csv_file import read_csv
from methods.errors import ReproError
from methods.features.store import read_features
from methods.networks.weights import load_model
from tests.workflow import PAPER, command, snakemake, write_inputs

RUNS = "results/runs/digits"


def paper(**checkpoint):
    """The micro paper, trained for three epochs and looked at after one and two."""
    found = copy.deepcopy(PAPER)
    plain = found["recipes"]["plain"]
    plain |= {"epochs": 3, "snapshots": [1, 2], "schedule": {"name": "constant"}}
    found["recipes"]["early"] = {"checkpoint": {"recipe": "plain", "epoch": 1, **checkpoint}}
    found["recipes"]["later"] = {"label": "Later", "checkpoint": {"recipe": "plain", "epoch": 2}}
    found["evaluate"]["digits"] = {name: ["msp"] for name in ("plain", "early", "later")}
    found["tables"]["cost"] = {"kind": "cost", "benchmark": "digits", "caption": "Cost"}
    found["tables"]["against"] = {
        "kind": "differences",
        "benchmark": "digits",
        "caption": "Later epochs",
        "methods": ["early", "later"],
        "against": "plain",
        "metrics": ["auroc"],
        "groups": ["near"],
    }
    found["figures"]["epochs"] = {
        "kind": "epoch_curves",
        "benchmark": "digits",
        "caption": "Epochs",
        "methods": ["plain"],
    }
    return found


def test_snapshots_are_evaluated_beside_their_training(tmp_path):
    write_inputs(tmp_path, paper())
    done = snakemake(tmp_path, "tables", "figures")
    assert done.returncode == 0, done.stdout
    assert "take the snapshot early on digits, seed 0 (corrected)" in done.stdout
    early, later, plain = (
        read_features(tmp_path / RUNS / name / "corrected/seed0/eval-corrected/features/digits/test.h5")[0].embedding
        for name in ("early", "later", "plain")
    )
    assert not np.allclose(early, later)
    assert not np.allclose(later, plain)
    whole = tmp_path / RUNS / "plain/corrected/seed0/model.safetensors"
    for name, epoch in (("early", 1), ("later", 2)):
        taken, _ = load_model(tmp_path / RUNS / name / "corrected/seed0/model.safetensors")
        kept, _ = load_model(whole, epoch)
        assert kept.keys() == taken.keys()
        assert all(np.array_equal(kept[part], taken[part]) for part in kept)
    with pytest.raises(ReproError, match="has no snapshot after 3 epochs"):
        load_model(whole, epoch=3)
    rows = {row["method"] for row in read_csv(tmp_path / "results/papers/micro/tables/main.csv")}
    assert rows == {"Plain", "Plain after 1 epoch", "Later"}
    rows = read_csv(tmp_path / "results/papers/micro/tables/against.csv")
    assert [row["ood set"] for row in rows][:3] == ["Digits 1, 7, 9", "Uniform noise", "Average near"]
    assert {row["methods"] for row in rows} == {"Plain after 1 epoch - Plain", "Later - Plain"}
    assert "imported" not in (tmp_path / "results/papers/micro/tables/main.md").read_text()
    assert {row["method"] for row in read_csv(tmp_path / "results/papers/micro/tables/cost.csv")} == {"Plain"}
    record = json.loads((tmp_path / "results/papers/micro/figures/epochs.svg.provenance.json").read_text())
    assert record["settings"]["courses"] == [
        {"method": "plain", "label": "Plain", "points": [[1, "early"], [2, "later"], [3, "plain"]]}
    ]
    check_evidence(tmp_path)
    check_that_the_training_counts(tmp_path)


def check_evidence(folder):
    done = command("workflow_scripts.verification", folder, "verify", "--configfile", "config.yaml")
    assert done.returncode == 0, done.stdout
    model = folder / RUNS / "later/corrected/seed0/model.safetensors"
    content = model.read_bytes()
    source = folder / RUNS / "plain/corrected/seed0/model.safetensors"
    model.write_bytes(source.read_bytes())
    done = command("workflow_scripts.verification", folder, "verify", "--configfile", "config.yaml")
    assert done.returncode == 1
    assert "later/corrected/seed0/model.safetensors" in done.stdout
    model.write_bytes(content)


def check_that_the_training_counts(folder):
    """Another rate of the training is another snapshot of it."""
    changed = paper()
    changed["recipes"]["plain"]["optimiser"]["learning_rate"] = 0.05
    write_inputs(folder, changed)
    done = snakemake(folder, "-n", f"{RUNS}/early/corrected/seed0/model.safetensors")
    assert "train plain on digits, seed 0" in done.stdout
    assert "take the snapshot early on digits, seed 0" in done.stdout


@pytest.mark.parametrize(
    ("checkpoint", "changes", "message"),
    [
        ({"epoch": 3}, {}, "epoch is 3, and plain keeps those after 1, 2: name one of these, or add it to `snapshots`"),
        ({"recipe": "plane"}, {}, "needs the recipe 'plane'"),
        ({"recipe": "early"}, {}, "rests on itself"),
        ({"recipe": "later", "epoch": 2}, {}, "recipes.early.checkpoint.epoch is 2, and later keeps none"),
        ({"file": "theirs.pth"}, {}, "and has file: leave that out, only a label can stand beside"),
        ({}, {"epochs": 4}, "and has epochs: leave that out"),
    ],
)
def test_a_snapshot_that_is_not_well_named_is_refused(checkpoint, changes, message, tmp_path):
    found = paper(**checkpoint)
    found["recipes"]["early"] |= changes
    write_inputs(tmp_path, found)
    done = snakemake(tmp_path, "-n")
    assert done.returncode != 0
    assert message in done.stdout


def test_a_snapshot_needs_its_recipe_evaluated_and_its_epoch_trained(tmp_path):
    found = paper()
    del found["evaluate"]["digits"]["plain"]
    found["recipes"]["one"] = {"label": "One", "extends": "plain", "epochs": 1}
    found["evaluate"]["digits"]["one"] = ["msp"]
    found["figures"] = {}
    write_inputs(tmp_path, found)
    done = snakemake(tmp_path, "-n")
    assert "early is a snapshot of plain, which `evaluate` does not name on digits: add a line for it" in done.stdout
    assert "recipes.one.snapshots names epoch 2 of 1: name epochs that the training has" in done.stdout
