"""What is trained as released and what corrected: switches, rates, tiny trainings of each, and the paper of ADAPT."""

import copy
import json
import math
from itertools import pairwise

import pytest
import torch
from torch.nn.functional import normalize

from methods import registry
from methods.data.catalog import load_catalog
from methods.errors import ReproError
from methods.objectives import adapt, cider, palm
from methods.objectives.base import Sizes, Terms
from methods.reporting.tables.cost import make as cost_table
from methods.settings import checks, outputs, steps
from methods.settings.figures import named_methods
from methods.settings.load import load_study
from methods.settings.parts import complete_part
from methods.settings.study import Run
from methods.training import fit as engine
from methods.training.augmentation import normalise, plain
from methods.training.checkpoint import load_checkpoint
from methods.training.fit import FitData
from methods.training.optimisers import Stepper
from methods.training.switches import SWITCHES, resolve_switches, switch_problems
from tests import test_schedules, test_settings, test_training
from tests.test_training import identical, images, interrupted

CATALOG = load_catalog()
BOTH = ["corrected", "released"]
CONTRASTIVE = ["adapt", "palm", "cider", "supcon"]

# Switches: section 9 of the specification

ENGINE = {
    "drop_last": False,
    "weight_decay_on_norm": True,
    "lr_timing": "before_step",
    "momentum_cycling": True,
}
SCALED_AS_RELEASED = {
    "lr_on_skipped_step": "hold",
    "ema_on_skipped_step": "update",
    "criterion_precision": "autocast",
    "checkpoint_rule": "best_train_loss",
}
SCALED = {
    "lr_on_skipped_step": "advance",
    "ema_on_skipped_step": "keep",
    "criterion_precision": "fp32",
    "checkpoint_rule": "last",
}
LATE = {**ENGINE, "lr_timing": "after_step"}
RESOLVED = {
    ("adapt", "released"): {**LATE, **SCALED_AS_RELEASED, "train_eval_norm": "mismatched"},
    ("adapt", "corrected"): {**ENGINE, **SCALED, "train_eval_norm": "matched"},
    ("palm", "released"): {**LATE, **SCALED_AS_RELEASED},
    ("palm", "corrected"): {**ENGINE, **SCALED},
    ("cider", "released"): {**ENGINE, "cider_lr_epoch": "zero_based"},
    ("cider", "corrected"): {**ENGINE, "cider_lr_epoch": "clipped_at_zero"},
    ("supcon", "released"): {**ENGINE, "cider_lr_epoch": "zero_based"},
    ("supcon", "corrected"): {**ENGINE, "cider_lr_epoch": "clipped_at_zero"},
    ("logitnorm", "corrected"): ENGINE,
    ("cross_entropy", "corrected"): ENGINE,
}
RELEASED_FIRST = {
    "lr_timing": ["after_step", "before_step"],
    "lr_on_skipped_step": ["hold", "advance"],
    "criterion_precision": ["autocast", "fp32"],
    "ema_on_skipped_step": ["update", "keep"],
    "checkpoint_rule": ["best_train_loss", "last"],
    "train_eval_norm": ["mismatched", "matched"],
    "weight_decay_on_norm": [True, False],
    "drop_last": [False, True],
    "cider_lr_epoch": ["zero_based", "clipped_at_zero", "one_based"],
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _known_catalog(monkeypatch):
    """The real catalog, checked once instead of once a study."""
    monkeypatch.setattr("methods.settings.load.load_catalogs", lambda: (copy.deepcopy(CATALOG), {}))


def record_of(name):
    return registry.records("objectives")[name]


@pytest.mark.parametrize(("name", "protocol"), RESOLVED)
def test_every_switch_has_the_value_of_the_specification(name, protocol):
    assert resolve_switches(record_of(name), protocol, {}) == RESOLVED[name, protocol]


@pytest.mark.parametrize("switch", RELEASED_FIRST)
def test_switches_have_the_specified_values(switch):
    assert SWITCHES[switch]["values"] == RELEASED_FIRST[switch]


@pytest.mark.parametrize("name", CONTRASTIVE)
def test_contrastive_objectives_offer_both_protocols_and_cross_entropy_one(name):
    assert record_of(name)["protocols"] == BOTH
    assert record_of("cross_entropy")["protocols"] == ["corrected"]


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("name", CONTRASTIVE)
def test_values_by_hand_win_over_both_protocols(name, protocol):
    record = record_of(name)
    for switch in RESOLVED[name, protocol]:
        for value in SWITCHES[switch]["values"]:
            assert switch_problems(record, {switch: value}, "here") == []
            found = resolve_switches(record, protocol, {switch: value})
            assert found == {**RESOLVED[name, protocol], switch: value}


@pytest.mark.parametrize(
    ("name", "switch"),
    [
        ("palm", "train_eval_norm"),
        ("cider", "lr_on_skipped_step"),
        ("cider", "ema_on_skipped_step"),
        ("cider", "checkpoint_rule"),
        ("supcon", "criterion_precision"),
        ("adapt", "cider_lr_epoch"),
        ("palm", "bn_mode"),
        ("logitnorm", "checkpoint_rule"),
    ],
)
def test_a_switch_that_does_not_concern_an_objective_is_refused(name, switch):
    (problem,) = switch_problems(record_of(name), {switch: SWITCHES[switch]["values"][0]}, "here")
    assert problem.startswith(f"here has the unknown switch {switch!r}: ")


def test_a_switch_that_nothing_knows_and_a_value_that_it_has_not_are_refused(tmp_path):
    refused = test_settings.refusal(
        tmp_path, {"recipes.adapt.switches": {"checkpoint_rules": "last", "ema_on_skipped_step": "hold"}}
    )
    assert (
        "recipes.adapt.switches has the unknown switch 'checkpoint_rules': did you mean 'checkpoint_rule'?" in refused
    )
    assert "ema_on_skipped_step is 'hold', expected one of ['update', 'keep']" in refused


def test_parameters_that_are_switches_in_the_specification_have_its_defaults():
    defaults = {
        name: {key: part["default"] for key, part in record_of(name)["parameters"].items()} for name in CONTRASTIVE
    }
    for name, columns in (("adapt", False), ("palm", True)):
        assert defaults[name]["prototype_momentum"] == 0.999
        assert defaults[name]["proto_init"] == "uniform01"
        assert defaults[name]["proto_grad"] == "through_ema"
        assert defaults[name]["update_column_norm"] is columns
    assert defaults["cider"]["update"] == "sequential"
    assert defaults["cider"]["base_temperature"] == defaults["supcon"]["base_temperature"] == 0.07


# Rates: section 3

HALF = {"name": "sgd", "learning_rate": 0.5, "momentum": 0.9, "nesterov": True, "weight_decay": 1e-6}
FULL = test_schedules.CONTRASTIVE
FIFTH = 0.5 / 980  # growth of the rate a step in the warm-up


def scaled(timing="after_step", on_skipped="hold", model=None):
    """A stepper as in a fp16 training of ADAPT on 50,000 images."""
    switches = {"lr_timing": timing, "lr_on_skipped_step": on_skipped}
    return test_schedules.stepper(test_schedules.WARMUP, FULL, HALF, model, "fp16", **switches)


def drive(stepper, model, skipped, start=0):
    """Rates of steps of which those marked in ``skipped`` overflow."""
    found = []
    for step, overflows in enumerate(skipped, start):
        stepper.set_rate(step)
        found.append(stepper.optimiser.param_groups[0]["lr"])
        loss = sum(weight.sum() for weight in model.parameters()) * 1e-3
        assert stepper.step(loss * torch.inf if overflows else loss) is overflows
    return found


def test_the_released_rates_of_adapt_start_at_the_peak_and_then_at_zero():
    settings = {"lr_timing": "after_step", "lr_on_skipped_step": "hold"}
    stepper = test_schedules.stepper(test_schedules.WARMUP, FULL, HALF, **settings)
    expected = {
        0: 0.5,
        1: 0.0,
        2: 5.102040816326531e-4,
        3: 2 * 5.102040816326531e-4,
        980: 0.49948979591836734,
        981: 0.5,
        982: 0.49999999946552065,
        24_501: 0.25825488149852094,
        40_001: 0.04255642948780164,
    }
    found = test_schedules.rates(stepper, expected)
    assert found == pytest.approx(list(expected.values()), rel=1e-13, abs=0)


@pytest.mark.parametrize(
    ("timing", "on_skipped", "skipped", "expected"),
    [
        ("after_step", "hold", [0, 0, 0, 0], [0.5, 0, FIFTH, 2 * FIFTH]),
        ("after_step", "hold", [1, 1, 1, 0, 0, 0], [0.5, 0.5, 0.5, 0.5, 3 * FIFTH, 4 * FIFTH]),
        ("after_step", "hold", [0, 0, 1, 1, 0, 0], [0.5, 0, FIFTH, FIFTH, FIFTH, 4 * FIFTH]),
        ("after_step", "advance", [1, 1, 1, 0, 0, 0], [0.5, 0, FIFTH, 2 * FIFTH, 3 * FIFTH, 4 * FIFTH]),
        ("before_step", "advance", [1, 1, 1, 0, 0], [0, FIFTH, 2 * FIFTH, 3 * FIFTH, 4 * FIFTH]),
    ],
)
def test_the_rate_waits_for_the_loss_scaler_only_where_it_is_held(timing, on_skipped, skipped, expected):
    model = test_schedules.network()
    found = drive(scaled(timing, on_skipped, model), model, [bool(step) for step in skipped])
    assert found == pytest.approx(expected, rel=1e-13, abs=0)


def test_a_loss_scale_that_grows_holds_no_rate():
    model = test_schedules.network()
    stepper = scaled(model=model)
    stepper.scaler = torch.amp.GradScaler("cpu", init_scale=4.0, growth_interval=1)
    assert drive(stepper, model, [False] * 4) == pytest.approx([0.5, 0, FIFTH, 2 * FIFTH], rel=1e-13, abs=0)
    assert stepper.scaler.get_scale() == 64


@pytest.mark.parametrize("cut", range(1, 6))
def test_a_held_rate_survives_the_state_of_the_scaler_as_json(cut):
    skipped = [True, True, False, True, False, False]
    model, other = test_schedules.network(), test_schedules.network()
    whole = scaled(model=model)
    rates = drive(whole, model, skipped)
    first, second = (scaled(model=other) for _ in range(2))
    found = drive(first, other, skipped[:cut])
    second.restore_scaler(json.loads(json.dumps(first.scaler_state())))
    found += drive(second, other, skipped[cut:], start=cut)
    assert found == rates
    assert second.scaler_state() == whole.scaler_state()
    assert second.scaler.get_scale() == 65_536 / 2**3


@pytest.mark.parametrize(
    ("counting", "rates"),
    [
        ("zero_based", {0: -0.048850717542496085, 97: 4.913e-4, 98: 0.001, 490: 0.20040287017, 1_078: 0.49940372346}),
        ("clipped_at_zero", {0: 0.001, 97: 0.001, 98: 0.001, 490: 0.20040287017, 1_078: 0.49940372346}),
        ("one_based", {0: 0.001, 392: 0.20040287017, 980: 0.49940372346, 24_402: 0.25025}),
    ],
)
def test_the_switch_reaches_the_rates_of_cider(counting, rates):
    schedule = {"name": "cider", "warmup_epochs": 10, "warmup_from": 0.001, "final_rate": 5e-4}
    stepper = test_schedules.stepper(schedule, FULL, HALF, cider_lr_epoch=counting)
    assert test_schedules.rates(stepper, rates) == pytest.approx(list(rates.values()), rel=1e-4)


# Tiny trainings: 50 images in four batches an epoch

SMALL = {"prototypes_per_class": 2, "top_k": 1, "prototype_momentum": 0.9}
OBJECTIVES = {
    "adapt": {"name": "adapt", **SMALL},
    "palm": {"name": "palm", **SMALL},
    "cider": {"name": "cider", "prototype_momentum": 0.5},
    "supcon": {"name": "supcon"},
    "logitnorm": {"name": "logitnorm", "temperature": 0.2},
    "adapt, learnable": {"name": "adapt", **SMALL, "proto_grad": "learnable"},
    "palm, learnable": {"name": "palm", **SMALL, "proto_grad": "learnable"},
}
STATE = {"objective.prototypes", "objective.prototype_classes"}
SETS = FitData(images(50))


def recipe(case, protocol="corrected", switches=None, **changes):
    """Settings of one tiny training, in the form that ``methods.settings.steps.train_settings`` gives."""
    objective = complete_part("objectives", "name", OBJECTIVES[case])
    record = record_of(objective["name"])
    late = objective["name"] in ("cider", "supcon")
    schedule = {"name": "cider" if late else "warmup_cosine", "warmup_epochs": 1, "final_rate": 1e-3}
    return {
        **test_training.settings("adapt" if "projector" in record["needs"] else "cross_entropy"),
        "objective": objective,
        "protocol": protocol,
        "switches": resolve_switches(record, protocol, switches or {}),
        "schedule": {**schedule, "warmup_from": 1e-3},
        **changes,
    }


def run(settings, tmp_path, **more):
    return test_training.run(settings, tmp_path, SETS, **more)


def rate(value):
    return {"name": "sgd", "learning_rate": value, "weight_decay": 1e-4, "momentum": 0.9, "nesterov": True}


@pytest.mark.parametrize("case", OBJECTIVES)
def test_the_loss_falls_on_a_set_that_can_be_learned(case, tmp_path):
    history = run(recipe(case, epochs=8, optimiser=rate(0.05)), tmp_path).history
    assert history[-1]["total"] < 0.9 * history[0]["total"]
    assert all(math.isfinite(value) for row in history for value in row.values())


@pytest.mark.parametrize("protocol", BOTH)
@pytest.mark.parametrize("case", OBJECTIVES)
def test_a_resumed_training_is_the_uninterrupted_one_bit_for_bit(case, protocol, tmp_path, monkeypatch):
    late = protocol == "released" and case.startswith(("adapt", "palm"))
    settings = recipe(case, protocol, selection={"rule": "best_train_loss" if late else "last"})
    whole = run(settings, tmp_path, file="never_interrupted")
    interrupted(settings, tmp_path, monkeypatch, stop=10, sets=SETS)
    resumed = run(settings, tmp_path)
    assert resumed.cost["resumed"] == 1
    assert identical(whole, resumed)


@pytest.mark.parametrize("case", ["adapt, learnable", "palm, learnable"])
def test_the_momentum_of_learnable_prototypes_is_in_the_checkpoint_and_is_needed(case, tmp_path, monkeypatch):
    settings = recipe(case)
    whole = run(settings, tmp_path, file="never_interrupted")
    interrupted(settings, tmp_path, monkeypatch, stop=10, sets=SETS)
    path = tmp_path / "checkpoint.safetensors"
    tensors, progress = load_checkpoint(path)
    place = sum(1 for _ in engine.build(settings, torch.device("cpu"))[0].parameters())
    momentum = tensors[f"optimiser.{place}.momentum_buffer"]
    assert momentum.shape == (6, 4)
    assert momentum.abs().max() > 0
    momentum.zero_()
    engine.ckpt.save_checkpoint(path, tensors, progress)
    assert not identical(whole, run(settings, tmp_path))


def test_a_rate_held_over_an_interruption_is_the_uninterrupted_one(tmp_path, monkeypatch):
    original = torch.amp.GradScaler
    monkeypatch.setattr(torch.amp, "GradScaler", lambda *a, **k: original(*a, **k, init_scale=2.0**50))
    settings = recipe("adapt", "released", {"criterion_precision": "fp32"}, precision="fp16", epochs=10)
    whole = run(settings, tmp_path, file="never_interrupted")
    interrupted(settings, tmp_path, monkeypatch, stop=10, sets=SETS)
    progress = load_checkpoint(tmp_path / "checkpoint.safetensors")[1]
    assert (progress.epoch, progress.scaler["rate"], progress.scaler["skipped"]) == (2, 0.1, 1)
    resumed = run(settings, tmp_path)
    assert identical(whole, resumed)
    assert [row["learning_rate"] for row in whole.history[:2]] == [0.1, 0.1]  # warm-up would have ended at 0.05
    assert whole.history[-1]["learning_rate"] < 0.01


@pytest.mark.parametrize(
    ("case", "classes"),
    [
        ("cider", [0, 1, 2]),
        ("palm", [0, 1, 2, 0, 1, 2]),
        ("adapt", [0, 1, 2, 0, 1, 2]),
        ("palm, learnable", [0, 1, 2, 0, 1, 2]),
        ("adapt, learnable", [0, 1, 2, 0, 1, 2]),
    ],
)
def test_prototypes_end_in_the_tensors_of_the_model(case, classes, tmp_path):
    settings = recipe(case, epochs=2)
    tensors = run(settings, tmp_path).tensors
    assert {name for name in tensors if name.startswith("objective.")} == STATE
    found = tensors["objective.prototypes"]
    assert tensors["objective.prototype_classes"].tolist() == classes
    assert found.shape == (len(classes), 4)
    assert not found.requires_grad
    torch.testing.assert_close(found.norm(dim=1), torch.ones(len(classes)))
    assert not torch.allclose(found, engine.build(settings, torch.device("cpu"))[1].prototypes)


@pytest.mark.parametrize("case", ["supcon", "logitnorm"])
def test_objectives_without_prototypes_leave_no_tensors(case, tmp_path):
    assert not any(name.startswith("objective.") for name in run(recipe(case, epochs=1), tmp_path).tensors)


def first_calls(monkeypatch, cls):
    """(prototypes, labels, host labels) at every call of the loss from now on."""
    seen, original = [], cls.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        seen.append((self.prototypes.detach().clone(), labels, context.host_labels))
        return original(self, outputs, outlier_outputs, labels, context)

    monkeypatch.setattr(cls, "loss", loss)
    return seen


def test_prototypes_of_cider_start_at_the_class_means_of_the_plain_training_set(tmp_path, monkeypatch):
    settings = recipe("cider", epochs=1)
    model = engine.build(settings, torch.device("cpu"))[0].eval()
    with torch.no_grad():
        z = model(normalise(plain(torch.from_numpy(SETS.train.pixels)), settings["normalisation"])).projection
    labels = torch.from_numpy(SETS.train.labels)
    means = torch.stack([z[labels == c].mean(dim=0) for c in range(3)])
    seen = first_calls(monkeypatch, cider.Cider)
    tensors = run(settings, tmp_path).tensors
    torch.testing.assert_close(seen[0][0], normalize(means, dim=1), rtol=0, atol=1e-6)
    assert tensors["backbone.stem.1.num_batches_tracked"] == 4  # looking at the set moved no running statistics


def test_prototypes_of_a_resumed_cider_do_not_start_anew(tmp_path, monkeypatch):
    settings = recipe("cider")
    interrupted(settings, tmp_path, monkeypatch, stop=10, sets=SETS)
    saved = load_checkpoint(tmp_path / "checkpoint.safetensors")[0]["now.objective.prototypes"]
    seen = first_calls(monkeypatch, cider.Cider)
    run(settings, tmp_path)
    assert torch.equal(seen[0][0], saved)


@pytest.mark.parametrize(("case", "cls"), [("cider", cider.Cider), ("adapt", adapt.Adapt)])
def test_an_objective_gets_the_labels_of_its_batch_on_the_host_too(case, cls, tmp_path, monkeypatch):
    seen = first_calls(monkeypatch, cls)
    run(recipe(case, epochs=1), tmp_path)
    assert [len(labels) for _, labels, _ in seen] == [16, 16, 16, 2]
    assert all(host.device.type == "cpu" and torch.equal(host, labels) for _, labels, host in seen)


def test_released_cider_climbs_in_its_first_epoch_and_corrected_cider_does_not(tmp_path):
    rates = {}
    for protocol in BOTH:
        settings = recipe("cider", protocol, epochs=2)
        rates[protocol] = [row["learning_rate"] for row in run(settings, tmp_path, file=protocol).history]
    top = 1e-3 + 0.5 * (0.1 - 1e-3)  # half of the cosine after one of two epochs
    assert rates["released"] == pytest.approx([1e-3 - (top - 1e-3) / 4, 1e-3 + 0.75 * (top - 1e-3)])
    assert rates["corrected"] == pytest.approx([1e-3, rates["released"][1]])
    assert rates["released"][0] < 0


# What the loss scaler skips, and the arithmetic of the criterion


@pytest.mark.parametrize("case", ["adapt", "palm"])
def test_prototypes_move_on_a_skipped_step_only_where_the_switch_says_so(case, tmp_path, monkeypatch):
    """One step: prototypes move by the forward pass before it, the same whether it is then taken or not."""
    settings = {kind: recipe(case, switches={"ema_on_skipped_step": kind}) for kind in ("update", "keep")}
    one = {"epochs": 1, "batch": 50}
    taken = run({**settings["keep"], **one}, tmp_path).tensors
    start = engine.build(settings["keep"], torch.device("cpu"))[1].prototypes
    monkeypatch.setattr(Stepper, "step", lambda self, loss: True)
    skipped = {kind: run({**settings[kind], **one}, tmp_path).tensors for kind in settings}
    assert torch.equal(skipped["keep"]["objective.prototypes"], start)
    assert torch.equal(skipped["update"]["objective.prototypes"], taken["objective.prototypes"])
    assert not torch.equal(taken["objective.prototypes"], start)
    weights = {kind: [w for n, w in skipped[kind].items() if n.endswith("weight")] for kind in skipped}
    assert all(map(torch.equal, weights["keep"], weights["update"]))


@pytest.mark.parametrize(("kind", "moves"), [("update", 4), ("keep", 2)])
def test_of_several_steps_those_that_are_skipped_count_by_the_switch(kind, moves, tmp_path, monkeypatch):
    original, calls = Stepper.step, iter([True, False, True, False])
    monkeypatch.setattr(Stepper, "step", lambda self, loss: True if next(calls) else original(self, loss))
    seen = first_calls(monkeypatch, adapt.Adapt)
    tensors = run(recipe("adapt", switches={"ema_on_skipped_step": kind}, epochs=1), tmp_path).tensors
    states = [*(prototypes for prototypes, *_ in seen), tensors["objective.prototypes"]]
    assert sum(not torch.equal(a, b) for a, b in pairwise(states)) == moves


@pytest.mark.parametrize("case", ["adapt", "palm"])
def test_the_criterion_runs_in_half_precision_only_where_switch_and_precision_say_so(case, tmp_path, monkeypatch):
    seen, cls = [], {"adapt": adapt.Adapt, "palm": palm.Palm}[case]
    original = cls.similarity
    monkeypatch.setattr(cls, "similarity", lambda self, cosine: (seen.append(cosine.dtype), original(self, cosine))[1])
    found = {
        (precision, kind): run(
            recipe(case, switches={"criterion_precision": kind}, precision=precision, epochs=1), tmp_path
        )
        for precision in ("fp32", "bf16")
        for kind in ("autocast", "fp32")
    }
    half, full = torch.bfloat16, torch.float32
    assert seen == 8 * [full] + 4 * [half] + 4 * [full]
    assert identical(found["fp32", "autocast"], found["fp32", "fp32"])
    assert found["bf16", "autocast"].history[0]["total"] != found["bf16", "fp32"].history[0]["total"]
    first = [found["bf16", kind].history[0]["total"] for kind in ("autocast", "fp32")]
    assert first[0] == pytest.approx(first[1], rel=0.2)
    assert {t.dtype for t in found["bf16", "autocast"].tensors.values()} == {torch.float32, torch.int64}


@pytest.mark.parametrize("case", ["adapt", "palm"])
def test_released_fp16_trains_on_a_cpu_too(case, tmp_path):
    run(recipe(case, "released", precision="fp16", epochs=1), tmp_path)


# Which weights are kept, and how they are evaluated

SCRIPT = [-0.2, -0.5, -0.9, -0.4, -0.9]  # what the loss of each epoch is made to be; the third is the first of the best


@pytest.mark.parametrize(("protocol", "epochs"), [("released", 3), ("corrected", 5)])
def test_a_released_run_keeps_the_epoch_of_lowest_loss_and_a_corrected_one_the_last(
    protocol, epochs, tmp_path, monkeypatch
):
    study = test_settings.study_of(tmp_path, config={"protocols": BOTH})
    selection = steps.train_settings(study, Run("digits", "adapt", protocol, 0))["selection"]
    settings = recipe("adapt", schedule={"name": "constant"})
    wanted = run({**settings, "epochs": epochs}, tmp_path)
    original = adapt.Adapt.loss

    def loss(self, outputs, outlier_outputs, labels, context):
        terms = original(self, outputs, outlier_outputs, labels, context)
        return Terms(terms.total - terms.total.detach() + SCRIPT[context.epoch])

    monkeypatch.setattr(adapt.Adapt, "loss", loss)
    found = run({**settings, "epochs": 5, "selection": selection}, tmp_path)
    assert [row["total"] for row in found.history] == pytest.approx(SCRIPT)
    assert all(torch.equal(found.tensors[name], wanted.tensors[name]) for name in wanted.tensors)


def adapt_on_digits(folder, protocol, **changes):
    """A study of ADAPT on digits, its recipe changed, and one of its runs."""
    document = {f"recipes.adapt.{key}": value for key, value in changes.items()}
    return test_settings.study_of(folder, document, {"protocols": BOTH}), Run("digits", "adapt", protocol, 0)


@pytest.mark.parametrize(
    ("changes", "rules"),
    [
        ({}, {"released": "best_train_loss", "corrected": "last"}),
        ({"switches": {"checkpoint_rule": "last"}}, {"released": "last", "corrected": "last"}),
        ({"switches": {"checkpoint_rule": "best_train_loss"}}, dict.fromkeys(BOTH, "best_train_loss")),
        ({"selection": {"rule": "best_train_loss"}}, dict.fromkeys(BOTH, "best_train_loss")),
        (
            {"selection": {"rule": "best_validation"}, "head": {"kind": "linear"}},
            dict.fromkeys(BOTH, "best_validation"),
        ),
    ],
)
def test_the_rule_of_selection_is_that_of_the_recipe_or_else_of_the_switch(changes, rules, tmp_path):
    for protocol, rule in rules.items():
        study, one = adapt_on_digits(tmp_path, protocol, **changes)
        assert steps.selection_rule(study, one) == rule
        assert steps.train_settings(study, one)["selection"] == {"rule": rule}
        assert ("validation" in steps.train_sets(study, one)) is (rule == "best_validation")


OTHER = {"mean": [0.1, 0.1, 0.1], "std": [0.2, 0.2, 0.2]}
OWN = test_settings.SHARED["normalisation"]


@pytest.mark.parametrize(
    ("protocol", "changes", "evaluated"),
    [
        ("released", {"evaluation_normalisation": OTHER}, OTHER),
        ("corrected", {"evaluation_normalisation": OTHER}, OWN),
        ("corrected", {"evaluation_normalisation": OTHER, "switches": {"train_eval_norm": "mismatched"}}, OTHER),
        ("released", {"evaluation_normalisation": OTHER, "switches": {"train_eval_norm": "matched"}}, OWN),
        ("released", {}, OWN),
    ],
)
def test_the_switch_of_normalisation_changes_evaluation_and_not_training(protocol, changes, evaluated, tmp_path):
    plain_study, one = adapt_on_digits(tmp_path, protocol)
    trained = steps.train_settings(plain_study, one)
    study, _ = adapt_on_digits(tmp_path, protocol, **changes)
    assert steps.train_settings(study, one) == trained
    assert trained["normalisation"] == OWN
    for split in ("train", "test"):
        told = steps.extract_settings(study, one, "digits", split)
        assert told == {**steps.extract_settings(plain_study, one, "digits", split), "normalisation": evaluated}
    assert steps.network_score_settings(study, one)["normalisation"] == evaluated


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"recipes.adapt.switches": {"train_eval_norm": "mismatched"}},
            "train_eval_norm is mismatched, which needs the key evaluation_normalisation",
        ),
        (
            {"recipes.plain.evaluation_normalisation": OTHER},
            "recipes.plain has an evaluation_normalisation, which Cross-entropy never uses",
        ),
    ],
)
def test_a_normalisation_of_evaluation_and_its_switch_ask_for_each_other(changes, message, tmp_path):
    assert message in test_settings.refusal(tmp_path, changes)


