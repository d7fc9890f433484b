"""Networks against the specification's counts, and what their outputs hold."""

import pytest
import torch
from torch import nn

from methods.networks.model import Outputs, build_model
from methods.training.fit import build

RESNET34 = {"name": "cifar_resnet", "blocks": [3, 4, 6, 3], "widths": [64, 128, 256, 512]}
RESNET18 = {**RESNET34, "blocks": [2, 2, 2, 2]}
SMALL = {"name": "cifar_resnet", "blocks": [1, 1], "widths": [4, 8]}
PROJECTOR = {"hidden": 512, "dimension": 128}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def architecture(network, classes=5, head=None, projector=None):
    return {"network": network, "classes": classes, "head": head, "projector": projector}


def on_meta(network, **parts):
    with torch.device("meta"):
        return build_model(architecture(network, **parts))


def counted(module):
    return [m for m in module.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def parameters(module):
    """Number of parameters, those of batch norm among them."""
    return sum(p.numel() for p in module.parameters())


def macs(model, size=32):
    """Multiply-accumulates of convolutions and linears for one image."""
    total = []

    def add(module, _, out):
        places = out[0, 0].numel() if isinstance(module, nn.Conv2d) else 1
        total.append(places * module.weight.numel())

    hooks = [m.register_forward_hook(add) for m in counted(model)]
    model.eval()(torch.zeros(1, 3, size, size, device="meta"))
    for hook in hooks:
        hook.remove()
    return sum(total)


def settings(seed=0, network=SMALL, head=None, projector=None):
    parts = architecture(network, 3, head or {"kind": "linear", "hidden": 6}, projector)
    return {"seed": seed, "architecture": parts, "objective": {"name": "cross_entropy"}, "switches": {}}


@pytest.mark.parametrize(("network", "encoder"), [(RESNET34, 21_276_992), (RESNET18, 11_168_832)])
def test_parameter_counts_of_encoder_and_projector_are_the_specified_ones(network, encoder):
    model = on_meta(network, projector=PROJECTOR)
    assert parameters(model.backbone) == encoder
    assert parameters(model.projector) == 328_320
    assert parameters(model) == encoder + 328_320


@pytest.mark.parametrize(
    ("network", "encoder", "with_head"),
    [(RESNET34, 1_159_397_376, 1_159_725_056), (RESNET18, 555_417_600, 555_745_280)],
)
def test_multiply_accumulates_are_the_specified_ones(network, encoder, with_head):
    assert macs(on_meta(network)) == encoder
    assert macs(on_meta(network, projector=PROJECTOR)) == with_head


@pytest.mark.parametrize(
    ("features", "classes", "expected"),
    [
        (2048, 20, 2_071_020),
        (2048, 80, 2_131_080),
        (2048, 81, 2_132_081),
        (1024, 20, 1_047_020),
        (1024, 80, 1_107_080),
        (1024, 81, 1_108_081),
    ],
)
def test_two_layer_head_has_the_specified_number_of_parameters(features, classes, expected):
    network = {"name": "cifar_resnet", "blocks": [1], "widths": [features]}
    head = on_meta(network, classes=classes, head={"kind": "two_layer", "hidden": 1000}).head
    assert parameters(head) == expected


def test_maps_halve_from_stage_to_stage_and_nothing_is_pooled_before():
    model, sizes = on_meta(RESNET18), []
    for part in (model.backbone.stem, *model.backbone.stages):
        part.register_forward_hook(lambda _, inputs, out: sizes.append(tuple(out.shape[1:])))
    pooled = model.eval()(torch.zeros(2, 3, 32, 32, device="meta")).pooled
    assert sizes == [(64, 32, 32), (64, 32, 32), (128, 16, 16), (256, 8, 8), (512, 4, 4)]
    assert pooled.shape == (2, 512)


def test_shortcuts_convolve_only_where_the_shape_changes():
    first_blocks = [stage[0].shortcut for stage in on_meta(RESNET34).backbone.stages]
    other_blocks = [block.shortcut for stage in on_meta(RESNET34).backbone.stages for block in stage[1:]]
    assert [isinstance(s, nn.Identity) for s in first_blocks] == [True, False, False, False]
    assert all(isinstance(s, nn.Identity) for s in other_blocks)
    assert len(other_blocks) == 12


def test_convolutions_have_no_bias_and_start_with_the_kaiming_spread():
    torch.manual_seed(0)
    model = build_model(architecture({**SMALL, "widths": [32, 64]}))
    for conv in (m for m in model.modules() if isinstance(m, nn.Conv2d)):
        fan_out = conv.weight.numel() / conv.in_channels
        assert conv.bias is None
        assert conv.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.1)


def test_batch_norms_start_at_one_and_zero_on_the_residual_too():
    norms = [m for m in build_model(architecture(SMALL)).modules() if isinstance(m, nn.BatchNorm2d)]
    assert len(norms) == 6
    assert all((m.weight == 1).all() and (m.bias == 0).all() for m in norms)


def test_pooled_features_are_the_mean_of_the_last_map():
    model, last = build_model(architecture(SMALL)).eval(), []
    model.backbone.stages.register_forward_hook(lambda _, inputs, out: last.append(out))
    pooled = model(torch.randn(3, 3, 8, 8)).pooled
    torch.testing.assert_close(pooled, last[0].flatten(2).mean(dim=2))


