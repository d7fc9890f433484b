"""Switches of the multi-label methods in tiny trainings: each changes what it names, and nothing else."""

import math

import pytest
import torch

from methods import registry
from methods.errors import ReproError
from methods.networks.model import build_model
from methods.objectives import edge
from methods.objectives.base import Sizes
from methods.settings import steps
from methods.settings.parts import complete_part
from methods.settings.study import Run
from methods.training import fit as engine
from methods.training.batches import epoch_batches
from methods.training.fit import FitData
from methods.training.outliers import forward_with_outliers
from methods.training.start import refuse_small_batches
from methods.training.switches import SWITCHES, resolve_switches, switch_problems, told_switches
from tests import test_settings, test_training
from tests.test_settings import known_catalog  # noqa: F401
from tests.test_training import identical, images, interrupted, noise, run

BOTH = ["corrected", "released"]
OBJECTIVES = {
    "bce": {"name": "bce"},
    "edge": {"name": "edge", "top_k": 4, "start_epoch": 1},
    "outlier_exposure": {"name": "outlier_exposure"},
    "energy_bounded": {"name": "energy_bounded", "margin_in": 3, "margin_out": 1},
    "oecc": {"name": "oecc", "training_accuracy": 0.8},
    "asl": {"name": "asl", "reduction": "mean"},
    "focal": {"name": "focal", "reduction": "mean"},
    "ldam": {"name": "ldam", "scale": 2},
    "vs": {"name": "vs"},
    "logitnorm": {"name": "logitnorm", "temperature": 1},
}
OUTLIERS = ["edge", "outlier_exposure", "energy_bounded", "oecc"]
SETS = FitData(images(50, multi=True), images(24, multi=True, seed=1), noise(20))  # the last of four batches has two
HEAD = {"head.hidden.1.running_mean", "head.hidden.1.running_var", "head.hidden.1.num_batches_tracked"}

# The values of section 7

ENGINE = {"drop_last": False, "weight_decay_on_norm": True, "lr_timing": "before_step", "momentum_cycling": True}
ONE_EVALUATION, OTHER = {"eval_transform": "released_random"}, {"eval_transform": "deterministic"}
RELEASED_OE = {"bn_mode": "split_domains", "oe_iteration": "zip_truncate", "schedule_steps": "len_id_times_epochs"}
CORRECTED_OE = {"bn_mode": "split_domains", "oe_iteration": "cycle_oe", "schedule_steps": "actual_steps"}
RELEASED = {**ENGINE, **RELEASED_OE, **ONE_EVALUATION, "head_double_bn_update": True, "final_model": "last_epoch"}
CORRECTED = {**ENGINE, **CORRECTED_OE, **OTHER, "head_double_bn_update": False, "final_model": "best_val"}
RESOLVED = {
    ("bce", "released"): {**ENGINE, "bn_freeze_after_first_epoch": True, "final_model": "last_epoch"},
    ("bce", "corrected"): {**ENGINE, "bn_freeze_after_first_epoch": False, "final_model": "best_val"},
    ("edge", "released"): {**RELEASED, "last_batch": "keep"},
    ("edge", "corrected"): {**CORRECTED, "last_batch": "clamp_k"},
    ("outlier_exposure", "released"): RELEASED,
    ("outlier_exposure", "corrected"): CORRECTED,
    ("energy_bounded", "released"): {**RELEASED, "energy_margin_sign": "positive"},
    ("energy_bounded", "corrected"): {**CORRECTED, "energy_margin_sign": "negative"},
    ("oecc", "released"): {**RELEASED, "oecc_reduction": "sum", "oecc_id_loss": "cross_entropy"},
    ("oecc", "corrected"): {**CORRECTED, "oecc_reduction": "mean", "oecc_id_loss": "bce"},
    ("asl", "corrected"): ENGINE,
    ("focal", "corrected"): ENGINE,
    ("ldam", "corrected"): ENGINE,
    ("vs", "corrected"): ENGINE,
}
RELEASED_FIRST = {
    "oe_iteration": ["zip_truncate", "cycle_oe"],
    "schedule_steps": ["len_id_times_epochs", "actual_steps"],
    "bn_mode": ["split_domains", "mixed"],
    "head_double_bn_update": [True, False],
    "last_batch": ["keep", "drop_last", "clamp_k"],
    "final_model": ["last_epoch", "best_val"],
    "eval_transform": ["released_random", "deterministic"],
    "energy_margin_sign": ["positive", "negative"],
    "oecc_reduction": ["sum", "mean"],
    "oecc_id_loss": ["cross_entropy", "bce"],
    "momentum_cycling": [True, False],
    "bn_freeze_after_first_epoch": [True, False],
}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def record_of(name):
    return registry.records("objectives")[name]