def test_prototypes_that_the_last_step_breaks_are_noticed(tmp_path, monkeypatch):
    """No later loss would tell: the training ends with that step."""
    commit = palm.Palm.commit

    def broken(self, skipped):
        commit(self, skipped)
        self.steps = getattr(self, "steps", 0) + 1
        if self.steps == 4:  # one epoch of 50 images in batches of 16
            self.prototypes.fill_(math.nan)

    monkeypatch.setattr(palm.Palm, "commit", broken)
    with pytest.raises(ReproError, match="NaN or infinite at step 3"):
        run(recipe("palm", epochs=1), tmp_path)


def test_settings_of_a_training_hold_the_switches_that_shape_it_and_no_other(tmp_path):
    for protocol in BOTH:
        study, one = adapt_on_digits(tmp_path, protocol)
        expected = dict(RESOLVED["adapt", protocol])
        del expected["checkpoint_rule"], expected["train_eval_norm"]
        assert steps.train_settings(study, one)["switches"] == expected
        assert steps.resolved_switches(study, one) == RESOLVED["adapt", protocol]


# The paper of ADAPT


@pytest.fixture(scope="module")
def paper():
    """papers/adapt.yaml as a study of both protocols and three seeds."""
    return load_study({"papers": ["adapt"], "protocols": BOTH, "seeds": [0, 1, 2]})


