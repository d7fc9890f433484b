"""Checkpoints of other projects: what is read of them, how they are renamed, and what is refused."""

import argparse
import pickle
import re

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from methods.errors import ReproError
from methods.files import sha256_file
from methods.networks.foreign import import_tensors, read_checkpoint, require_sha256
from methods.networks.model import build_model

ARCHITECTURE = {
    "network": {"name": "cifar_resnet", "blocks": [1, 2], "widths": [4, 8]},
    "classes": 5,
    "head": None,
    "projector": {"hidden": 8, "dimension": 6},
}


def model(**changes):
    torch.manual_seed(0)
    return build_model({**ARCHITECTURE, **changes})


class TheirBlock(torch.nn.Module):
    """Named as in the CIFAR ResNets of the contrastive releases."""

    def __init__(self, before, after, stride):
        super().__init__()
        self.conv1 = torch.nn.Conv2d(before, after, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(after)
        self.conv2 = torch.nn.Conv2d(after, after, 3, 1, 1, bias=False)
        self.bn2 = torch.nn.BatchNorm2d(after)
        self.shortcut = torch.nn.Sequential()
        if stride != 1 or before != after:
            conv = torch.nn.Conv2d(before, after, 1, stride, bias=False)
            self.shortcut = torch.nn.Sequential(conv, torch.nn.BatchNorm2d(after))

    def forward(self, x):
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


class TheirEncoder(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = torch.nn.Conv2d(3, 4, 3, 1, 1, bias=False), torch.nn.BatchNorm2d(4)
        self.layer1 = torch.nn.Sequential(TheirBlock(4, 4, 1))
        self.layer2 = torch.nn.Sequential(TheirBlock(4, 8, 2), TheirBlock(8, 8, 1))

    def forward(self, x):
        return self.layer2(self.layer1(torch.relu(self.bn1(self.conv1(x))))).mean((2, 3))


class TheirModel(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = TheirEncoder()
        self.head = torch.nn.Sequential(torch.nn.Linear(8, 8), torch.nn.ReLU(), torch.nn.Linear(8, 6))
        self.fc = torch.nn.Linear(8, 5)


@pytest.fixture
def theirs():
    torch.manual_seed(1)
    found = TheirModel()
    with torch.no_grad():
        for _ in range(3):  # running statistics unlike the first ones
            found.encoder(torch.randn(16, 3, 8, 8))
    return found.eval()


def load(path, layout="cifar_resnet", ignore=("fc",), **changes):
    network = model(**changes)
    found = import_tensors(read_checkpoint(path), network.state_dict(), layout, ignore, path)
    network.load_state_dict({name: torch.tensor(value) for name, value in found.items()}, strict=True)
    return network.eval()


def saved(content, path):
    torch.save(content, path)
    return path


def as_release(theirs):
    """What the trainers of SupCon and CIDER save."""
    state = {f"module.{name}": value for name, value in theirs.state_dict().items()}
    return {"opt": argparse.Namespace(lr=0.5), "model": state, "optimizer": {"state": {}}, "epoch": 500}


@pytest.mark.parametrize("form", ["release", "plain", "state_dict", "safetensors"])
def test_an_imported_network_computes_what_the_original_computes(form, theirs, tmp_path):
    state = theirs.state_dict()
    if form == "safetensors":
        save_file(state, tmp_path / "c.safetensors")
        path = tmp_path / "c.safetensors"
    else:
        content = {"release": as_release(theirs), "plain": state, "state_dict": {"state_dict": state, "epoch": 1}}
        path = saved(content[form], tmp_path / "c.pth.tar")
    images = torch.randn(7, 3, 8, 8)
    outputs, pooled = load(path)(images), theirs.encoder(images)
    torch.testing.assert_close(outputs.pooled, pooled)
    torch.testing.assert_close(outputs.projection, torch.nn.functional.normalize(theirs.head(pooled), dim=1))


def test_a_classifier_without_prefix_is_imported_as_openood_names_it(theirs, tmp_path):
    state = {name.removeprefix("encoder."): v for name, v in theirs.state_dict().items() if "head" not in name}
    images = torch.randn(3, 3, 8, 8)
    network = load(saved(state, tmp_path / "c.ckpt"), ignore=(), head={"kind": "linear"}, projector=None)
    torch.testing.assert_close(network(images).logits, theirs.fc(theirs.encoder(images)))


def test_a_model_of_this_project_is_imported_by_its_own_names(tmp_path):
    ours = model()
    save_file(ours.state_dict(), tmp_path / "m.safetensors")
    images = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(load(tmp_path / "m.safetensors", "own", ())(images).pooled, ours.eval()(images).pooled)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda s: s.pop("encoder.bn1.running_var"), "backbone.stem.1.running_var is missing"),
        (lambda s: s.update(extra=torch.zeros(1)), "extra has no place in the network"),
        (lambda s: s.update({"encoder.layer3.0.conv1.weight": torch.zeros(1)}), "layer3.0.conv1.weight has no place"),
        (lambda s: s.update({"head.2.weight": torch.zeros(128, 8)}), r"head.2.weight is \[128, 8\].*has \[6, 8\]"),
        (lambda s: s.update({"conv1.weight": torch.zeros(4, 3, 3, 3)}), "conv1.weight comes twice"),
    ],
)
def test_a_tensor_that_does_not_fit_is_named(change, message, theirs, tmp_path):
    state = dict(theirs.state_dict())
    change(state)
    with pytest.raises(ReproError, match=message):
        load(saved(state, tmp_path / "c.pth"))


