"""A paper that names a checkpoint of others: everything after training runs on it."""

import copy

import numpy as np
import pytest
import torch

from methods.csv_file import read_csv
from methods.features.store import read_features
from methods.files import sha256_file
from methods.networks.model import build_model
from tests.workflow import PAPER, command, snakemake, write_inputs

RUN = "results/runs/digits/theirs/corrected/seed0"


def paper(checkpoint, **changes):
    """The micro paper with an imported method beside the trained one."""
    found = copy.deepcopy(PAPER)
    recipe = {"label": "Theirs", "objective": {"name": "cross_entropy"}, "head": {"kind": "linear"}}
    found["recipes"]["theirs"] = {**recipe, "checkpoint": checkpoint, **changes}
    found["evaluate"]["digits"]["theirs"] = ["msp", "knn"]
    found["tables"]["cost"] = {"kind": "cost", "benchmark": "digits", "caption": "Cost"}
    return found


@pytest.fixture
def checkpoint(tmp_path):
    """A trained network as another project would have saved it."""
    torch.manual_seed(5)
    network = {"name": "cifar_resnet", "blocks": [1], "widths": [8]}
    model = build_model({"network": network, "classes": 7, "head": {"kind": "linear"}, "projector": None})
    names = {"backbone.stem.0": "conv1", "backbone.stem.1": "bn1", "backbone.stages.0.0": "layer1.0"}
    state = {}
    for name, tensor in model.state_dict().items():
        own = next((name.replace(a, b) for a, b in names.items() if name.startswith(a)), name)
        state[own.replace("head.classifier", "fc")] = tensor
    torch.save({"state_dict": state}, tmp_path / "theirs.pth")
    return tmp_path / "theirs.pth", model.eval()


def test_an_imported_checkpoint_is_evaluated_like_a_trained_model(checkpoint, tmp_path):
    path, model = checkpoint
    write_inputs(tmp_path, paper({"file": "theirs.pth", "sha256": sha256_file(path)}), seeds=[0, 1])
    done = snakemake(tmp_path, "tables", "figures")
    assert done.returncode == 0, done.stdout
    features, _ = read_features(tmp_path / RUN / "eval-corrected/features/digits/test.h5")
    weight = model.head.classifier.weight.detach().numpy()
    np.testing.assert_allclose(
        features.logits, features.embedding @ weight.T + model.head.classifier.bias.detach().numpy(), atol=1e-5
    )
    assert not (tmp_path / RUN.replace("seed0", "seed1")).exists()
    text = (tmp_path / "results/papers/micro/tables/main.md").read_text()
    assert "Theirs is an imported checkpoint: one run, whatever the seeds." in text
    rows = {row["method"] for row in read_csv(tmp_path / "results/papers/micro/tables/main.csv")}
    assert rows == {"Plain", "Theirs"}
    assert {row["method"] for row in read_csv(tmp_path / "results/papers/micro/tables/cost.csv")} == {"Plain"}
    check_without_the_paper(tmp_path)


def check_without_the_paper(folder):
    """Where the config names the paper no more, nobody can say where the checkpoint lies: no fault of the files."""
    write_inputs(folder, PAPER | {"name": "another"}, seeds=[0, 1])
    done = command("workflow_scripts.verification", folder, "verify", "--configfile", "config.yaml")
    assert done.returncode == 0, done.stdout
    assert "files belong to other configs or papers" in done.stdout


def test_another_checkpoint_than_the_paper_says_stops_its_run(checkpoint, tmp_path):
    write_inputs(tmp_path, paper({"file": "theirs.pth", "sha256": "0" * 64}))
    done = snakemake(tmp_path, f"{RUN}/model.safetensors")
    assert done.returncode != 0
    assert f"the paper says {'0' * 64}" in done.stdout
    assert "import theirs on digits, seed 0 (corrected)" in done.stdout
    assert not (tmp_path / RUN / "model.safetensors").exists()


@pytest.mark.parametrize(
    ("checkpoint", "changes", "message"),
    [
        ({}, {}, "names neither file nor url: give one of file and url"),
        ({"url": "https://host/c.pth"}, {}, "url needs a sha256"),
        ({"file": "c.pth"}, {"epochs": 3}, "has a checkpoint and epochs"),
        ({"file": "c.pth", "layout": "theirs"}, {}, "layout"),
        ({"file": "c.pth"}, {"selection": {"rule": "best_validation"}}, "chooses among epochs"),
    ],
)
def test_a_checkpoint_that_is_not_well_named_is_refused(checkpoint, changes, message, tmp_path):
    write_inputs(tmp_path, paper(checkpoint, **changes))
    done = snakemake(tmp_path, "-n")
    assert done.returncode != 0
    assert message in done.stdout


def test_a_checkpoint_with_an_address_is_a_file_to_fetch(tmp_path):
    url = "https://host.invalid/release/ckpt%20500.pth.tar"
    write_inputs(tmp_path, paper({"url": url, "sha256": "ab" * 32}))
    done = snakemake(tmp_path, "-n", f"{RUN}/model.safetensors")
    assert done.returncode == 0, done.stdout
    assert "fetch ckpt_20500.pth.tar (size unknown) of checkpoint_abababababab" in done.stdout
    assert "checkpoint_abababababab: ckpt_20500.pth.tar (size unknown) from host.invalid" in done.stdout