@pytest.mark.parametrize(("name", "protocol"), RESOLVED)
def test_every_switch_has_the_value_of_the_specification(name, protocol):
    assert resolve_switches(record_of(name), protocol, {}) == RESOLVED[name, protocol]
    assert protocol in record_of(name)["protocols"]


@pytest.mark.parametrize("switch", RELEASED_FIRST)
def test_switches_have_the_specified_values(switch):
    assert SWITCHES[switch]["values"] == RELEASED_FIRST[switch]


@pytest.mark.parametrize("name", OBJECTIVES)
def test_objectives_without_a_release_of_their_own_offer_one_protocol(name):
    assert record_of(name)["protocols"] == (BOTH if (name, "released") in RESOLVED else ["corrected"])


@pytest.mark.parametrize(
    ("name", "switch"),
    [("bce", "last_batch"), ("oecc", "last_batch"), ("edge", "oecc_reduction"), ("asl", "final_model")],
)
def test_a_switch_that_does_not_concern_an_objective_is_refused(name, switch):
    (problem,) = switch_problems(record_of(name), {switch: SWITCHES[switch]["values"][0]}, "here")
    assert problem.startswith(f"here has the unknown switch {switch!r}: ")


def test_a_switch_that_asks_for_what_is_done_without_it_is_not_told():
    for name in ("bce", "edge"):
        told = told_switches(RESOLVED[name, "corrected"])
        assert not {"last_batch", "head_double_bn_update", "bn_freeze_after_first_epoch"} & set(told)
        assert told_switches(RESOLVED[name, "released"]) == RESOLVED[name, "released"]


# Tiny trainings


def recipe(name, protocol="corrected", switches=None, **changes):
    """Settings of one tiny training, in the form that ``methods.settings.steps.train_settings`` gives."""
    record = record_of(name)
    base = test_training.settings("edge" if record["needs_outliers"] else "bce", schedule={"name": "one_cycle"})
    resolved = resolve_switches(record, protocol, switches or {})
    return {**base, "objective": complete_part("objectives", "name", OBJECTIVES[name]), "switches": resolved, **changes}


def sets(name):
    return SETS if record_of(name)["needs_outliers"] else FitData(SETS.train, SETS.validation)


def train(name, tmp_path, protocol="corrected", switches=None, **changes):
    return run(recipe(name, protocol, switches, **changes), tmp_path, sets(name))


def differing(one, other):
    assert one.tensors.keys() == other.tensors.keys()
    return {name for name in one.tensors if not torch.equal(one.tensors[name], other.tensors[name])}


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_loss_falls_on_a_set_that_can_be_learned(name, tmp_path):
    history = train(name, tmp_path, epochs=8).history
    first = history[1 if name == "edge" else 0]["total"]  # the gap counts from the second epoch on
    assert history[-1]["total"] < 0.97 * first
    assert history[-1]["validation_map"] > 0.6
    assert all(math.isfinite(value) for row in history for value in row.values())


@pytest.mark.parametrize("case", [*RESOLVED, ("logitnorm", "corrected")])
def test_a_killed_and_resumed_training_is_the_uninterrupted_one_bit_for_bit(case, tmp_path, monkeypatch):
    name, protocol = case
    by_hand = {"last_batch": "drop_last"} if case == ("edge", "released") else {}
    settings = recipe(name, protocol, by_hand, selection={"rule": "best_validation"})
    whole = run(settings, tmp_path, sets(name), file="never_interrupted")
    interrupted(settings, tmp_path, monkeypatch, stop=7, sets=sets(name))
    resumed = run(settings, tmp_path, sets(name))
    assert resumed.cost["resumed"] == 1
    assert identical(whole, resumed)


