"""Rates, batches, optimisers and random numbers: what a step is, whatever the network."""

import math

import pytest
import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR, OneCycleLR

from methods.training import batches
from methods.training.batches import cycled_batch, epoch_batches, steps_per_epoch
from methods.training.optimisers import Stepper, make_optimiser, parameter_groups
from methods.training.randomness import generator
from methods.training.schedules import (
    SCHEDULES,
    Length,
    cider,
    constant,
    cosine,
    one_cycle,
    one_cycle_momentum,
    warmup_cosine,
)

CONTRASTIVE = Length(total=49_000, epoch=98)
WARMUP = {"name": "warmup_cosine", "warmup_epochs": 10, "final_rate": 0.0005}
SGD = {"name": "sgd", "learning_rate": 0.1, "momentum": 0.9, "nesterov": True, "weight_decay": 0.01}
ADAM = {**SGD, "name": "adam"}
SWITCHES = {"lr_timing": "before_step", "weight_decay_on_norm": True, "momentum_cycling": True}
EXACT = {"rel": 1e-13, "abs": 0}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Flatten(), nn.Linear(16, 2))


def stepper(schedule, length, optimiser=SGD, model=None, precision="fp32", **switches):
    settings = {
        "optimiser": optimiser,
        "schedule": schedule,
        "switches": {**SWITCHES, **switches},
        "precision": precision,
    }
    return Stepper(model or network(), settings, length, torch.device("cpu"))


def rates(engine, steps):
    """Rate of every step, as the optimiser sees it."""
    found = []
    for step in steps:
        engine.set_rate(step)
        found.append(engine.optimiser.param_groups[0]["lr"])
    return found


@pytest.mark.parametrize(
    ("step", "rate"),
    [
        (0, 0.0),
        (1, 5.102040816326531e-4),
        (979, 0.49948979591836734),
        (980, 0.5),
        (981, 0.49999999946552065),
        (24_500, 0.25825488149852094),
        (40_000, 0.04255642948780164),
        (48_999, 5.000005344793517e-4),
    ],
)
def test_warmup_cosine_matches_the_specified_rates(step, rate):
    assert warmup_cosine(step, 0.5, CONTRASTIVE, WARMUP) == pytest.approx(rate, **EXACT)


@pytest.mark.parametrize(
    ("epoch_steps", "step", "rate", "momentum"),
    [
        (45, 0, 0.004, 0.95),
        (45, 899, 0.1, 0.85),
        (45, 2_250, 0.06909397611287378, 0.8809061475117163),
        (45, 4_499, 4e-7, 0.95),
        (647, 0, 0.004, 0.95),
        (647, 7_899, 0.06832749687768706, 0.8829921907524093),
        (647, 12_939, 0.1, 0.85),
        (647, 15_699, 0.09930007454985519, 0.8506999282498577),
        (647, 64_699, 4e-7, 0.95),
        (981, 0, 0.004, 0.95),
        (981, 7_899, 0.03754341920475919, 0.9150589383283758),
        (981, 19_619, 0.1, 0.85),
        (981, 98_099, 4e-7, 0.95),
    ],
)
def test_one_cycle_matches_the_specified_rates_and_momenta(epoch_steps, step, rate, momentum):
    length = Length(100 * epoch_steps, epoch_steps)
    assert one_cycle(step, 0.1, length, {}) == pytest.approx(rate, rel=1e-12, abs=0)
    assert one_cycle_momentum(step, length) == pytest.approx(momentum, rel=1e-12, abs=0)


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
@pytest.mark.parametrize("total", [6, 50, 137])
def test_one_cycle_agrees_with_torch(optimiser, total):
    ours = stepper({"name": "one_cycle"}, Length(total, total), optimiser)
    reference = make_optimiser([{"params": [nn.Parameter(torch.zeros(1))]}], optimiser)
    schedule = OneCycleLR(reference, max_lr=0.1, total_steps=total, pct_start=0.2)
    for step in range(total):
        ours.set_rate(step)
        (found, *_), (expected,) = ours.optimiser.param_groups, reference.param_groups
        assert found["lr"] == pytest.approx(expected["lr"], rel=1e-10, abs=1e-15)
        if optimiser is ADAM:
            assert found["betas"] == pytest.approx(expected["betas"], rel=1e-12)
        else:
            assert found["momentum"] == pytest.approx(expected["momentum"], rel=1e-12)
        reference.step()
        if step + 1 < total:
            schedule.step()