def test_the_paper_loads_without_notices(paper):
    assert paper.notices == []
    assert (paper.left_out, paper.left_out_scores) == ({}, {})


SGD = {"name": "sgd", "momentum": 0.9, "nesterov": True}
MULTI = {
    "prototypes_per_class": 6,
    "top_k": 5,
    "prototype_momentum": 0.999,
    "temperature": 0.1,
    "contrast_weight": 1.0,
    "epsilon": 0.05,
    "sinkhorn_rounds": 3,
    "proto_init": "uniform01",
    "proto_grad": "through_ema",
}
ADAPT = {
    **MULTI,
    "name": "adapt",
    "beta": 0.15,
    "base_temperature": 0.4,
    "base_alignment": 0.5,
    "contrast_temperature": None,
    "logits": "softplus",
    "update_column_norm": False,
}
PALM = {**MULTI, "name": "palm", "contrast_temperature": 0.5, "update_column_norm": True}
SUPCON = {"name": "supcon", "temperature": 0.1, "base_temperature": 0.07}
CIDER = {"name": "cider", "temperature": 0.1, "base_temperature": 0.07, "update": "sequential"}
CIDER_10 = {**CIDER, "prototype_momentum": 0.95, "compactness_weight": 2.0}
CIDER_100 = {**CIDER, "prototype_momentum": 0.5, "compactness_weight": 1.0}