def test_projection_rows_have_unit_length():
    model = build_model(architecture(SMALL, projector={"hidden": 8, "dimension": 5})).eval()
    outputs = model(torch.randn(7, 3, 8, 8))
    assert outputs.projection.shape == (7, 5)
    torch.testing.assert_close(outputs.projection.norm(dim=1), torch.ones(7))
    assert outputs.logits is None


def test_projection_is_of_unit_length_under_half_precision_too():
    model = build_model(architecture(SMALL, projector={"hidden": 8, "dimension": 5})).eval()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        projection = model(torch.randn(7, 3, 8, 8)).projection
    assert projection.dtype == torch.float32
    torch.testing.assert_close(projection.norm(dim=1), torch.ones(7))


def test_projector_reads_the_unnormalised_pooled_features():
    model = build_model(architecture(SMALL, projector={"hidden": 8, "dimension": 5})).eval()
    outputs = model(torch.randn(4, 3, 8, 8))
    raw = model.projector.layers(outputs.pooled)
    torch.testing.assert_close(outputs.projection, raw / raw.norm(dim=1, keepdim=True))


def test_embedding_of_a_linear_head_is_the_pooled_feature():
    model = build_model(architecture(SMALL, head={"kind": "linear", "hidden": 6})).eval()
    outputs = model(torch.randn(4, 3, 8, 8))
    assert torch.equal(outputs.embedding, outputs.pooled)
    torch.testing.assert_close(outputs.logits, model.head.classifier(outputs.pooled))


def test_embedding_of_a_two_layer_head_is_the_hidden_layer():
    model = build_model(architecture(SMALL, head={"kind": "two_layer", "hidden": 6})).eval()
    outputs = model(torch.randn(4, 3, 8, 8))
    linear, norm, _ = model.head.hidden
    assert outputs.embedding.shape == (4, 6)
    torch.testing.assert_close(outputs.embedding, norm(linear(outputs.pooled)).clamp_min(0))
    torch.testing.assert_close(outputs.logits, model.head.classifier(outputs.embedding))


def test_model_without_a_head_embeds_by_its_pooled_features():
    outputs = build_model(architecture(SMALL)).eval()(torch.randn(4, 3, 8, 8))
    assert torch.equal(outputs.embedding, outputs.pooled)
    assert outputs.logits is None
    assert outputs.projection is None


def test_state_names_start_with_the_part():
    names = build_model(architecture(SMALL, head={"kind": "linear"}, projector=PROJECTOR)).state_dict()
    assert {name.split(".")[0] for name in names} == {"backbone", "head", "projector"}


def test_fewer_blocks_than_widths_make_as_many_stages_as_blocks():
    model = build_model(architecture({**SMALL, "blocks": [1], "widths": [4, 8, 16]}))
    assert model.backbone.features == 4
    assert len(model.backbone.stages) == 1


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_outputs_widen_half_precision_and_keep_the_rest(half):
    wide = Outputs(torch.ones(2, 3, dtype=half), torch.ones(2, 3), logits=torch.ones(2, 4, dtype=torch.float64)).float()
    assert [part.dtype for part in (wide.pooled, wide.embedding, wide.logits)] == [
        torch.float32,
        torch.float32,
        torch.float64,
    ]
    assert wide.projection is None


def test_outputs_map_changes_every_part_that_is_there():
    parts = [torch.full((4, 2), float(i)) for i in range(4)]
    doubled = Outputs(*parts).map(lambda part: 2 * part[:1])
    found = [doubled.pooled, doubled.embedding, doubled.logits, doubled.projection]
    assert [part.tolist() for part in found] == [[[2.0 * i] * 2] for i in range(4)]
    bare = Outputs(*parts[:2]).map(lambda part: part + 1)
    assert (bare.logits, bare.projection) == (None, None)


def test_weights_follow_from_the_seed_whatever_the_global_state():
    torch.manual_seed(1)
    first, _ = build(settings(seed=7), torch.device("cpu"))
    torch.manual_seed(2)
    torch.rand(5)
    second, _ = build(settings(seed=7), torch.device("cpu"))
    other, _ = build(settings(seed=8), torch.device("cpu"))
    pairs = list(zip(first.state_dict().values(), second.state_dict().values(), strict=True))
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not torch.equal(first.head.classifier.weight, other.head.classifier.weight)
    assert not torch.equal(first.backbone.stem[0].weight, other.backbone.stem[0].weight)


def test_building_leaves_the_global_state_untouched():
    torch.manual_seed(3)
    before = torch.get_rng_state()
    build(settings(), torch.device("cpu"))
    assert torch.equal(torch.get_rng_state(), before)


def test_prototypes_follow_from_the_seed_too():
    shape = {"prototypes_per_class": 2, "proto_init": "uniform01", "proto_grad": "through_ema"}
    adapt = {"name": "adapt", **shape, "logits": "softplus", "beta": 0.15}
    recipe = {**settings(seed=1, projector={"hidden": 8, "dimension": 5}), "objective": adapt}
    (_, first), (_, second), (_, other) = (build({**recipe, "seed": s}, torch.device("cpu")) for s in (1, 1, 2))
    assert first.prototypes.shape == (6, 5)
    assert torch.equal(first.prototypes, second.prototypes)
    assert not torch.equal(first.prototypes, other.prototypes)
