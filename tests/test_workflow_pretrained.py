"""Pretrained weights through Snakemake: found in a folder, verified, started from, recorded, and needed once."""

import copy
import re
import shutil

import pytest
import torch
import yaml
from safetensors.torch import load_file

from methods.files import sha256_file
from methods.networks.weights import load_model
from tests.backbones import published, theirs
from tests.workflow import PAPER, copy_project, snakemake, write_inputs

pytestmark = pytest.mark.workflow

FILE = "resnet18-f37072fd.pth"
ARCHIVE = f"data/archives/resnet18_imagenet/{FILE}"
RUN = "results/runs/digit_mosaics/bce/corrected/seed0"
MODEL = f"{RUN}/model.safetensors"
FEATURES = f"{RUN}/eval-corrected/features/digit_mosaics/test.h5"
BENCHMARK = {
    "title": "Digit mosaics",
    "task": "multi_label",
    "in_distribution": {"dataset": "digit_mosaics"},
    "render": {"size": 16, "resize": "native"},
    "normalisation": {"mean": [0.3, 0.3, 0.3], "std": [0.4, 0.4, 0.4]},
    "network": {"name": "resnet", "depth": 18},
    "ood": {"held_out_mosaics": {"groups": ["near"]}},
}


def paper():
    """BCE on digit mosaics with ResNet-18, at a rate so small that no weight moves."""
    recipe = {**copy.deepcopy(PAPER["recipes"]["plain"]), "objective": {"name": "bce"}}
    recipe |= {"head": {"kind": "two_layer", "hidden": 16}, "optimiser": {"name": "sgd", "learning_rate": 1e-30}}
    table = {"kind": "main", "benchmark": "digit_mosaics", "caption": "Micro", "groups": ["near"]}
    return {
        "name": "micro",
        "title": "Micro",
        "benchmarks": {"digit_mosaics": BENCHMARK},
        "recipes": {"bce": {**recipe, "batch": 128}},
        "scores": {"joint_energy": {"score": "joint_energy"}},
        "evaluate": {"digit_mosaics": {"bce": ["joint_energy"]}},
        "tables": {"main": table},
    }


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A folder of the user's that holds a file as torchvision publishes it, with random weights."""
    folder = tmp_path_factory.mktemp("checkpoints")
    published(theirs("resnet18"), folder / FILE)
    return folder


@pytest.fixture(scope="module")
def project(weights, tmp_path_factory):
    """A copy of the project whose catalog expects that file."""
    root = copy_project(tmp_path_factory.mktemp("copy") / "project")
    catalog = root / "resources/datasets.yaml"
    document = yaml.safe_load(catalog.read_text())
    (file,) = document["weights"]["resnet18_imagenet"]["files"]
    file |= {"sha256_prefix": sha256_file(weights / FILE)[:8], "urls": [f"https://host.invalid/{FILE}"]}
    catalog.write_text(yaml.safe_dump(document, sort_keys=False))
    return root


@pytest.fixture(scope="module")
def finished(project, weights, tmp_path_factory):
    """A folder in which a network was trained, offline."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder, paper(), offline=True, data={"sources": [str(weights)]})
    done = snakemake(folder, MODEL, root=project)
    assert done.returncode == 0, done.stdout
    return folder


def test_a_training_starts_from_the_file_and_records_it(finished, weights):
    theirs_ = torch.load(weights / FILE, weights_only=True)
    ours, (_, origin) = load_file(finished / MODEL), load_model(finished / MODEL)
    learnt = [name for name in theirs_ if not name.startswith("fc.") and "running" not in name]
    assert len(learnt) == 60  # 20 convolutions, 20 batch norms of two each
    for name in learnt:  # biases of zero moved by about 1e-30
        torch.testing.assert_close(ours[f"backbone.{name}"], theirs_[name], rtol=0, atol=1e-20)
    assert not torch.equal(ours["backbone.bn1.running_mean"], theirs_["bn1.running_mean"])  # it was trained
    assert not [name for name in ours if "fc" in name]
    assert origin["parents"]["pretrained"] == sha256_file(weights / FILE)
    assert "pretrained" not in str(origin["settings"]["architecture"])
    assert str(weights) not in str(origin)


def test_what_follows_needs_the_model_alone(finished, project, tmp_path):
    """Features are to be made without the fetched copy: it is not brought again, and nothing is trained again."""
    folder = shutil.copytree(finished, tmp_path / "copy")
    (folder / ARCHIVE).unlink()
    done = snakemake(folder, FEATURES, "-n", root=project)
    assert done.returncode == 0, done.stdout
    assert set(re.findall(r"^(\w+) +1$", done.stdout, re.MULTILINE)) == {"extract_features", "prepare_images"}


def test_a_wrong_file_is_refused_with_a_sentence(project, weights, tmp_path):
    (tmp_path / "mine").mkdir()
    content = bytearray((weights / FILE).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "mine" / FILE).write_bytes(content)
    write_inputs(tmp_path, paper(), offline=True, data={"sources": ["mine"]})
    done = snakemake(tmp_path, ARCHIVE, root=project)
    assert done.returncode != 0
    expected = sha256_file(weights / FILE)[:8]
    assert f"the catalog expects one that begins with {expected}: it is not used" in " ".join(done.stdout.split())
    assert not (tmp_path / ARCHIVE).exists()


def test_the_download_is_announced(project, tmp_path):
    write_inputs(tmp_path, paper())
    done = snakemake(tmp_path, "datasets", "-n", root=project)
    assert done.returncode == 0, done.stdout
    assert f"resnet18_imagenet: {FILE} (about 46.8 MB) from host.invalid" in done.stdout
    assert f"fetch {FILE} (about 46.8 MB) of resnet18_imagenet" in done.stdout


def test_what_lies_in_a_folder_is_not_announced_as_a_download(project, weights, tmp_path):
    write_inputs(tmp_path, paper(), data={"sources": [str(weights)]})
    done = snakemake(tmp_path, "datasets", "-n", root=project)
    assert "to download" not in done.stdout
    assert f"fetch {FILE}" in done.stdout  # which copies it