@pytest.mark.parametrize("total", [1, 2, 3, 4, 5])
def test_one_cycle_of_a_few_steps_ends_at_the_final_rate(total):
    found = [one_cycle(step, 0.1, Length(total, total), {}) for step in range(total)]
    assert all(0 < rate <= 0.1 for rate in found)
    assert found == sorted(found, reverse=True)
    assert found[-1] == pytest.approx(4e-7)


def test_cosine_agrees_with_torch():
    reference = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.1)
    schedule = CosineAnnealingLR(reference, T_max=40, eta_min=1e-6)
    for step in range(40):
        rate = cosine(step, 0.1, Length(40, 4), {"final_rate": 1e-6})
        assert rate == pytest.approx(reference.param_groups[0]["lr"], rel=1e-12)
        reference.step()
        schedule.step()


def test_cosine_starts_at_the_rate_and_is_halfway_in_the_middle():
    assert cosine(0, 0.1, Length(100, 10), {"final_rate": 0.02}) == 0.1
    assert cosine(50, 0.1, Length(100, 10), {"final_rate": 0.02}) == pytest.approx(0.06, **EXACT)


def test_warmup_cosine_without_warmup_is_cosine():
    schedule = {"warmup_epochs": 0, "final_rate": 0.01}
    pairs = [(f(s, 0.1, Length(30, 3), schedule) for f in (cosine, warmup_cosine)) for s in range(30)]
    assert all(a == b for a, b in pairs)


def test_warmup_as_long_as_the_training_only_rises():
    found = [warmup_cosine(s, 0.5, Length(20, 2), {"warmup_epochs": 10, "final_rate": 0.0}) for s in range(20)]
    assert found == pytest.approx([0.5 * s / 20 for s in range(20)])


def test_constant_rate_is_constant():
    assert {constant(s, 0.3, Length(9, 3), {}) for s in range(9)} == {0.3}


def test_rates_before_the_step_are_those_of_the_schedule():
    found = rates(stepper(WARMUP, CONTRASTIVE), range(0, 49_000, 997))
    assert found == [warmup_cosine(s, 0.1, CONTRASTIVE, WARMUP) for s in range(0, 49_000, 997)]


def test_rates_after_the_step_lag_by_one_and_start_at_the_base_rate():
    found = rates(stepper(WARMUP, CONTRASTIVE, lr_timing="after_step"), range(4))
    assert found == [0.1, *(warmup_cosine(s, 0.1, CONTRASTIVE, WARMUP) for s in range(3))]
    assert found[1] == 0.0


@pytest.mark.parametrize("timing", ["before_step", "after_step"])
@pytest.mark.parametrize("name", list(SCHEDULES))
@pytest.mark.parametrize("start", [0, 1, 2, 30])
def test_a_stepper_that_starts_late_has_the_same_rates(timing, name, start):
    schedule = {**WARMUP, "name": name, "warmup_epochs": 2, "warmup_from": 0.001}
    whole, late = (stepper(schedule, Length(60, 6), lr_timing=timing) for _ in range(2))
    expected = rates(whole, range(60))
    assert rates(late, range(start, 60)) == expected[start:]


def test_momentum_moves_only_under_one_cycle_with_the_switch_on():
    def momentum(name, cycling):
        engine = stepper({**WARMUP, "name": name}, Length(50, 5), momentum_cycling=cycling)
        engine.set_rate(9)
        return engine.optimiser.param_groups[0]["momentum"]

    assert momentum("one_cycle", True) == 0.85
    assert momentum("one_cycle", False) == 0.9
    assert momentum("cosine", True) == 0.9


