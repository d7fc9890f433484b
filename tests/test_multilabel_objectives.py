"""Losses of the multi-label comparison: golden vectors, formulas written out naively, invariants, large logits."""

import math

import numpy as np
import pytest
import torch

from methods import registry
from methods.errors import ReproError
from methods.networks.model import Outputs
from methods.objectives.base import Context, Sizes
from methods.settings.parts import complete_part, part_problems
from methods.training.start import class_counts
from methods.training.switches import resolve_switches
from tests import golden

COUNTS = (1000, 10, 250, 40)
EXACT = {"rtol": 0, "atol": 1e-12}
CASES = {
    "bce": {"name": "bce"},
    "edge": {"name": "edge", "top_k": 3, "margin": 0.5, "start_epoch": 0},
    "OEML": {"name": "outlier_exposure"},
    "OE": {"name": "outlier_exposure", "id_loss": "cross_entropy"},
    "energyML": {"name": "energy_bounded", "margin_in": 2.5, "margin_out": 1.5},
    "energy": {"name": "energy_bounded", "margin_in": 2.5, "margin_out": 1.5, "id_loss": "cross_entropy"},
    "energyML, released": {"name": "energy_bounded"},
    "energy, released": {"name": "energy_bounded", "id_loss": "cross_entropy"},
    "OECC": {"name": "oecc", "training_accuracy": 0.8801},
    "OECC, released": {"name": "oecc", "training_accuracy": 0.8801},
    "asl": {"name": "asl"},
    "asl, mean": {"name": "asl", "reduction": "mean", "gamma_positive": 0.5, "gamma_negative": 2.5, "clip": 0.0},
    "focal": {"name": "focal"},
    "focal, mean": {"name": "focal", "reduction": "mean", "gamma": 0.5},
    "logitnorm": {"name": "logitnorm", "temperature": 1.0},
    "logitnorm, sharp": {"name": "logitnorm"},
    "ldam": {"name": "ldam", "scale": 3.0},
    "vs": {"name": "vs"},
}


def built(case, counts=COUNTS, **switches):
    part = complete_part("objectives", "name", CASES[case])
    protocol = "released" if case.endswith("released") else "corrected"
    resolved = resolve_switches(registry.records("objectives")[part["name"]], protocol, switches)
    module = registry.load("objectives", part["name"])
    return module.build({**part, **resolved}, Sizes(4, 0, counts), torch.Generator())


def terms(case, z, y, z_out, **switches):
    outputs, outliers = Outputs(z, z, logits=z), Outputs(z_out, z_out, logits=z_out)
    return built(case, **switches).loss(outputs, outliers, y, Context(0, 2, 0))


def gradients(total, z, z_out):
    found = torch.autograd.grad(total, [z, z_out], allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for g, x in zip(found, (z, z_out), strict=True)]


def with_gradient():
    z, y, z_out = golden.multi_label()
    return z.requires_grad_(), y, z_out.requires_grad_()


GOLDEN = {
    "bce": 0.9097106071311721,
    "edge": 1.3741800997404732,
    "OE": 3.0475793066679526,
    "OEML": 1.6520982205158066,
    "energy": 2.36315964195851,
    "energyML": 0.9676785558063642,
    "energy, released": 8.051421677262029,
    "energyML, released": 6.655940591109883,
    "OECC, released": 2.4425075008680617,
    "asl": 8.015900040721036,
    "focal": 8.008447088680487,
    "logitnorm": 1.854587793201125,
    "logitnorm, sharp": 12.767518146986761,
}
PARTS = {
    "OE": {"cross_entropy": 2.305191693283318, "outlier_unevenness": 1.4847752267692689},
    "energy": {"id_energy_hinge": 0.5430195934671053, "outlier_energy_hinge": 0.03665989328481521},
    "energyML, released": {"id_energy_hinge": 0.0, "outlier_energy_hinge": 57.4622998397871},
    "OECC, released": {"id_confidence": 0.6925501161308033, "outlier_distance": 1.7767459891117428},
    "OECC": {"id_confidence": 0.6925501161308033 / 6, "outlier_distance": 1.7767459891117428 / 5},
}


@pytest.mark.parametrize("case", GOLDEN)
def test_losses_match_the_golden_vectors(case):
    assert terms(case, *golden.multi_label()).total.item() == pytest.approx(GOLDEN[case], rel=0, abs=1e-12)


