"""Claims that only a GPU can show: resuming bit for bit, half precisions, CUDA graphs, and steps that wait for nothing.

On a machine without one they are skipped; the same engine is tested on the CPU everywhere else.
"""

import math
import os

import numpy as np
import pytest
import torch

from methods.metrics.vectors import unit_rows
from methods.scores.knn_gpu import largest_cosines
from methods.training.fit import _Trainer
from tests import test_training as toy

DEVICE = os.environ.get("OOD_REPRO_TEST_DEVICE", "cuda")  # `cpu` runs these claims there, as far as they make sense
GPU = {**toy.HARDWARE, "device": DEVICE}
ALWAYS = {**GPU, "checkpoint_seconds": 0}
NAMES = ["cross_entropy", "adapt", "bce", "edge"]

pytestmark = pytest.mark.skipif(
    DEVICE == "cuda" and not torch.cuda.is_available(), reason="needs a GPU: torch sees none here"
)


def identical(one, other):
    return one.history == other.history and all(torch.equal(t, other.tensors[name]) for name, t in one.tensors.items())


def totals(result):
    return [row["total"] for row in result.history]


@pytest.mark.parametrize("case", list(toy.RESUMED))
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(case, tmp_path, monkeypatch):
    recipe = toy.RESUMED[case]
    whole = toy.run(recipe, tmp_path, hardware=GPU, file="whole")
    taken, epoch = [], _Trainer._epoch

    def interrupted(trainer, number):
        if number == 2 and not taken:
            taken.append(number)
            raise toy.Interrupted
        return epoch(trainer, number)

    monkeypatch.setattr(_Trainer, "_epoch", interrupted)
    with pytest.raises(toy.Interrupted):
        toy.run(recipe, tmp_path, hardware=ALWAYS)
    resumed = toy.run(recipe, tmp_path, hardware=GPU)
    assert resumed.cost["resumed"] == 1
    assert identical(whole, resumed)


@pytest.mark.parametrize("name", NAMES)
def test_the_first_epoch_is_that_of_the_cpu_up_to_rounding(name, tmp_path):
    recipe = toy.settings(name, epochs=1)
    gpu, cpu = (toy.run(recipe, tmp_path, hardware={**GPU, "device": device}) for device in (DEVICE, "cpu"))
    assert totals(gpu) == pytest.approx(totals(cpu), rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["tf32", "bf16", "fp16"])
def test_every_precision_trains(precision, name, tmp_path):
    result = toy.run(toy.settings(name, precision=precision), tmp_path, hardware=GPU)
    assert all(map(math.isfinite, totals(result)))
    assert totals(result)[-1] < totals(result)[0]


@pytest.mark.skipif(DEVICE != "cuda", reason="CUDA graphs need a GPU")
@pytest.mark.parametrize("name", ["adapt", "edge"])
@pytest.mark.parametrize("kind", ["default", "cuda_graphs"])
def test_a_compiled_network_trains_the_same_weights(kind, name, tmp_path):
    recipe = toy.settings(name, epochs=2)
    plain = toy.run(recipe, tmp_path, hardware=GPU, file="plain")
    compiled = toy.run(recipe, tmp_path, hardware={**GPU, "compile": kind}, file="compiled")
    assert totals(compiled) == pytest.approx(totals(plain), rel=1e-2)
    assert list(compiled.tensors) == list(plain.tensors)


@pytest.mark.parametrize("optimiser", [toy.settings("bce")["optimiser"], toy.ADAM], ids=["sgd", "adam"])
def test_a_fused_optimiser_trains_the_same_weights(optimiser, tmp_path):
    recipe = toy.settings("bce", epochs=2, optimiser=optimiser)
    plain = toy.run(recipe, tmp_path, hardware=GPU, file="plain")
    fused = toy.run(recipe, tmp_path, hardware={**GPU, "fused_optimiser": True}, file="fused")
    assert totals(fused) == pytest.approx(totals(plain), rel=1e-3)


@pytest.mark.skipif(DEVICE != "cuda", reason="only CUDA tells of waits")
@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_no_step_waits_for_the_device(name, precision, tmp_path, monkeypatch):
    """fp16 is left out: its loss scaler reads back whether a step was skipped."""
    step = _Trainer._step

    def watched(trainer, epoch, number, index):
        torch.cuda.set_sync_debug_mode("error" if number else "default")  # the first one chooses kernels
        try:
            return step(trainer, epoch, number, index)
        finally:
            torch.cuda.set_sync_debug_mode("default")

    monkeypatch.setattr(_Trainer, "_step", watched)
    toy.run(toy.settings(name, epochs=2, precision=precision), tmp_path, hardware=GPU)


def test_the_nearest_neighbours_are_those_of_the_cpu():
    draw = np.random.default_rng(0)
    queries, bank = (unit_rows(draw.normal(size=(count, 32)).astype(np.float32)) for count in (50, 3000))
    found = np.sort(largest_cosines(queries, bank, 20, DEVICE), axis=1)
    np.testing.assert_allclose(found, np.sort(queries @ bank.T, axis=1)[:, -20:], atol=1e-5)


@pytest.mark.skipif(DEVICE != "cuda", reason="GPU memory is counted on a GPU")
def test_the_cost_tells_the_peak_of_gpu_memory(tmp_path):
    assert toy.run(toy.settings("adapt", epochs=1), tmp_path, hardware=GPU).cost["peak_gpu_bytes"] > 0