def test_every_group_gets_the_rate_and_the_momentum():
    engine = stepper({"name": "one_cycle"}, Length(50, 5), weight_decay_on_norm=False)
    engine.set_rate(9)
    assert [(g["lr"], g["momentum"]) for g in engine.optimiser.param_groups] == [(0.1, 0.85)] * 2


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
def test_one_group_decays_everything_where_norms_are_decayed(optimiser):
    model = network()
    (group,) = make_optimiser(parameter_groups(model, optimiser, SWITCHES), optimiser).param_groups
    assert [id(p) for p in group["params"]] == [id(p) for p in model.parameters()]
    assert group["weight_decay"] == 0.01


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
def test_norms_and_biases_are_a_group_without_decay_where_they_are_not(optimiser):
    model = network()
    groups = parameter_groups(model, optimiser, {**SWITCHES, "weight_decay_on_norm": False})
    matrices, vectors = make_optimiser(groups, optimiser).param_groups
    assert {id(p) for p in matrices["params"]} == {id(model[0].weight), id(model[3].weight)}
    assert {id(p) for p in vectors["params"]} == {id(p) for p in (model[0].bias, *model[1].parameters(), model[3].bias)}
    assert (matrices["weight_decay"], vectors["weight_decay"]) == (0.01, 0.0)


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
@pytest.mark.parametrize("decayed", [True, False])
def test_the_backbone_gets_its_share_of_the_rate_and_the_rest_all_of_it(optimiser, decayed):
    model, spec = network(), {**optimiser, "backbone_rate_share": 0.1}
    settings = {
        "optimiser": spec,
        "schedule": WARMUP,
        "switches": {**SWITCHES, "weight_decay_on_norm": decayed},
        "precision": "fp32",
    }
    engine = Stepper(model, settings, CONTRASTIVE, torch.device("cpu"), backbone=model[:2])
    for step in (5, 2000):
        engine.set_rate(step)
        rates = {id(p): group["lr"] for group in engine.optimiser.param_groups for p in group["params"]}
        whole = warmup_cosine(step, 0.1, CONTRASTIVE, WARMUP)
        assert [rates[id(p)] for p in model.parameters()] == [pytest.approx(0.1 * whole)] * 4 + [whole] * 2
    decays = {id(p): g["weight_decay"] for g in engine.optimiser.param_groups for p in g["params"]}
    assert [decays[id(p)] > 0 for p in model.parameters()] == [p.ndim > 1 or decayed for p in model.parameters()]


@pytest.mark.parametrize("optimiser", [SGD, ADAM])
@pytest.mark.parametrize("decayed", [True, False])
def test_a_step_without_gradient_shrinks_what_is_decayed_and_nothing_else(optimiser, decayed):
    model = network()
    engine = stepper({"name": "constant"}, Length(9, 3), optimiser, model, weight_decay_on_norm=decayed)
    before = [p.detach().clone() for p in model.parameters()]
    engine.set_rate(0)
    engine.step(sum((p * 0).sum() for p in model.parameters()))
    shrunk = [(p.norm() < b.norm()).item() for p, b in zip(model.parameters(), before, strict=True) if b.norm() > 0]
    moves = [(p.ndim > 1 or decayed) for p, b in zip(model.parameters(), before, strict=True) if b.norm() > 0]
    assert shrunk == moves


def test_a_step_of_nesterov_momentum_is_the_written_out_one():
    weight = nn.Parameter(torch.tensor([1.0]))
    model = nn.ParameterList([weight])
    engine = stepper({"name": "constant"}, Length(9, 3), {**SGD, "weight_decay": 0.0}, model)
    for _ in range(2):
        engine.step((2 * weight).sum())
    first, second = 2 + 0.9 * 2, 2 + 0.9 * (0.9 * 2 + 2)
    assert weight.item() == pytest.approx(1 - 0.1 * (first + second))


def test_sgd_without_momentum_takes_no_nesterov_step():
    optimiser = make_optimiser(parameter_groups(network(), SGD, SWITCHES), {**SGD, "momentum": 0})
    assert (optimiser.param_groups[0]["nesterov"], optimiser.param_groups[0]["momentum"]) == (False, 0)