CONSTANTS = {
    "cifar10": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]},
    "cifar100": {"mean": [0.5071, 0.4867, 0.4408], "std": [0.2675, 0.2565, 0.2761]},
    "cider": {"mean": [0.491, 0.482, 0.447], "std": [0.247, 0.244, 0.262]},
    "openood": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]},
}
WARM = {"name": "warmup_cosine", "warmup_epochs": 10, "warmup_from": 0.0, "final_rate": 5e-4}
BY_EPOCH = {"name": "cider", "warmup_epochs": 10, "warmup_from": 0.001, "final_rate": 5e-4}
COSINE = {"name": "cosine", "warmup_epochs": 0, "warmup_from": 0.0, "final_rate": 1e-6}
TWO_VIEWS = {
    "random_resized_crop": {"area": [0.2, 1.0], "aspect": [3 / 4, 4 / 3]},
    "horizontal_flip": 0.5,
    "colour_jitter": {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1},
    "grayscale": 0.2,
}
ONE_VIEW = {"horizontal_flip": 0.5, "random_crop": {"padding": 4}}
DEPTHS = {"r18": [2, 2, 2, 2], "r34": [3, 4, 6, 3]}

# (method, benchmark): objective, schedule, epochs, batch, rate, weight decay, normalisation of training
RECIPES = {
    ("adapt", "cifar10-r34"): (ADAPT, WARM, 500, 512, 0.5, 1e-6, "cifar10"),
    ("adapt", "cifar10-r18"): (ADAPT, WARM, 500, 512, 0.5, 1e-6, "cifar10"),
    ("adapt", "cifar100-r34"): (ADAPT, WARM, 500, 512, 0.5, 1e-6, "cifar100"),
    ("palm", "cifar10-r18"): (PALM, WARM, 500, 512, 0.5, 1e-6, "cifar10"),
    ("palm", "cifar10-r34"): (PALM, WARM, 500, 512, 0.5, 1e-6, "cifar10"),
    ("palm", "cifar100-r34"): (PALM, WARM, 500, 512, 0.5, 1e-6, "cifar100"),
    ("cider", "cifar10-r18"): (CIDER_10, BY_EPOCH, 500, 512, 0.5, 1e-4, "cider"),
    ("cider", "cifar100-r34"): (CIDER_100, BY_EPOCH, 500, 512, 0.5, 1e-4, "cider"),
    ("supcon", "cifar10-r18"): (SUPCON, BY_EPOCH, 500, 512, 0.5, 1e-4, "cider"),
    ("supcon", "cifar100-r34"): (SUPCON, BY_EPOCH, 500, 512, 0.5, 1e-4, "cider"),
    ("cross_entropy", "cifar10-r18"): ({"name": "cross_entropy"}, COSINE, 100, 128, 0.1, 5e-4, "openood"),
    ("cross_entropy", "cifar100-r18"): ({"name": "cross_entropy"}, COSINE, 100, 128, 0.1, 5e-4, "cifar100"),
    ("cross_entropy", "cifar100-r34"): ({"name": "cross_entropy"}, COSINE, 100, 128, 0.1, 5e-4, "cifar100"),
}


