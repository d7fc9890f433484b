"""Claims that only a GPU can show: resuming bit for bit, half precisions, steps that never wait, memory that ends.

On a machine without one they are skipped; the same engine is tested on the CPU everywhere else.
"""

import json
import logging
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features.extract import extract
from methods.metrics.vectors import unit_rows
from methods.networks.model import build_model
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


_OWN = """
import json, torch
from workflow_scripts.gpu_pool.slots import own_gpus
with own_gpus(1) as (gpu,):
    torch.ones(1, device="cuda")
    print(json.dumps([gpu.name, torch.cuda.device_count(), str(torch.cuda.get_device_properties(0).uuid)]))
"""


@pytest.mark.skipif(DEVICE != "cuda", reason="only CUDA reads CUDA_VISIBLE_DEVICES")
def test_a_job_sees_its_own_gpu_and_no_other_though_torch_was_imported_before(tmp_path):
    environment = {**os.environ, "OOD_REPRO_GPU_SLOTS": str(tmp_path)}
    command = [sys.executable, "-c", _OWN]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=toy.ROOT, check=True)
    name, count, uuid = json.loads(done.stdout)
    assert count == 1
    assert not name.startswith("GPU-") or name.removeprefix("GPU-") == uuid


@pytest.fixture
def one_gigabyte():
    """All that this process may take of the GPU."""
    torch.cuda.empty_cache()
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.set_per_process_memory_fraction(1e9 / total)
    yield
    torch.cuda.set_per_process_memory_fraction(1.0)


def wide():
    """Architecture and images of which 500 at a time take more than a gigabyte."""
    network = {"name": "cifar_resnet", "blocks": [1], "widths": [64]}
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (600, 64, 64, 3), dtype=np.uint8)
    images = ImageSet(pixels, np.arange(600) % 3, tuple(map(str, range(600))), tuple("abc"))
    return {**toy.settings("cross_entropy")["architecture"], "network": network}, images


@pytest.mark.skipif(DEVICE != "cuda", reason="GPU memory ends on a GPU")
def test_an_extraction_that_does_not_fit_goes_on_with_a_smaller_batch(one_gigabyte, caplog):
    architecture, images = wide()
    model, device = build_model(architecture).eval(), torch.device(DEVICE)
    with caplog.at_level(logging.WARNING):
        found = extract(model, images, toy.settings("bce")["normalisation"], device, 500)
    assert "extraction: out of memory with a batch of 500 (peak " in caplog.text
    wanted = extract(model, images, toy.settings("bce")["normalisation"], device, 20)
    np.testing.assert_allclose(found.logits, wanted.logits, rtol=1e-3, atol=1e-4)


@pytest.mark.skipif(DEVICE != "cuda", reason="GPU memory ends on a GPU")
def test_a_training_that_does_not_fit_says_what_would_help(one_gigabyte, tmp_path):
    architecture, images = wide()
    recipe = toy.settings("cross_entropy", architecture=architecture, batch=512)
    expected = r"ran out of GPU memory with batch 512, precision fp32, 1 device: peak .* reserved"
    with pytest.raises(ReproError, match=expected):
        toy.run(recipe, tmp_path, sets=toy.FitData(images), hardware=GPU)


@pytest.mark.skipif(DEVICE != "cuda", reason="GPU memory is counted on a GPU")
def test_recomputed_activations_take_less_memory_and_train_the_same_weights(tmp_path):
    architecture, images = wide()
    network = {"name": "cifar_resnet", "blocks": [4], "widths": [64]}
    recipe = toy.settings("cross_entropy", architecture={**architecture, "network": network}, batch=128, epochs=1)
    found = []
    for again in (False, True):
        torch.cuda.reset_peak_memory_stats()
        hardware = {**GPU, "recompute_activations": again}
        found.append(toy.run(recipe, tmp_path, sets=toy.FitData(images), hardware=hardware, file=str(again)))
    plain, less = found
    assert less.cost["peak_gpu_bytes"] < 0.8 * plain.cost["peak_gpu_bytes"]
    assert identical(plain, less)