def test_momentum_of_adam_is_its_first_beta():
    optimiser = make_optimiser(parameter_groups(network(), ADAM, SWITCHES), {**ADAM, "momentum": 0.8})
    assert optimiser.param_groups[0]["betas"] == (0.8, 0.999)


def test_an_overflow_under_loss_scaling_skips_the_step_and_says_so():
    model = network()
    engine = stepper({"name": "constant"}, Length(9, 3), model=model, precision="fp16")
    before = [p.detach().clone() for p in model.parameters()]
    assert engine.step(sum(p.sum() for p in model.parameters()) * torch.inf) is True
    assert all(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))
    assert engine.step(sum(p.sum() for p in model.parameters())) is False
    assert not any(torch.equal(p, b) for p, b in zip(model.parameters(), before, strict=True))


def test_the_loss_scale_survives_its_state():
    model = network()
    first, second = (stepper({"name": "constant"}, Length(9, 3), model=model, precision="fp16") for _ in range(2))
    first.step(sum(p.sum() for p in model.parameters()) * torch.inf)
    second.restore_scaler(first.scaler_state())
    assert second.scaler.get_scale() == first.scaler.get_scale() == 32_768


def test_full_precision_has_no_loss_scale_and_skips_nothing():
    model = network()
    engine = stepper({"name": "constant"}, Length(9, 3), model=model)
    assert engine.scaler_state() == {}
    assert engine.step(sum(p.sum() for p in model.parameters())) is False


@pytest.mark.parametrize(("count", "batch"), [(10, 3), (12, 4), (5, 8), (1, 1)])
def test_an_epoch_is_a_permutation_and_only_its_last_batch_is_smaller(count, batch):
    found = epoch_batches(count, batch, seed=0, epoch=0, drop_last=False)
    assert torch.cat(found).sort().values.tolist() == list(range(count))
    assert [len(b) for b in found[:-1]] == [batch] * (len(found) - 1)
    assert len(found[-1]) == (count % batch or batch)


@pytest.mark.parametrize(("count", "batch", "sizes"), [(10, 3, [3, 3, 3]), (12, 4, [4, 4, 4]), (5, 8, [5])])
def test_dropping_the_last_batch_leaves_whole_ones_but_never_none(count, batch, sizes):
    assert [len(b) for b in epoch_batches(count, batch, seed=0, epoch=0, drop_last=True)] == sizes


def test_dropping_the_last_batch_changes_no_other():
    kept, dropped = (epoch_batches(10, 3, seed=0, epoch=4, drop_last=drop) for drop in (False, True))
    assert [b.tolist() for b in dropped] == [b.tolist() for b in kept[:-1]]


def test_order_of_an_epoch_follows_from_seed_and_epoch():
    def order(seed, epoch):
        return torch.cat(epoch_batches(50, 8, seed, epoch, drop_last=False)).tolist()

    assert order(1, 2) == order(1, 2)
    assert order(1, 2) != order(1, 3)
    assert order(1, 2) != order(2, 2)


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("count", [1, 5, 8, 9, 16, 23])
def test_steps_of_an_epoch_are_its_batches(count, drop_last):
    found = epoch_batches(count, 8, seed=0, epoch=0, drop_last=drop_last)
    assert steps_per_epoch(count, 8, drop_last) == len(found)


def test_the_specified_numbers_of_steps_come_out():
    assert steps_per_epoch(50_000, 512, drop_last=False) == 98
    assert [steps_per_epoch(n, 128, drop_last=False) for n in (5_717, 82_783, 125_449)] == [45, 647, 981]


@pytest.mark.parametrize(("count", "batch"), [(10, 4), (10, 5), (7, 7), (4, 9), (3, 20), (1, 3)])
def test_every_pass_over_the_outliers_takes_each_once(count, batch):
    steps = math.ceil(5 * count / batch)
    stream = torch.cat([cycled_batch(count, batch, seed=0, step=step) for step in range(steps)])
    passes = stream[: 5 * count].view(5, count)
    assert len(stream) == steps * batch
    assert passes.sort(dim=1).values.tolist() == [list(range(count))] * 5