@pytest.mark.parametrize(("method", "benchmark"), RECIPES)
def test_recipes_have_the_values_of_the_specification(method, benchmark, paper):
    objective, schedule, epochs, batch, learning_rate, decay, constants = RECIPES[method, benchmark]
    for protocol in paper.protocols(benchmark, method):
        told = steps.train_settings(paper, Run(benchmark, method, protocol, 0))
        assert told["objective"] == objective
        assert told["schedule"] == schedule
        assert (told["epochs"], told["batch"]) == (epochs, batch)
        assert told["optimiser"] == {
            **SGD,
            "learning_rate": learning_rate,
            "backbone_rate_share": 1.0,
            "weight_decay": decay,
        }
        assert told["augmentation"] == (ONE_VIEW if method == "cross_entropy" else TWO_VIEWS)
        assert told["normalisation"] == CONSTANTS[constants]
        late = protocol == "released" and method in ("adapt", "palm")
        assert told["selection"] == {"rule": "best_train_loss" if late else "last"}
        assert told["data"] == {"train": f"{benchmark.split('-')[0]}/train"}
        assert told["architecture"]["network"]["blocks"] == DEPTHS[benchmark.split("-")[1]]
        assert told["architecture"]["network"].get("widths", [64, 128, 256, 512]) == [64, 128, 256, 512]
        assert told["architecture"]["projector"] == (
            None if method == "cross_entropy" else {"hidden": 512, "dimension": 128}
        )
        assert told["architecture"]["head"] == (
            {"kind": "linear", "hidden": 1000} if method == "cross_entropy" else None
        )


