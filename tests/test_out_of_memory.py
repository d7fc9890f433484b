"""When memory runs out: extraction goes on with smaller batches, training says what to do and changes nothing."""

import logging
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn

from methods import memory
from methods.errors import ReproError
from methods.features.extract import extract
from methods.features.network_scores import network_scores
from methods.features.outlier_spectra import candidate_distances
from methods.memory import ran_out, with_smaller_batches
from methods.metrics.vectors import unit_rows
from methods.networks import cifar_resnet, densenet121, efficientnet_lite0, resnet
from methods.networks.model import OODModel, build_model
from methods.scores import knn_gpu
from methods.training import fit as engine
from methods.training.memory import switches
from methods.training.recompute import blocks, recompute_blocks
from tests import test_dilation as dilation
from tests import test_training as toy

CPU = torch.device("cpu")
NORMALISATION = {"mean": [0.5] * 3, "std": [0.25] * 3}
ARCHITECTURE = toy.settings("cross_entropy")["architecture"]
GPU_WORDS = "CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 79.10 GiB"
CPU_WORDS = "DefaultCPUAllocator: can't allocate memory: you tried to allocate 4000000000000 bytes. Error code 12"


class Small(OODModel):
    """A network that has memory for ``most`` images; from pass ``late`` on, if that is given."""

    def __init__(self, most, late=0):
        torch.manual_seed(0)
        own = build_model(ARCHITECTURE)
        super().__init__(own.backbone, own.head, own.projector)
        self.most, self.late, self.sizes = most, late, []
        self.eval()

    def forward(self, images):
        self.sizes.append(len(images))
        if len(images) > self.most and len(self.sizes) > self.late:
            raise torch.OutOfMemoryError(GPU_WORDS)
        return super().forward(images)


def extracted(model, count, batch):
    return extract(model, toy.images(count), NORMALISATION, CPU, batch)


@pytest.mark.parametrize("late", [0, 2], ids=["from the first pass on", "from the third on"])
def test_extraction_halves_its_batch_and_gives_what_the_smaller_one_gives(late, caplog):
    model = Small(9, late)
    with caplog.at_level(logging.WARNING):
        found = extracted(model, 50, 20)
    wanted = extracted(Small(9), 50, 5)
    assert model.sizes[-10:] == [5] * 10  # 20, 10, then ten times 5
    for name in ("embedding", "logits"):
        np.testing.assert_array_equal(getattr(found, name), getattr(wanted, name))
    assert found.sample_ids == wanted.sample_ids
    assert len(found.embedding) == 50
    said = [record.getMessage() for record in caplog.records]
    assert [line.split(" (")[0] for line in said] == [
        "extraction: out of memory with a batch of 20",
        "extraction: out of memory with a batch of 10",
    ]
    assert "peak" in said[0]
    assert said[1].endswith(
        "again with 5, the same up to rounding; hardware.extraction_batch: 5 in the config spares it"
    )


def test_the_batch_of_an_extraction_matters_by_rounding_alone():
    one, other = extracted(Small(50), 50, 50), extracted(Small(50), 50, 3)
    np.testing.assert_allclose(one.logits, other.logits, rtol=1e-4, atol=1e-6)


def test_extraction_gives_up_when_not_even_one_image_fits():
    with pytest.raises(ReproError, match=r"extraction: out of memory with a batch of 1 \(peak .*: not even one fits"):
        extracted(Small(0), 10, 4)


def test_other_errors_are_not_taken_for_memory():
    def broken(batch):
        raise RuntimeError("shapes do not fit")

    with pytest.raises(RuntimeError, match="shapes do not fit"):
        with_smaller_batches(broken, 4, "x", CPU)


@pytest.mark.parametrize("words", [GPU_WORDS, CPU_WORDS, "cuDNN error: CUDNN_STATUS_ALLOC_FAILED"])
def test_every_allocator_is_understood(words):
    assert ran_out(RuntimeError(words))
    assert not ran_out(ValueError(words))


def test_torch_says_so_when_the_memory_of_the_machine_ends():
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**60, dtype=torch.uint8)
    assert ran_out(caught.value)


def test_what_a_failed_attempt_held_is_free_before_the_next():
    alive = []

    class Held(np.ndarray):
        def __del__(self):
            alive.remove(1)

    def compute(batch):
        assert alive == []
        held = np.zeros(1).view(Held)
        alive.append(1)
        if batch > 1:
            raise torch.OutOfMemoryError(GPU_WORDS)
        return len(held)

    assert with_smaller_batches(compute, 8, "x", CPU) == 1