def test_passes_over_the_outliers_differ():
    passes = {tuple(cycled_batch(20, 20, seed=0, step=step).tolist()) for step in range(5)}
    assert len(passes) == 5


def test_outliers_of_a_step_do_not_depend_on_the_steps_asked_before():
    forward = {step: cycled_batch(10, 4, 0, step).tolist() for step in range(40)}
    backward = {step: cycled_batch(10, 4, 0, step).tolist() for step in reversed(range(40))}
    alone = {}
    for step in (39, 0, 17):
        batches._pass_order.cache_clear()
        alone[step] = cycled_batch(10, 4, 0, step).tolist()
    assert forward == backward
    assert alone == {step: forward[step] for step in alone}


def test_outliers_differ_by_seed_and_from_the_order_of_the_id_images():
    first, other = (cycled_batch(30, 30, seed, 0).tolist() for seed in (0, 1))
    assert first != other
    assert first != epoch_batches(30, 30, 0, 0, drop_last=False)[0].tolist()


def test_random_numbers_follow_from_seed_purpose_epoch_and_step():
    def draw(*key):
        return torch.rand(8, generator=generator(*key)).tolist()

    keys = [(0, "a", 0, 0), (1, "a", 0, 0), (0, "b", 0, 0), (0, "a", 1, 0), (0, "a", 0, 1), (0, "a", 11, 1)]
    assert draw(*keys[0]) == draw(0, "a")
    assert len({tuple(draw(*key)) for key in keys}) == len(keys)


def test_random_numbers_neither_read_nor_move_the_global_state():
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first = torch.rand(4, generator=generator(0, "a"))
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(6)
    assert torch.equal(torch.rand(4, generator=generator(0, "a")), first)


CIDER = {
    "name": "cider",
    "warmup_epochs": 10,
    "warmup_from": 0.001,
    "final_rate": 0.0005,
    "cider_lr_epoch": "zero_based",
}


def cider_rate(epoch, batch, **changes):
    return cider(98 * epoch + batch, 0.5, Length(500 * 98, 98), {**CIDER, **changes})


@pytest.mark.parametrize(
    ("epoch", "batch", "rate"),
    [
        (0, 0, -0.048850717542496085),
        (0, 96, -1.736e-5),
        (0, 97, 4.913e-4),
        (1, 0, 0.001),
        (5, 0, 0.20040287017),
        (10, 0, 0.44965645788),
        (10, 97, 0.49899849463),
        (11, 0, 0.49940372346),
        (250, 0, 0.25025),
        (499, 0, 5.0492985e-4),
    ],
)
def test_the_released_rates_of_cider(epoch, batch, rate):
    assert cider_rate(epoch, batch) == pytest.approx(rate, rel=1e-3 if epoch == 0 and batch else 1e-8)


def test_clipping_changes_only_the_first_epoch_of_cider():
    clipped = [cider_rate(e, b, cider_lr_epoch="clipped_at_zero") for e in range(500) for b in (0, 50, 97)]
    released = [cider_rate(e, b) for e in range(500) for b in (0, 50, 97)]
    assert clipped[:3] == [0.001] * 3
    assert clipped[3:] == released[3:]


def test_counting_from_one_shifts_the_rates_of_cider_by_an_epoch():
    assert cider_rate(0, 5, cider_lr_epoch="one_based") == cider_rate(1, 5)
    assert cider_rate(9, 97, cider_lr_epoch="one_based") == cider_rate(10, 97)
    assert cider_rate(10, 0, cider_lr_epoch="one_based") == cider_rate(11, 0)
    assert cider_rate(499, 97, cider_lr_epoch="one_based") == pytest.approx(5e-4)


def test_cider_without_warm_up_is_a_cosine_by_epoch():
    rates = [cider_rate(e, 0, warmup_epochs=0, cider_lr_epoch="clipped_at_zero") for e in (0, 250)]
    assert rates == pytest.approx([0.5, 0.25025])