def test_every_method_of_the_specification_is_evaluated_where_it_has_values(paper):
    named = {"cross_entropy", *CONTRASTIVE}
    there = {(method, name) for name, methods in paper.evaluate.items() for method in methods if method in named}
    assert there == set(RECIPES)


@pytest.mark.parametrize(
    ("name", "classes", "count"), [("adapt", 10, 60), ("adapt", 100, 600), ("palm", 10, 60), ("palm", 100, 600)]
)
def test_there_are_as_many_prototypes_as_specified(name, classes, count):
    objective = {"adapt": ADAPT, "palm": PALM}[name]
    module = {"adapt": adapt, "palm": palm}[name]
    built = module.build(objective, Sizes(classes, 128), torch.Generator().manual_seed(0))
    assert built.prototypes.shape == (count, 128)


@pytest.mark.parametrize(
    ("method", "benchmark", "protocol", "constants"),
    [
        ("adapt", "cifar10-r34", "released", "cider"),
        ("adapt", "cifar100-r34", "released", "cider"),
        ("adapt", "cifar10-r34", "corrected", "cifar10"),
        ("adapt", "cifar100-r34", "corrected", "cifar100"),
        ("adapt-beta0", "cifar100-r34", "released", "cider"),
        ("palm", "cifar10-r18", "released", "cifar10"),
        ("palm", "cifar100-r34", "released", "cifar100"),
        ("cider", "cifar100-r34", "released", "cider"),
        ("supcon", "cifar10-r18", "corrected", "cider"),
        ("cross_entropy", "cifar10-r18", "corrected", "openood"),
    ],
)
def test_evaluation_normalises_as_specified(method, benchmark, protocol, constants, paper):
    one = Run(benchmark, method, protocol, 0)
    assert steps.extract_settings(paper, one, "svhn", "test_selected")["normalisation"] == CONSTANTS[constants]