@pytest.mark.parametrize("case", PARTS)
def test_terms_match_the_golden_vectors(case):
    found = terms(case, *golden.multi_label()).parts
    assert {n: found[n].item() for n in PARTS[case]} == pytest.approx(PARTS[case], rel=0, abs=1e-12)


# The formulas of section 4 once more, as they are printed: exponentials and probabilities, one by one.


def bce(z, y):
    p = 1 / (1 + torch.exp(-z))
    return -(y * torch.log(p) + (1 - y) * torch.log(1 - p)).sum() / z.numel()


def soft(z, y):
    return -(y * torch.log(torch.exp(z) / torch.exp(z).sum(1, keepdim=True))).sum() / len(z)


def lse(z):
    return torch.log(torch.exp(z).sum(1))


def edge(z, y, o):
    inside, outside = torch.log(1 + torch.exp(z)).sum(1), torch.log(1 + torch.exp(o)).sum(1)
    tail = inside[np.argsort(inside.tolist())[:3]]
    pairs = [torch.clamp(e - t + 0.5, min=0) for e in outside for t in tail]
    return bce(z, y) - torch.log(1 - 1 / (1 + torch.exp(-o))).mean() + 0.1 * sum(pairs) / 15


def exposure(own):
    return lambda z, y, o: own(z, y) + 0.5 * sum(lse(o) - o.sum(1) / 4) / 5


def bounded(own, m_in, m_out):
    def value(z, y, o):
        above, below = torch.clamp(-lse(z) - m_in, min=0), torch.clamp(m_out + lse(o), min=0)
        return own(z, y) + 0.1 * ((above**2).sum() / 6 + (below**2).sum() / 5)

    return value


def oecc(own, images, outliers):
    def value(z, y, o):
        p, q = (torch.exp(x) / torch.exp(x).sum(1, keepdim=True) for x in (z, o))
        control, distance = (p.amax(1) - 0.8801) ** 2, (q - 0.25).abs()
        return own(z, y) + 0.07 * control.sum() / images + 0.05 * distance.sum() / outliers

    return value


def focusing(there, other, clip, gradient, parts):
    def value(z, y, o):
        p = 1 / (1 + torch.exp(-z))
        q = torch.clamp(1 - p + clip, max=1)
        true = p * y + q * (1 - y)
        weight = (1 - true) ** (there * y + other * (1 - y))
        logarithms = y * torch.log(p) + (1 - y) * torch.log(q)
        return -(logarithms * (weight if gradient else weight.detach())).sum() / parts

    return value


def normed(t):
    return lambda z, y, o: soft(z / ((z**2).sum(1, keepdim=True) ** 0.5 + 1e-7) / t, y)


def ldam(z, y, o):
    margins = [0.5 * n**-0.25 / 10**-0.25 for n in COUNTS]  # of the rarest class .5
    rows = []
    for row, labels in zip(z, y, strict=True):
        lowered = sum(m for m, label in zip(margins, labels, strict=True) if label)
        rows.append(torch.stack([3 * (value - lowered * label) for value, label in zip(row, labels, strict=True)]))
    return bce(torch.stack(rows), y)


def vs(z, y, o):
    divisors = [(1 / n) ** 0.3 / (1 / 1000) ** 0.3 for n in COUNTS]
    shifts = [math.log(n / 1300) for n in COUNTS]
    return bce(z / torch.tensor(divisors, dtype=z.dtype) + torch.tensor(shifts, dtype=z.dtype), y)


NAIVE = {
    "bce": lambda z, y, o: bce(z, y),
    "edge": edge,
    "OEML": exposure(bce),
    "OE": exposure(soft),
    "energyML": bounded(bce, -2.5, -1.5),
    "energy": bounded(soft, -2.5, -1.5),
    "energyML, released": bounded(bce, 25, 7),
    "energy, released": bounded(soft, 25, 7),
    "OECC": oecc(bce, 6, 5),
    "OECC, released": oecc(soft, 1, 1),
    "asl": focusing(1, 4, 0.05, False, 1),
    "asl, mean": focusing(0.5, 2.5, 0, False, 24),
    "focal": focusing(4, 4, 0, True, 1),
    "focal, mean": focusing(0.5, 0.5, 0, True, 24),
    "logitnorm": normed(1),
    "logitnorm, sharp": normed(0.04),
    "ldam": ldam,
    "vs": vs,
}


