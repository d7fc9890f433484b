"""Claims about compilation, fused optimisers and memory layout: the same training, by other kernels."""

import shutil

import pytest
import torch

from methods.errors import ReproError
from methods.training import acceleration
from methods.training.optimisers import make_optimiser
from tests import test_training as toy

CPU, GPU = torch.device("cpu"), torch.device("cuda")
GROUPS = [{"params": [torch.nn.Parameter(torch.ones(2))], "weight_decay": 0.1}]


def close(one, other, **tolerance):
    for name, tensor in one.tensors.items():
        torch.testing.assert_close(tensor, other.tensors[name], **tolerance)
    assert [row["total"] for row in one.history] == pytest.approx([row["total"] for row in other.history], rel=1e-3)


@pytest.mark.parametrize("optimiser", [None, toy.ADAM], ids=["sgd", "adam"])
def test_a_fused_optimiser_trains_the_same_weights(optimiser, tmp_path):
    recipe = toy.settings("cross_entropy", epochs=2, **({"optimiser": optimiser} if optimiser else {}))
    plain = toy.run(recipe, tmp_path, file="plain")
    fused = toy.run(recipe, tmp_path, hardware={**toy.HARDWARE, "fused_optimiser": True}, file="fused")
    close(plain, fused, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("optimiser", [toy.settings("bce")["optimiser"], toy.ADAM], ids=["sgd", "adam"])
def test_the_optimiser_is_fused_where_it_is_asked_for(optimiser):
    assert make_optimiser(GROUPS, optimiser, fused=True).defaults["fused"] is True
    assert make_optimiser(GROUPS, optimiser).defaults["fused"] is None


@pytest.mark.parametrize("optimiser", [None, toy.ADAM], ids=["sgd", "adam"])
def test_a_resumed_fused_training_is_the_uninterrupted_one(optimiser, tmp_path):
    """Weights are channels-last, a checkpoint is not: the optimiser's state must get its layout back."""
    recipe = toy.settings(
        "bce", epochs=3, schedule={"name": "constant"}, **({"optimiser": optimiser} if optimiser else {})
    )
    fused = {**toy.ALWAYS, "fused_optimiser": True}
    whole = toy.run(recipe, tmp_path, hardware=fused, file="whole")
    toy.run({**recipe, "epochs": 1}, tmp_path, hardware=fused)
    resumed = toy.run(recipe, tmp_path, hardware=fused)
    assert resumed.cost["resumed"] == 1
    assert all(torch.equal(tensor, whole.tensors[name]) for name, tensor in resumed.tensors.items())


@pytest.mark.parametrize("layout", [True, False], ids=["channels last", "plain"])
def test_images_and_weights_have_the_layout_of_the_config(layout, tmp_path, monkeypatch):
    seen = []

    class Watched(torch.nn.Conv2d):
        def forward(self, x):
            seen.append([t.is_contiguous(memory_format=torch.channels_last) for t in (x, self.weight)])
            return super().forward(x)

    monkeypatch.setattr(torch.nn, "Conv2d", Watched)
    recipe = toy.settings("cross_entropy", epochs=1)
    toy.run(recipe, tmp_path, hardware={**toy.HARDWARE, "channels_last": layout})
    assert seen[0] == [layout, layout]


def test_either_layout_trains_the_same_weights(tmp_path):
    recipe = toy.settings("adapt", epochs=2)
    plain = toy.run(recipe, tmp_path, hardware={**toy.HARDWARE, "channels_last": False}, file="plain")
    close(toy.run(recipe, tmp_path, file="last"), plain, rtol=1e-3, atol=1e-4)


def test_a_compiled_network_trains_the_same_weights_under_their_own_names(tmp_path, monkeypatch):
    """The graph alone, as torch traces it: the code it would be made into takes a minute to compile."""
    real = torch.compile
    monkeypatch.setattr(
        torch, "compile", lambda model, mode, dynamic: real(model, backend="aot_eager", dynamic=dynamic)
    )
    recipe = toy.settings("edge", epochs=2)  # both domains apart, so two passes a step; a smaller last batch
    plain = toy.run(recipe, tmp_path, file="plain")
    compiled = toy.run(recipe, tmp_path, hardware={**toy.HARDWARE, "compile": "default"}, file="compiled")
    assert list(compiled.tensors) == list(plain.tensors)
    close(plain, compiled, rtol=1e-3, atol=1e-4)


def test_what_is_not_compiled_is_the_model_itself():
    model = torch.nn.Linear(1, 1)
    assert acceleration.compiled(model, {}, CPU) is model
    assert acceleration.compiled(model, {"compile": "none", "devices": 2}, CPU) is model


@pytest.mark.parametrize(
    ("hardware", "device", "reason"),
    [
        ({"compile": "default", "devices": 2}, CPU, "set compile to none or devices to 1"),
        ({"compile": "cuda_graphs"}, CPU, "runs on a CPU: set it to default or none"),
    ],
)
def test_what_cannot_be_compiled_is_refused_before_the_first_step(hardware, device, reason):
    with pytest.raises(ReproError, match=reason):
        acceleration.compiled(torch.nn.Linear(1, 1), hardware, device)


def test_a_missing_compiler_is_named(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(ReproError, match=r"needs a C\+\+ compiler, and none is on the path"):
        acceleration.compiled(torch.nn.Linear(1, 1), {"compile": "default"}, CPU)


def test_cuda_graphs_are_asked_for_by_mode(monkeypatch):
    asked = {}
    monkeypatch.setattr(torch, "compile", lambda model, **how: asked.update(how) or model)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    acceleration.compiled(torch.nn.Linear(1, 1), {"compile": "cuda_graphs"}, GPU)
    assert asked == {"mode": "reduce-overhead", "dynamic": False}


def test_the_cost_says_how_the_device_was_used():
    hardware = {**toy.HARDWARE, "compile": "default", "fused_optimiser": True, "devices": 2}
    assert acceleration.record(hardware) == {
        "devices": 2,
        "compile": "default",
        "fused_optimiser": True,
        "channels_last": True,
        "deterministic": True,
        "recompute_activations": False,
    }