def test_what_is_not_ignored_is_unexpected(theirs, tmp_path):
    with pytest.raises(ReproError, match=r"fc\.weight has no place.*fc\.bias has no place.*ignore"):
        load(saved(theirs.state_dict(), tmp_path / "c.pth"), ignore=())


def test_only_whole_beginnings_are_ignored(theirs, tmp_path):
    state = {**theirs.state_dict(), "fcn.weight": torch.zeros(1)}
    with pytest.raises(ReproError, match=r"fcn\.weight has no place"):
        load(saved(state, tmp_path / "c.pth"))


def test_many_problems_are_counted(tmp_path):
    with pytest.raises(ReproError, match=r"and \d+ more"):
        load(saved({"a": torch.zeros(1)}, tmp_path / "c.pth"))


class Hostile:
    def __init__(self, target):
        self.target = target

    def __reduce__(self):
        return (eval, (f"open({str(self.target)!r}, 'w').close()",))


@pytest.mark.parametrize("zipped", [True, False])
def test_code_in_a_checkpoint_is_refused_and_not_run(zipped, theirs, tmp_path):
    canary, path = tmp_path / "canary", tmp_path / "c.pth"
    torch.save({"model": theirs.state_dict(), "extra": Hostile(canary)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(ReproError, match="more than tensors"):
        read_checkpoint(path)
    path.write_bytes(pickle.dumps(Hostile(canary)))
    with pytest.raises(ReproError, match=r"more than tensors|damaged"):
        read_checkpoint(path)
    assert not canary.exists()


@pytest.mark.parametrize("content", [b"", b"garbage", b"PK\x03\x04 no archive"])
def test_a_damaged_checkpoint_is_refused(content, tmp_path):
    for name in ("c.pth", "c.safetensors"):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ReproError, match=r"is damaged|more than tensors"):
            read_checkpoint(tmp_path / name)


def test_a_truncated_checkpoint_is_refused(theirs, tmp_path):
    path = saved(theirs.state_dict(), tmp_path / "c.pth")
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(ReproError, match="is damaged"):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.zeros(1)], "holds a list"),
        ({"epoch": 3}, "0 state dictionaries.*epoch"),
        ({"model": {"a": torch.zeros(1)}, "net": {"a": torch.zeros(1)}}, "2 state dictionaries"),
    ],
)
def test_a_file_without_one_state_dictionary_is_refused(content, message, tmp_path):
    with pytest.raises(ReproError, match=message):
        read_checkpoint(saved(content, tmp_path / "c.pth"))


def test_a_missing_checkpoint_is_named(tmp_path):
    with pytest.raises(ReproError, match=re.escape(f"{tmp_path / 'none.pth'} does not exist")):
        read_checkpoint(tmp_path / "none.pth")


def test_another_file_than_the_paper_says_is_refused(tmp_path):
    path = saved({"a": torch.zeros(1)}, tmp_path / "c.pth")
    require_sha256(path, None)
    require_sha256(path, sha256_file(path))
    with pytest.raises(ReproError, match=f"has sha256 {sha256_file(path)}, the paper says {'0' * 64}"):
        require_sha256(path, "0" * 64)


def test_half_precision_is_widened(theirs, tmp_path):
    half = {name: v.half() if v.is_floating_point() else v for name, v in theirs.state_dict().items()}
    found = import_tensors(
        read_checkpoint(saved(half, tmp_path / "c.pth")), model().state_dict(), "cifar_resnet", ["fc"], "c"
    )
    assert {value.dtype for name, value in found.items() if "num_batches" not in name} == {np.dtype(np.float32)}