def test_class_sizes_are_those_of_the_training_set(tmp_path):
    labels = torch.from_numpy(SETS.train.labels)
    _, objective = engine.build(recipe("vs"), torch.device("cpu"), labels)
    counts = labels.sum(dim=0).double()
    torch.testing.assert_close(objective.shifts, (counts / counts.sum()).log())
    assert not any(name.startswith("objective.") for name in train("vs", tmp_path, epochs=1).tensors)


# last_batch


def sizes_of_tails(monkeypatch):
    """Numbers of ID images that the gap of every step from now on looks at."""
    seen, original = [], edge.energy_gap

    def gap(energy, outlier_energy, top_k, margin):
        seen.append(len(energy))
        return original(energy, outlier_energy, top_k, margin)

    monkeypatch.setattr(edge, "energy_gap", gap)
    return seen


@pytest.mark.parametrize(("value", "sizes"), [("clamp_k", [16, 16, 16, 2]), ("drop_last", [16, 16, 16])])
def test_a_last_batch_of_fewer_than_k_is_clamped_or_left_out(value, sizes, tmp_path, monkeypatch):
    seen = sizes_of_tails(monkeypatch)
    train("edge", tmp_path, switches={"last_batch": value}, epochs=2)
    assert seen == 2 * sizes


def test_a_last_batch_of_fewer_than_k_is_refused_before_the_first_step_where_it_is_kept(tmp_path, monkeypatch):
    seen = sizes_of_tails(monkeypatch)
    with pytest.raises(ReproError, match="a batch of 2 images, but the objective takes the 4"):
        train("edge", tmp_path, switches={"last_batch": "keep"})
    assert seen == []


def test_keeping_the_last_batch_is_clamping_where_it_is_large_enough(tmp_path):
    small = {"objective": {**recipe("edge")["objective"], "top_k": 2}, "epochs": 2}
    kept, clamped = (train("edge", tmp_path, switches={"last_batch": v}, **small) for v in ("keep", "clamp_k"))
    assert identical(kept, clamped)


def test_keeping_the_last_batch_is_fine_where_the_epoch_ends_before_it(tmp_path):
    switches = {"last_batch": "keep", "oe_iteration": "zip_truncate"}  # 20 outliers are three batches
    kept, clamped = (train("edge", tmp_path, switches={**switches, "last_batch": v}) for v in ("keep", "clamp_k"))
    assert identical(kept, clamped)


def test_dropping_by_last_batch_is_dropping_by_drop_last(tmp_path):
    one, other = (train("edge", tmp_path, switches=s) for s in ({"last_batch": "drop_last"}, {"drop_last": True}))
    assert identical(one, other)


@pytest.mark.parametrize(
    ("images", "batch", "top_k", "left"),
    [(5_717, 64, 50, 21), (82_783, 64, 50, 31), (125_449, 128, 32, 9), (5_717, 128, 32, None), (82_783, 128, 32, None)],
)
def test_the_release_stops_on_the_sets_that_the_specification_names(images, batch, top_k, left):
    batches = epoch_batches(images, batch, 0, 0, drop_last=False)
    for value in SWITCHES["last_batch"]["values"]:
        objective = edge.build({"top_k": top_k, "last_batch": value}, Sizes(20, 0), torch.Generator())
        if value != "keep" or left is None:
            refuse_small_batches(objective, batches)
            continue
        with pytest.raises(ReproError, match=f"a batch of {left} images, but the objective takes the {top_k} "):
            refuse_small_batches(objective, batches)


# head_double_bn_update


@pytest.mark.parametrize("bn_mode", ["split_domains", "mixed"])
@pytest.mark.parametrize("name", OUTLIERS)
def test_a_second_look_of_the_head_moves_its_running_statistics_alone(name, bn_mode, tmp_path):
    once, twice = (
        train(name, tmp_path, switches={"head_double_bn_update": d, "bn_mode": bn_mode}) for d in (False, True)
    )
    assert differing(once, twice) == HEAD
    assert twice.tensors["head.hidden.1.num_batches_tracked"] == 2 * once.tensors["head.hidden.1.num_batches_tracked"]
    assert [row["total"] for row in once.history] == [row["total"] for row in twice.history]