@pytest.mark.parametrize("case", CASES)
def test_losses_and_gradients_are_those_of_the_printed_formula(case):
    z, y, z_out = with_gradient()
    found, expected = terms(case, z, y, z_out).total, NAIVE[case](z, y, z_out)
    torch.testing.assert_close(found, expected, **EXACT)
    for mine, theirs in zip(gradients(found, z, z_out), gradients(expected, z, z_out), strict=True):
        torch.testing.assert_close(mine, theirs, **EXACT)


@pytest.mark.parametrize("case", CASES)
def test_the_order_of_images_does_not_matter(case):
    z, y, z_out = with_gradient()
    there, outside = torch.tensor([4, 2, 0, 5, 1, 3]), torch.tensor([3, 0, 4, 2, 1])
    one, other = terms(case, z, y, z_out).total, terms(case, z[there], y[there], z_out[outside]).total
    torch.testing.assert_close(one, other, **EXACT)
    for a, b in zip(gradients(one, z, z_out), gradients(other, z, z_out), strict=True):
        torch.testing.assert_close(a, b, **EXACT)


@pytest.mark.parametrize("size", [20.0, 90.0, 200.0])
@pytest.mark.parametrize("case", CASES)
def test_large_logits_of_single_precision_are_finite_and_so_are_their_gradients(case, size):
    z, y, z_out = (x.detach().float() for x in golden.multi_label())
    z = (size * z.sign()).requires_grad_()  # right and wrong, on both sides
    z_out = (size * z_out.sign()).requires_grad_()
    total = terms(case, z, y, z_out).total
    assert total.dtype == torch.float32
    assert torch.isfinite(total)
    assert all(torch.isfinite(part).all() for part in gradients(total, z, z_out))
    assert terms(case, z.double(), y.double(), z_out.double()).total.item() == pytest.approx(total.item(), rel=1e-5)


@pytest.mark.parametrize("case", ["bce", "OEML", "energyML", "edge", "ldam", "vs"])
def test_a_wrong_label_pulls_with_full_force_however_large_its_logit(case):
    _, y, z_out = (x.detach().float() for x in golden.multi_label())
    wrong = (200 * (1 - 2 * y)).requires_grad_()
    (found,) = torch.autograd.grad(terms(case, wrong, y, z_out).total, wrong)
    assert (found * (1 - 2 * y) > 0).all()
    assert (found.abs() > 1e-3).all()


def test_outliers_with_equal_logits_are_where_exposure_wants_them():
    z, y, _ = golden.multi_label()
    level = torch.full((5, 4), 1.7, dtype=torch.float64).requires_grad_()
    exposed, controlled = terms("OEML", z, y, level), terms("OECC", z, y, level)
    assert exposed.parts["outlier_unevenness"].item() == pytest.approx(math.log(4), rel=1e-14)
    assert torch.autograd.grad(exposed.total, level)[0].abs().max() < 1e-16
    assert controlled.parts["outlier_distance"].item() == 0


def test_a_label_that_asl_clips_costs_nothing_even_without_focusing():
    z = torch.tensor([[-4.0, -3.0, -2.5, 3.0]], dtype=torch.float64).requires_grad_()  # sigmoid(-3) = .047
    part = complete_part("objectives", "name", {"name": "asl", "gamma_positive": 0, "gamma_negative": 0})
    objective = registry.load("objectives", "asl").build(part, Sizes(4, 0), torch.Generator())
    labels = torch.tensor([[0.0, 0, 0, 1]], dtype=torch.float64)
    total = objective.loss(Outputs(z, z, logits=z), None, labels, Context(0, 1, 0)).total
    expected = -math.log(1.05 - 1 / (1 + math.exp(2.5))) + math.log(1 + math.exp(-3))
    assert total.item() == pytest.approx(expected, abs=1e-12)
    assert (torch.autograd.grad(total, z)[0] != 0).tolist() == [[False, False, True, True]]


def test_energies_within_their_margins_cost_nothing():
    z, y, _ = golden.multi_label()
    found = terms("energyML", z + 3, y, torch.full((5, 4), -4.0, dtype=torch.float64)).parts
    assert (found["id_energy_hinge"], found["outlier_energy_hinge"]) == (0, 0)


