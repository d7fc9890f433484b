"""Several processes with a share of every batch each, against one with all of it: CPU, gloo, float64."""

import json
import subprocess
import sys
import time

import pytest
import torch

from methods.data.image_writer import write_images
from methods.data.images import read_images
from methods.errors import ReproError
from methods.networks.model import Outputs
from methods.training import processes
from methods.training.checkpoint import load_checkpoint
from methods.training.distributed import Group
from methods.training.fit import Result
from methods.training.processes import fit_on_devices
from methods.training.switches import resolve_switches
from tests import test_training as toy
from tests.backbones import published, theirs

FLOAT64 = [sys.executable, "-m", "tests.float64_process"]
PROJECTED = {
    "cider": {"prototype_momentum": 0.5},
    "palm": {"prototypes_per_class": 2, "top_k": 1, "prototype_momentum": 0.9, "proto_grad": "learnable"},
}


def settings(name, **changes):
    """Those of tests.test_training, for every objective."""
    if name not in PROJECTED:
        return toy.settings(name, **changes)
    module = __import__(f"methods.objectives.{name}", fromlist=["RECORD"])
    base = toy.settings("adapt", **changes)
    defaults = {key: part.get("default") for key, part in module.RECORD["parameters"].items()}
    switches = resolve_switches(module.RECORD, "corrected", {})
    return {**base, "objective": {"name": name, **defaults, **PROJECTED[name]}, "switches": switches}


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """Image stores of both tasks and of outliers."""
    folder, found = tmp_path_factory.mktemp("stores"), {}
    sets = {"train": toy.images(45), "several": toy.images(45, multi=True), "outliers": toy.noise(20)}
    for name, images in sets.items():
        record = {"kind": "images", "format": 1, "settings": {"dataset": name, "split": "train"}}
        write_images(folder / f"{name}.h5", images, record)
        found[name] = (str(folder / f"{name}.h5"), name, "train")
    return found


def chosen(sources, recipe):
    several = recipe["task"] == "multi_label"
    found = {"train": sources["several" if several else "train"]}
    return found | ({"outliers": sources["outliers"]} if "outlier_batch" in recipe else {})


RECIPES = {
    **{name: settings(name, epochs=2) for name in ("palm", "cider", "edge")},
    "released_edge": settings("edge", epochs=2, switches={"head_double_bn_update": True}),
    "uneven": settings("cross_entropy", epochs=1, batch=43),  # the last batch has two images
}
_ALONE = """
import json, sys
from pathlib import Path
from tests.float64_process import in_float64
in_float64()
from methods.training import checkpoint, processes
hardware, tasks = json.loads(sys.stdin.read())
for name, (recipe, sources, folder) in tasks.items():
    found = processes.fit_on_devices(recipe, sources, hardware, Path(folder) / "checkpoint.safetensors")
    checkpoint.save_checkpoint(Path(folder) / name, found.tensors, checkpoint.Progress(history=found.history))
"""


@pytest.fixture(scope="module")
def alone(sources, tmp_path_factory):
    """Results of all recipes in one process, float64."""
    tasks = {name: (recipe, chosen(sources, recipe)) for name, recipe in RECIPES.items()}
    return trained_alone(tasks, tmp_path_factory.mktemp("alone"))


def trained_alone(tasks, folder):
    """Results of (recipe, sources) by name, from one process in float64."""
    hardware = {**toy.HARDWARE, "devices": 1, "checkpoint_seconds": 1e9}
    text = json.dumps([hardware, {name: (*task, str(folder)) for name, task in tasks.items()}])
    subprocess.run([sys.executable, "-c", _ALONE], input=text, text=True, check=True, cwd=toy.ROOT)
    found = {name: load_checkpoint(folder / name) for name in tasks}
    return {name: Result(tensors, progress.history, {}) for name, (tensors, progress) in found.items()}


def trained(name, sources, folder, monkeypatch, devices=2, **hardware):
    """Result of a recipe on several processes in float64."""
    monkeypatch.setattr(processes, "_COMMAND", FLOAT64)
    chosen_hardware = {**toy.HARDWARE, "devices": devices, "checkpoint_seconds": 1e9, **hardware}
    recipe = RECIPES[name]
    return fit_on_devices(recipe, chosen(sources, recipe), chosen_hardware, folder / "checkpoint.safetensors")


def differences(one, two):
    assert one.tensors.keys() == two.tensors.keys()
    return {name: float((one.tensors[name] - two.tensors[name]).abs().max()) for name in one.tensors}


@pytest.mark.parametrize("name", ["palm", "cider", "edge", "released_edge"])
def test_two_processes_train_what_one_trains(name, alone, sources, tmp_path, monkeypatch):
    """Epochs of batches of 16, the last of 13 does not divide; augmented, with momentum and weight decay.

    PALM's prototypes are parameters here, which every process gives their whole gradient; EDGE has outliers as well,
    and as released a head that sees its batch twice. CIDER computes its blocks again for their gradients, and with them
    the statistics that processes share.
    """
    two = trained(name, sources, tmp_path, monkeypatch, recompute_activations=name == "cider")
    assert two.tensors["backbone.stem.0.weight"].dtype == torch.float64
    assert max(differences(alone[name], two).values()) < 1e-10
    for first, second in zip(alone[name].history, two.history, strict=True):
        assert first == pytest.approx(second, rel=1e-10)