@pytest.mark.parametrize("bn_mode", ["split_domains", "mixed"])
def test_the_second_look_is_at_the_id_images(bn_mode):
    torch.manual_seed(0)
    model = build_model(recipe("edge")["architecture"]).train()
    inside, outside = torch.randn(6, 3, 8, 8), 3 + torch.randn(5, 3, 8, 8)
    found, _ = forward_with_outliers(model, inside, outside, bn_mode, head_twice=True)
    norm = model.head.hidden[1]
    hidden = model.head.hidden[0](found.pooled).mean(dim=0)
    with torch.no_grad():
        both = model.backbone(torch.cat([inside, outside])) if bn_mode == "mixed" else model.backbone(inside)
        first = model.head.hidden[0](both).mean(dim=0)
    torch.testing.assert_close(norm.running_mean, 0.9 * 0.1 * first + 0.1 * hidden.detach(), rtol=1e-5, atol=1e-6)


# bn_freeze_after_first_epoch


def test_batch_norm_stands_still_after_the_first_epoch(tmp_path):
    freeze = {"bn_freeze_after_first_epoch": True}
    one, frozen, free = (
        train("bce", tmp_path, switches=s, epochs=e, schedule={"name": "constant"})
        for s, e in ((freeze, 1), (freeze, 3), ({}, 3))
    )
    running = {name for name in one.tensors if "running_" in name or "num_batches" in name}
    assert differing(one, frozen) == one.tensors.keys() - running
    assert running <= differing(one, free)
    assert frozen.history[0] == free.history[0]
    assert all(a["total"] != b["total"] for a, b in zip(frozen.history[1:], free.history[1:], strict=True))


def test_frozen_batch_norm_uses_its_running_statistics(tmp_path, monkeypatch):
    modes, original = [], engine._Trainer._step

    def step(self, *place):
        modes.append({module.training for module in self.model.modules()})
        return original(self, *place)

    monkeypatch.setattr(engine._Trainer, "_step", step)
    train("bce", tmp_path, "released", epochs=3)
    assert modes == [{True}] * 4 + [{False}] * 8


# final_model, and what a run is told


def told(tmp_path, method, rule, protocol):
    study = test_settings.study_of(tmp_path, {"recipes.bce.selection": {"rule": rule}}, {"protocols": BOTH})
    return steps.train_settings(study, Run("mosaics", method, protocol, 0))


@pytest.mark.parametrize("method", ["bce", "edge"])
@pytest.mark.parametrize(
    ("rule", "protocol", "kept"),
    [
        ("best_validation", "corrected", "best_validation"),
        ("best_validation", "released", "last"),
        ("last", "corrected", "last"),
        ("last", "released", "last"),
        ("best_train_loss", "released", "best_train_loss"),
    ],
)
def test_the_release_keeps_the_last_epoch_where_the_paper_keeps_the_best(method, rule, protocol, kept, tmp_path):
    found = told(tmp_path, method, rule, protocol)
    assert found["selection"] == {"rule": kept}
    assert ("validation" in found["data"]) is (rule == "best_validation")  # which the release looks at, and no more
    assert "final_model" not in found["switches"]


def test_the_final_model_can_be_set_by_hand(tmp_path):
    rule = {"recipes.bce.selection": {"rule": "best_validation"}}
    for value, kept in (("last_epoch", "last"), ("best_val", "best_validation")):
        study = test_settings.study_of(tmp_path, {**rule, "recipes.edge.switches": {"final_model": value}})
        assert steps.selection_rule(study, Run("mosaics", "edge", "corrected", 0)) == kept
        assert steps.selection_rule(study, Run("mosaics", "bce", "corrected", 0)) == "best_validation"


def test_a_best_model_without_a_validation_split_is_refused(tmp_path):
    refused = test_settings.refusal(tmp_path, {"recipes.edge.switches": {"final_model": "best_val"}})
    assert refused == "recipes.edge.switches.final_model is best_val, which needs selection.rule best_validation"


def test_corrected_runs_are_told_what_they_were_told_before_the_new_switches(tmp_path):
    assert told(tmp_path, "bce", "last", "corrected")["switches"] == ENGINE
    assert told(tmp_path, "edge", "last", "corrected")["switches"] == {**ENGINE, **CORRECTED_OE}


def test_released_runs_are_told_their_switches(tmp_path):
    found = told(tmp_path, "edge", "last", "released")["switches"]
    assert found == {**ENGINE, **RELEASED_OE, "head_double_bn_update": True, "last_batch": "keep"}
    assert told(tmp_path, "bce", "last", "released")["switches"] == {**ENGINE, "bn_freeze_after_first_epoch": True}