@pytest.mark.parametrize("case", ["edge", "OEML", "energy", "OECC"])
def test_mean_energies_of_both_domains_are_watched(case):
    found = terms(case, *golden.multi_label()).monitors
    assert found["id_energy"].item() == pytest.approx(sum(golden.ID_ENERGY) / 6, rel=1e-14)
    assert found["outlier_energy"].item() == pytest.approx(4 * 0.42255233814816845, rel=1e-14)
    assert not any(value.requires_grad for value in found.values())


def test_the_sign_of_the_margins_changes_the_hinges_alone():
    wrong, right = (terms("energyML", *golden.multi_label(), energy_margin_sign=s) for s in ("positive", "negative"))
    assert torch.equal(wrong.parts["bce"], right.parts["bce"])
    assert wrong.parts["id_energy_hinge"] == 0
    assert right.parts["id_energy_hinge"] > 0
    assert wrong.parts["outlier_energy_hinge"] > right.parts["outlier_energy_hinge"] > 0


@pytest.mark.parametrize("loss", ["bce", "cross_entropy"])
def test_the_reduction_of_oecc_changes_its_regularisers_by_the_size_of_the_batch(loss):
    summed, mean = (
        terms("OECC", *golden.multi_label(), oecc_reduction=r, oecc_id_loss=loss).parts for r in ("sum", "mean")
    )
    assert torch.equal(summed[loss], mean[loss])
    assert summed["id_confidence"].item() == pytest.approx(6 * mean["id_confidence"].item(), rel=1e-14)
    assert summed["outlier_distance"].item() == pytest.approx(5 * mean["outlier_distance"].item(), rel=1e-14)


def test_the_id_loss_of_oecc_changes_nothing_else():
    one, other = (terms("OECC", *golden.multi_label(), oecc_id_loss=loss) for loss in ("bce", "cross_entropy"))
    assert one.parts["bce"].item() == pytest.approx(0.9097106071311721, abs=1e-12)
    assert other.parts["cross_entropy"].item() == pytest.approx(2.305191693283318, abs=1e-12)
    for name in ("id_confidence", "outlier_distance"):
        assert torch.equal(one.parts[name], other.parts[name])


@pytest.mark.parametrize("case", ["ldam", "vs"])
def test_equally_frequent_classes_are_treated_alike(case):
    z, y, _ = golden.multi_label()
    order = [2, 0, 3, 1]

    def total(logits, labels):
        outputs = Outputs(logits, logits, logits=logits)
        return built(case, counts=(7, 7, 7, 7)).loss(outputs, None, labels, Context(0, 1, 0)).total

    torch.testing.assert_close(total(z, y), total(z[:, order], y[:, order]), **EXACT)


@pytest.mark.parametrize("case", ["ldam", "vs"])
def test_a_class_without_an_image_is_refused(case):
    with pytest.raises(ReproError, match="No training image has class 1 or 3"):
        built(case, counts=(5, 0, 2, 0))


@pytest.mark.parametrize("case", CASES)
def test_no_objective_has_a_tensor_in_the_model_file(case):
    assert built(case).state_dict() == {}


def test_classes_are_counted_over_the_training_images():
    assert class_counts(torch.tensor([[1.0, 0, 1], [0, 0, 1]]), 3) == (1, 0, 2)
    assert class_counts(torch.tensor([2, 0, 2]), 4) == (1, 0, 2, 0)


def test_oecc_asks_for_the_accuracy_it_aims_at():
    assert part_problems("objectives", "name", {"name": "oecc"}, "here") == ["here lacks the key 'training_accuracy'"]


DEFAULTS = {
    "outlier_exposure": {"id_loss": "bce", "outlier_weight": 0.5},
    "energy_bounded": {"id_loss": "bce", "energy_weight": 0.1, "margin_in": 25, "margin_out": 7},
    "asl": {"gamma_positive": 1, "gamma_negative": 4, "clip": 0.05, "reduction": "sum"},
    "focal": {"gamma": 4, "reduction": "sum"},
    "ldam": {"max_margin": 0.5, "scale": 30},
    "vs": {"gamma": 0.3, "tau": 1},
}


@pytest.mark.parametrize("name", DEFAULTS)
def test_parameters_have_the_defaults_of_the_specification(name):
    assert complete_part("objectives", "name", {"name": name}) == {"name": name, **DEFAULTS[name]}
    weights = complete_part("objectives", "name", {"name": "oecc", "training_accuracy": 0.5})
    assert (weights["lambda1"], weights["lambda2"]) == (0.07, 0.05)