def test_scores_through_the_network_halve_their_batch():
    instances = {"odin": {"score": "odin", "temperature": 1000.0, "noise": 0.0014}}
    score = partial(network_scores, instances, images=toy.images(30), normalisation=NORMALISATION, device=CPU)
    found = score(model=Small(7), fitted={"odin": {}}, batch=20)
    np.testing.assert_array_equal(found["odin"], score(model=Small(30), fitted={"odin": {}}, batch=5)["odin"])
    assert found["odin"].shape == (30,)


def test_the_dilation_distance_is_that_of_the_whole_batch_whatever_fits(monkeypatch):
    sets = (toy.images(40), {"noise": toy.noise(30)})
    wanted = candidate_distances(dilation.SETTINGS, *sets, CPU)
    forward, sizes = cifar_resnet.CifarResNet.forward, []

    def short(network, images):
        sizes.append(len(images))
        if len(images) > 3:
            raise torch.OutOfMemoryError(GPU_WORDS)
        return forward(network, images)

    monkeypatch.setattr(cifar_resnet.CifarResNet, "forward", short)
    found = candidate_distances(dilation.SETTINGS, *sets, CPU)
    assert max(sizes) > 3 >= min(sizes)
    for one, other in zip(found, wanted, strict=True):
        assert one.pop("dataset") == other.pop("dataset")
        assert one == pytest.approx(other, rel=1e-4)


def test_the_search_of_neighbours_takes_smaller_tiles(monkeypatch):
    draw = np.random.default_rng(0)
    queries, bank = (unit_rows(draw.normal(size=(n, 8)).astype(np.float32)) for n in (40, 300))
    monkeypatch.setattr(knn_gpu, "_QUERIES", 16)
    monkeypatch.setattr(knn_gpu, "_BANK", 64)
    multiply, shapes = torch.cat, []

    def short(parts, dim):
        shapes.append(tuple(parts[1].shape))
        if parts[1].numel() > 300:
            raise torch.OutOfMemoryError(GPU_WORDS)
        return multiply(parts, dim=dim)

    monkeypatch.setattr(torch, "cat", short)
    found = np.sort(knn_gpu.largest_cosines(queries, bank, 5, "cpu"), axis=1)
    assert shapes[:2] == [(16, 64), (8, 32)]
    np.testing.assert_allclose(found, np.sort(queries @ bank.T, axis=1)[:, -5:], atol=1e-6)


def short_of_memory(monkeypatch, words=GPU_WORDS):
    def fails(trainer, *arguments):
        raise RuntimeError(words)

    monkeypatch.setattr(engine._Trainer, "_forward", fails)


def test_a_training_without_memory_names_batch_peak_and_switches(tmp_path, monkeypatch):
    short_of_memory(monkeypatch, CPU_WORDS)
    with pytest.raises(ReproError) as caught:
        toy.run(toy.settings("adapt"), tmp_path)
    said = str(caught.value)
    assert said.startswith("toy/run/seed0 ran out of memory with batch 16 in 2 views, precision fp32, 1 device: peak ")
    assert "Its batch is part of the recipe and stays." in said
    assert "hardware.recompute_activations: true" in said
    assert "precision: bf16" in said
    assert "hardware.devices" not in said  # more processes of one machine share its memory


def test_a_training_with_outliers_names_both_batches(tmp_path, monkeypatch):
    short_of_memory(monkeypatch)
    with pytest.raises(ReproError, match="batch 16 and 8 outliers, precision fp32"):
        toy.run(toy.settings("edge"), tmp_path)


def test_an_error_of_a_training_that_is_not_of_memory_stays(tmp_path, monkeypatch):
    short_of_memory(monkeypatch, "shapes do not fit")
    with pytest.raises(RuntimeError, match="shapes do not fit"):
        toy.run(toy.settings("adapt"), tmp_path)