ADAPT_CHANGES = {
    "adapt-beta0": {"beta": 0.0},
    "adapt-fixed-temperature": {"contrast_temperature": 0.5},
    "adapt-one-prototype": {"prototypes_per_class": 1, "top_k": 1},
    "adapt-learnable": {"proto_grad": "learnable"},
    **{f"adapt-beta{name}": {"beta": beta} for name, beta in {"005": 0.05, "01": 0.1, "03": 0.3, "05": 0.5}.items()},
    **{f"adapt-m{m}": {"prototypes_per_class": m, "top_k": min(m, 5)} for m in (2, 4, 8, 10)},
    **{f"adapt-k{k}": {"top_k": k} for k in (1, 2, 3, 4, 6)},
    **{f"adapt-tau{n}": {"temperature": tau} for n, tau in {"005": 0.05, "007": 0.07, "02": 0.2, "05": 0.5}.items()},
}


def test_variants_of_adapt_change_what_their_names_say_and_nothing_else(paper):
    there = {method for method in paper.evaluate["cifar100-r34"] if method.startswith("adapt-")}
    assert there == set(ADAPT_CHANGES)
    base = {p: steps.train_settings(paper, Run("cifar100-r34", "adapt", p, 0)) for p in BOTH}
    for method, changes in ADAPT_CHANGES.items():
        for protocol in BOTH:
            told = steps.train_settings(paper, Run("cifar100-r34", method, protocol, 0))
            assert told == {**base[protocol], "objective": {**ADAPT, **changes}}


FIVES = {
    "adapt_five": {"svhn", "isun", "lsun_r", "tin_r", "textures"},
    "palm_five": {"svhn", "places365", "lsun_c", "isun", "textures"},
}


def test_groups_hold_the_sets_of_the_specification(paper):
    for benchmark in paper.evaluate:
        told = steps.evaluate_settings(paper, paper.runs(benchmark)[0])
        assert {group: set(told["groups"][group]) for group in FIVES} == FIVES
        assert set.union(*FIVES.values()) <= set(told["sets"])
        ood = paper.benchmarks[benchmark]["ood"]
        assert (ood["svhn"]["split"], ood["places365"]["split"]) == ("test_selected", "test_10000")
        assert paper.benchmarks[benchmark]["render"] == {"size": 32, "resize": "short_side_crop"}


@pytest.mark.parametrize(
    ("benchmark", "method", "score"),
    [
        ("cifar10-r34", "adapt", {"score": "mahalanobis_total"}),
        ("cifar100-r34", "adapt", {"score": "mahalanobis_total"}),
        ("cifar100-r34", "adapt", {"score": "knn", "k": 300}),
        ("cifar100-r34", "palm", {"score": "ssd_plus", "variant": "palm"}),
        ("cifar10-r18", "cider", {"score": "knn", "k": 100}),
        ("cifar100-r34", "cider", {"score": "knn", "k": 300}),
        ("cifar10-r18", "supcon", {"score": "knn", "k": 50}),
        ("cifar100-r34", "supcon", {"score": "knn", "k": 300}),
    ],
)
def test_every_method_has_the_score_it_is_released_with(benchmark, method, score, paper):
    known = steps.score_settings(paper, Run(benchmark, method, "released", 0)).values()
    assert any(score.items() <= instance.items() for instance in known)