def test_two_processes_start_from_pretrained_weights_and_train_what_one_trains(sources, tmp_path, monkeypatch):
    """ResNet-18 of torchvision; its batch norms see one place an image."""
    weights = theirs("resnet18").double()
    network = {"name": "resnet", "depth": 18, "weights": "imagenet"}
    base = settings("cross_entropy", epochs=1, batch=24)
    recipe = {**base, "architecture": {**base["architecture"], "network": network}}
    recipe["optimiser"] = {**base["optimiser"], "learning_rate": 1e-3}
    file = (str(published(weights, tmp_path / "weights.pth")), "resnet18_imagenet", "weights.pth")
    read = {**chosen(sources, recipe), "pretrained": file}
    one = trained_alone({"pretrained": (recipe, read)}, tmp_path)["pretrained"]
    monkeypatch.setattr(processes, "_COMMAND", FLOAT64)
    hardware = {**toy.HARDWARE, "devices": 2, "checkpoint_seconds": 1e9}
    two = fit_on_devices(recipe, read, hardware, tmp_path / "two" / "checkpoint.safetensors")
    assert max(differences(one, two).values()) < 1e-8
    moved = one.tensors["backbone.conv1.weight"] - weights.conv1.weight
    assert 0 < float(moved.abs().max()) < 0.1


def test_three_processes_of_which_one_has_no_row_of_the_last_batch(alone, sources, tmp_path, monkeypatch):
    three = trained("uneven", sources, tmp_path, monkeypatch, devices=3)
    assert max(differences(alone["uneven"], three).values()) < 1e-10


def test_another_number_of_processes_takes_up_the_resume_checkpoint(alone, sources, tmp_path, monkeypatch):
    first = trained("palm", sources, tmp_path, monkeypatch, checkpoint_seconds=0)
    file = tmp_path / "checkpoint.safetensors"
    before = file.stat().st_mtime_ns
    again = trained("palm", sources, tmp_path, monkeypatch, devices=3)  # nothing is left to do
    assert file.stat().st_mtime_ns == before
    assert again.history == first.history
    assert again.cost["resumed"] == 1
    assert max(differences(alone["palm"], again).values()) < 1e-10


def test_what_a_process_refuses_is_said_once(sources, tmp_path):
    recipe = settings("cross_entropy", architecture={**settings("cross_entropy")["architecture"], "classes": 2})
    hardware = {**toy.HARDWARE, "devices": 2}
    with pytest.raises(ReproError, match="labels of 3 classes, the network has 2 outputs"):
        fit_on_devices(recipe, chosen(sources, recipe), hardware, tmp_path / "checkpoint.safetensors")
    assert list(tmp_path.iterdir()) == []


def test_a_process_that_dies_ends_the_training(sources, tmp_path, monkeypatch):
    code = "import sys, time; sys.exit(3) if sys.argv[2] == '1' else time.sleep(60)"
    monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", code])
    recipe = settings("cross_entropy")
    with pytest.raises(ReproError, match="ended with code"):
        fit_on_devices(
            recipe, chosen(sources, recipe), {**toy.HARDWARE, "devices": 2}, tmp_path / "checkpoint.safetensors"
        )


def test_a_process_that_is_killed_is_named_and_the_others_end_at_once(sources, tmp_path, monkeypatch):
    code = "import os, sys, time; os.kill(os.getpid(), 9) if sys.argv[2] == '1' else time.sleep(60)"
    monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", code])
    recipe, hardware = settings("cross_entropy"), {**toy.HARDWARE, "devices": 2}
    start = time.monotonic()
    with pytest.raises(ReproError, match="Process 1 of the 2 of this training was killed by signal 9"):
        fit_on_devices(recipe, chosen(sources, recipe), hardware, tmp_path / "checkpoint.safetensors")
    assert time.monotonic() - start < 30


def test_a_process_that_hangs_ends_the_training_with_its_last_progress(sources, tmp_path, monkeypatch):
    code = (
        "import sys, time; from pathlib import Path; from methods.progress import beat\n"
        "from methods.training import processes\n"
        "processes._meet = lambda *known: None\n"
        "processes.fit = lambda *known: (beat('step 7') if sys.argv[2] == '1' else None, time.sleep(60))\n"
        "processes._process(Path(sys.argv[1]), int(sys.argv[2]))\n"
    )
    monkeypatch.setattr(processes, "_COMMAND", [sys.executable, "-c", code])
    recipe, hardware = settings("cross_entropy"), {**toy.HARDWARE, "devices": 2, "stall_minutes": 0.02}
    with pytest.raises(ReproError, match=r"This job hangs: no progress for .* minutes; the last was step 7"):
        fit_on_devices(recipe, chosen(sources, recipe), hardware, tmp_path / "checkpoint.safetensors")


@pytest.mark.parametrize(("batch", "size"), [(10, 3), (2, 3), (512, 4), (1, 1)])
def test_shares_are_the_batch_in_order(batch, size):
    rows = torch.arange(batch)
    parts = [rows[Group(rank, size).share(batch).part] for rank in range(size)]
    assert torch.equal(torch.cat(parts), rows)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1


def test_one_process_gathers_nothing():
    outputs = Outputs(torch.zeros(3, 2), torch.zeros(3, 2))
    assert Group().gather(outputs, 3) is outputs


def test_stores_are_read_as_they_are(sources):
    found = processes.read({"train": sources["train"]})
    assert found.train.sample_ids == read_images(sources["train"][0]).sample_ids
    assert found.outliers is None