def test_switches_in_use_are_not_offered(monkeypatch):
    monkeypatch.setattr("methods.training.memory.choose_device", lambda name: torch.device("cuda"))
    recipe = toy.settings("adapt", precision="bf16")
    names = [text.split(" (")[0] for text in switches(recipe, {**toy.HARDWARE, "devices": 2})]
    assert names == ["hardware.recompute_activations: true", "hardware.devices: 4"]
    compiled = switches(toy.settings("adapt"), {**toy.HARDWARE, "compile": "cuda_graphs"})
    assert [text.split(" (")[0] for text in compiled] == [
        "hardware.compile: none",
        "hardware.devices: 2",
        "precision: bf16",
    ]
    monkeypatch.setattr("methods.training.memory.choose_device", lambda name: CPU)
    spent = switches(recipe, {**toy.HARDWARE, "recompute_activations": True})
    assert spent == ["nothing more: it needs a machine with more memory"]


RECOMPUTED = {
    "contrastive": toy.settings("adapt", epochs=2),
    "half precision": toy.settings("cross_entropy", epochs=2, precision="bf16"),
    "frozen batch norms": toy.settings("edge", epochs=3, switches={"bn_freeze_after_first_epoch": True}),
    "domains apart": toy.settings("edge", epochs=2, switches={"bn_mode": "split_domains"}),
}


@pytest.mark.parametrize("case", RECOMPUTED)
def test_recomputed_activations_train_the_same_weights_bit_for_bit(case, tmp_path):
    """Running statistics of batch norms are tensors of the model too."""
    network = {"name": "cifar_resnet", "blocks": [2, 1], "widths": [8, 8]}
    recipe = RECOMPUTED[case]
    recipe = {**recipe, "architecture": {**recipe["architecture"], "network": network}}
    plain = toy.run(recipe, tmp_path, file="plain")
    again = toy.run(recipe, tmp_path, hardware={**toy.HARDWARE, "recompute_activations": True}, file="again")
    assert again.history == plain.history
    assert again.tensors.keys() == plain.tensors.keys()
    assert all(torch.equal(tensor, again.tensors[name]) for name, tensor in plain.tensors.items())


def saved_bytes(network, inputs):
    """Of tensors that the backward pass of one step keeps, weights apart."""
    kept = {}

    def keep(tensor):
        kept[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    own = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        loss = network(inputs).square().sum()
    held = sum(size for place, size in kept.items() if place not in own)
    loss.backward()
    return held


BACKBONES = {
    "cifar_resnet": (cifar_resnet, {"blocks": [1, 1], "widths": [8, 16]}, 2, 16),
    "resnet": (resnet, {"depth": 18, "weights": "none"}, 8, 32),
    "densenet121": (densenet121, {"weights": "none"}, 4, 32),
    "efficientnet_lite0": (efficientnet_lite0, {"weights": "none", "norm_momentum": 0.01}, 16, 32),
}


@pytest.mark.parametrize("name", BACKBONES)
def test_every_backbone_has_blocks_and_keeps_less_for_its_gradients(name):
    module, parameters, count, side = BACKBONES[name]
    found = []
    for recomputed in (False, True):
        torch.manual_seed(0)
        network = module.build(parameters).train()
        assert not recomputed or recompute_blocks(network) == count
        kept = saved_bytes(network, torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1)))
        state = {**network.state_dict(), **{f"{n} gradient": p.grad for n, p in network.named_parameters()}}
        found.append((kept, state))
    (plain, wanted), (less, state) = found
    assert less < 0.7 * plain
    assert state.keys() == wanted.keys()
    assert all(torch.equal(value, state[key]) for key, value in wanted.items())


def test_no_block_draws_random_numbers_which_a_second_pass_would_draw_anew():
    for module, parameters, _, _ in BACKBONES.values():
        random = [m for m in module.build(parameters).modules() if isinstance(m, nn.modules.dropout._DropoutNd)]
        assert all(m.p == 0 for m in random)


def test_recomputation_and_compilation_exclude_each_other(tmp_path):
    hardware = {**toy.HARDWARE, "recompute_activations": True, "compile": "default"}
    with pytest.raises(ReproError, match="recompute_activations is true, but compile is default"):
        toy.run(toy.settings("cross_entropy"), tmp_path, hardware=hardware)


def test_a_network_without_blocks_cannot_be_recomputed():
    assert list(blocks(nn.Sequential(nn.Flatten(), nn.Linear(2, 2)))) == []


def test_memory_in_use_is_told_for_process_and_machine():
    assert memory.memory_use(CPU).startswith("peak ")
    assert "the machine has" in memory.memory_use(CPU)