def test_cross_entropy_has_corrected_runs_alone_and_adapt_both(paper):
    found = {
        method: [run.protocol for run in paper.runs("cifar10-r18", [method]) if run.seed == 0]
        for method in ("cross_entropy", *CONTRASTIVE)
    }
    assert found == {"cross_entropy": ["corrected"], **dict.fromkeys(CONTRASTIVE, BOTH)}
    assert len(paper.runs("cifar10-r18", ["adapt"])) == 6
    assert len(paper.runs("cifar10-r18", ["cross_entropy"])) == 3


def entries(study, kind):
    return study.papers["adapt"][kind].items()


def wanted_methods(study, entry):
    return named_methods(entry) or list(study.evaluate[entry["benchmark"]])


def over_seeds(entry):
    return checks.output_record(entry)["needs"] == "metrics"


def test_every_table_has_the_runs_of_its_methods(paper):
    for key, entry in entries(paper, "tables"):
        assert outputs.possible(paper, "adapt", entry), key
        wanted = {
            (method, protocol, seed)
            for method in wanted_methods(paper, entry)
            for protocol in (["corrected"] if method == "cross_entropy" else BOTH)
            for seed in (0, 1, 2)
            if method != "logitnorm"
        }
        runs = [r for r in outputs.table_runs(paper, "adapt", entry) if r.method != "logitnorm"]
        assert {(r.method, r.protocol, r.seed) for r in runs} == wanted
        assert len(runs) == len(wanted)
        told = outputs.table_settings(paper, "adapt", entry)
        assert [method for method, _ in told["methods"]] == wanted_methods(paper, entry)


@pytest.fixture(scope="module")
def reversed_paper():
    """The same with released before corrected."""
    return load_study({"papers": ["adapt"], "protocols": BOTH[::-1], "seeds": [0, 1, 2]})


@pytest.mark.parametrize("first", BOTH)
def test_every_figure_has_one_run_a_method_of_the_first_protocol_it_offers(first, paper, reversed_paper):
    study = paper if first == "corrected" else reversed_paper
    for key, entry in entries(study, "figures"):
        assert outputs.drawable(study, "adapt", entry), key
        runs = outputs.figure_runs(study, "adapt", entry)
        names, seeds = wanted_methods(study, entry), {0, 1, 2} if over_seeds(entry) else {0}
        assert {r.method: r.protocol for r in runs} == {
            method: "corrected" if method == "cross_entropy" else first for method in names
        }
        assert (len(runs), {r.seed for r in runs}) == (len(names) * len(seeds), seeds)
        assert outputs.figure_settings(study, "adapt", entry)["sources"]


def test_rows_and_curves_stand_in_the_order_of_the_paper_whatever_the_order_of_protocols(reversed_paper):
    for _, entry in entries(reversed_paper, "tables"):
        told = outputs.table_settings(reversed_paper, "adapt", entry)
        assert [method for method, _ in told["methods"]] == wanted_methods(reversed_paper, entry)
    for _, entry in entries(reversed_paper, "figures"):
        runs = outputs.figure_runs(reversed_paper, "adapt", entry)
        assert list(dict.fromkeys(run.method for run in runs)) == wanted_methods(reversed_paper, entry)


def test_the_table_of_costs_has_no_row_for_a_protocol_that_a_method_does_not_offer(paper):
    entry = paper.papers["adapt"]["tables"]["cost"]
    told = outputs.table_settings(paper, "adapt", {**entry, "methods": ["cross_entropy", "adapt"]})
    cost = {"seconds": 2, "images_per_second": 3, "peak_process_bytes": 2**20, "peak_gpu_bytes": 0}
    found = cost_table(told, [(tuple(run), [cost]) for run in told["runs"]])
    assert [label for label, _ in found.rows] == ["Cross-entropy (corrected)", "ADAPT (corrected)", "ADAPT (released)"]
    assert [row[0].mean for row in found.cells] == [2, 2, 2]


def test_captions_of_figures_name_the_protocol(paper):
    for key, entry in entries(paper, "figures"):
        caption = outputs.figure_caption(paper, entry)
        seeds = "Mean over seeds 0, 1, 2" if over_seeds(entry) else "Seed 0"
        assert caption.startswith(f"{entry['caption']}. {seeds}"), key
        assert ", protocol corrected." in caption, key


def test_captions_of_figures_name_no_protocol_that_is_not_shown(reversed_paper):
    entry = reversed_paper.papers["adapt"]["figures"]["embedding"]  # of ADAPT alone
    assert outputs.figure_caption(reversed_paper, entry).endswith("Seed 0, protocol released.")


# Released alone


def test_a_method_without_the_protocol_is_refused_and_not_dropped():
    with pytest.raises(ReproError) as found:
        load_study({"papers": ["adapt"], "protocols": ["released"]})
    assert set(str(found.value).split("\n")) == {
        "config.protocols: Cross-entropy has no protocol released, only corrected: add corrected to config.protocols, "
        "or leave recipes.cross_entropy out of `evaluate`",
        "config.protocols: LogitNorm has no protocol released, only corrected: add corrected to config.protocols, "
        "or leave recipes.logitnorm out of `evaluate`",
    }


def test_released_alone_is_enough_where_every_method_offers_it(tmp_path):
    projector = {"hidden": 8, "dimension": 4}
    plain = {"objective": {"name": "palm"}, "projector": projector}
    changes = {**{f"recipes.plain.{key}": value for key, value in plain.items()}, "figures": {}}
    for part in ("evaluate.mosaics", "benchmarks.mosaics", "recipes.bce", "recipes.edge", "scores.joint_energy"):
        changes[part] = test_settings.DROP
    study = test_settings.study_of(tmp_path, changes, {"protocols": ["released"]})
    found = {(run.method, run.protocol) for run in study.runs("digits")}
    assert found == {("plain", "released"), ("adapt", "released")}


def test_the_refusal_says_it_once():
    with pytest.raises(ReproError) as found:
        load_study({"papers": ["adapt"], "protocols": ["released"]})
    lines = str(found.value).split("\n")
    assert len(lines) == len(set(lines))
