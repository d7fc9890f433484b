"""PALM, CIDER, SupCon and LogitNorm against golden vectors (float64), their identities, and plain loops."""

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy, normalize

from methods.errors import ReproError
from methods.networks.model import Outputs
from methods.objectives import adapt, cider, logitnorm, palm, prototypes, supcon
from methods.objectives.base import Context, Sizes
from tests import golden

CONTEXT = Context(epoch=0, epochs=1, step=0)
LABELS = torch.tensor([0, 1, 2, 0, 1])
ORDER = torch.tensor([3, 1, 4, 0, 2, 8, 6, 9, 5, 7])


def defaults(module, **changes):
    return {name: part.get("default") for name, part in module.RECORD["parameters"].items()} | changes


def multi(module, classes, per_class, top_k, dimension, momentum, **changes):
    """PALM or ADAPT from the golden prototypes."""
    shape = {"prototypes_per_class": per_class, "top_k": top_k, "prototype_momentum": momentum}
    kind = {palm: palm.Palm, adapt: adapt.Adapt}[module]
    start = golden.prototypes(classes * per_class, dimension)
    return kind(defaults(module, **shape, **changes), Sizes(classes, dimension), start)


def run(objective, x, labels):
    """Terms and the gradient of the total with respect to the free variable ``x`` (B, V, D)."""
    x = x.clone().requires_grad_()
    return (terms := on_rows(objective, golden.view_major(x), labels)), torch.autograd.grad(terms.total, x)[0]


def on_rows(objective, z, labels):
    return objective.loss(Outputs(z, z, projection=z), None, labels, CONTEXT)


def close(value, expected, atol=1e-12):
    wanted = torch.as_tensor(expected, dtype=torch.float64)
    torch.testing.assert_close(value.detach(), wanted, rtol=0, atol=atol)


# PALM


def test_one_step_of_palm_matches_the_golden_vector():
    terms, gradient = run(multi(palm, 3, 3, 2, 4, 0.9), golden.embeddings(5, 2, 4), LABELS)
    close(terms.parts["likelihood"], 3.4391339015029003)
    close(terms.parts["prototype_contrast"], 2.9573048617550657)
    close(terms.total, 6.396438763257966)
    close(gradient.norm(), 2.7324962402494055)
    close(gradient[0, 0], [-0.5054365306896633, 0.04529132481535338, -0.3670543395314557, -0.518737918026186])


def test_prototypes_of_palm_match_the_golden_vector():
    objective = multi(palm, 3, 3, 2, 4, 0.9)
    run(objective, golden.embeddings(5, 2, 4), LABELS)
    objective.commit(skipped=False)
    close(objective.prototypes[0], [0.7802486821780859, 0.5749860628013742, 0.22804231647972892, -0.09273469382110308])
    close(objective.prototypes[5], [0.19853245121123636, 0.6803566370369999, -0.1294429355778455, -0.6935014338015111])
    close(objective.prototypes[8], [0.1553721177231645, -0.7155613752157125, 0.6758117506483361, -0.08432022900377256])


def test_three_steps_of_palm_match_the_golden_vectors():
    expected = [
        (10.289987156267225, 6.1276148737414164, 4.1623722825258085, 1.1210034994319684, -2.5177284162485143),
        (11.75155966479059, 7.588981091175728, 4.162578573614863, 1.223380859444396, -2.521658301223341),
        (11.309405943202542, 7.1465912332274115, 4.162814709975131, 1.1998068873298318, -2.520828959423791),
    ]
    objective, x, labels = multi(palm, 10, 6, 5, 16, 0.999), golden.embeddings(40, 2, 16), torch.arange(40) % 10
    for step, (total, likelihood, contrast, norm, mass) in enumerate(expected):
        terms, gradient = run(objective, x.roll(step, dims=0), labels)
        objective.commit(skipped=False)
        close(terms.total, total)
        close(terms.parts["likelihood"], likelihood)
        close(terms.parts["prototype_contrast"], contrast)
        close(gradient.norm(), norm)
        close(objective.prototypes.sum(), mass)


def test_adapt_without_what_is_its_own_is_palm():
    """beta 0, logits without softplus, column normalisation, contrast temperature 0.5."""
    alike = multi(
        adapt, 3, 3, 2, 4, 0.9, beta=0.0, logits="identity", update_column_norm=True, contrast_temperature=0.5
    )
    x = golden.embeddings(5, 2, 4)
    (one, first), (two, second) = (run(objective, x, LABELS) for objective in (alike, multi(palm, 3, 3, 2, 4, 0.9)))
    close(one.total, two.total.detach(), 1e-14)
    close(first, second, 1e-14)
    close(alike._moved(alike._update), multi_moved(x), 1e-14)


def multi_moved(x):
    objective = multi(palm, 3, 3, 2, 4, 0.9)
    run(objective, x, LABELS)
    objective.commit(skipped=False)
    return objective.prototypes


def test_the_likelihood_of_palm_with_one_prototype_is_cross_entropy():
    objective, x = multi(palm, 3, 1, 1, 4, 0.9), golden.embeddings(5, 2, 4)
    terms, _ = run(objective, x, LABELS)
    moved = objective._moved(objective._update)
    close(terms.parts["likelihood"], cross_entropy(golden.view_major(x) @ moved.T / 0.1, LABELS.repeat(2)), 1e-14)


def test_powers_of_negative_logits_are_refused():
    with pytest.raises(ReproError, match=r"identity.*beta = 0.15.*set beta: 0"):
        adapt.build(defaults(adapt, logits="identity"), Sizes(3, 4), torch.Generator())


@pytest.mark.parametrize("module", [adapt, palm])
def test_learnable_prototypes_get_the_gradient_of_the_contrast(module):
    objective = multi(module, 3, 3, 2, 4, 0.9, proto_grad="learnable")
    assert [name for name, _ in objective.named_parameters()] == ["prototypes"]
    assert set(objective.state_dict()) == {"prototypes", "prototype_classes"}
    terms, _ = on_rows(objective, golden.view_major(golden.embeddings(5, 2, 4)), LABELS), None
    (of_contrast,) = torch.autograd.grad(terms.parts["prototype_contrast"], objective.prototypes, retain_graph=True)
    (of_total,) = torch.autograd.grad(terms.total, objective.prototypes)
    assert of_contrast.abs().max() > 1e-3
    torch.testing.assert_close(of_total, of_contrast)


def test_learnable_prototypes_stay_on_the_sphere_after_a_step_and_move_further_than_by_the_average():
    x = golden.view_major(golden.embeddings(5, 2, 4))
    ends = {}
    for kind in ("through_ema", "learnable"):
        objective = multi(palm, 3, 3, 2, 4, 0.9, proto_grad=kind)
        terms = on_rows(objective, x.clone().requires_grad_(), LABELS)
        if kind == "learnable":
            torch.optim.SGD(objective.parameters(), lr=0.5).zero_grad()
            terms.total.backward()
            with torch.no_grad():
                objective.prototypes -= 0.5 * objective.prototypes.grad
        objective.commit(skipped=False)
        ends[kind] = objective.prototypes.detach()
        close(ends[kind].norm(dim=1), torch.ones(9), 1e-12)
    contrast = {kind: float(prototypes.prototype_contrast(p, 0.5, 3)) for kind, p in ends.items()}
    assert contrast["learnable"] < contrast["through_ema"] - 1e-3


# SupCon


def test_supcon_matches_the_golden_vector():
    terms, gradient = run(supcon.SupCon(0.1, 0.07), golden.embeddings(5, 2, 4), LABELS)
    close(terms.total, 11.61351849507327)
    close(gradient.norm(), 9.327639965214438)


def test_supcon_is_the_loop_over_anchors():
    z, y = golden.view_major(golden.embeddings(5, 2, 4)), LABELS.repeat(2)
    losses = []
    for i in range(10):
        others = [a for a in range(10) if a != i]
        normaliser = torch.logsumexp(torch.stack([z[i] @ z[a] for a in others]) / 0.1, 0)
        losses.append(-np.mean([float(z[i] @ z[p] / 0.1 - normaliser) for p in others if y[p] == y[i]]))
    close(on_rows(supcon.SupCon(0.1, 0.1), z, LABELS).total, float(np.mean(losses)))


# CIDER

GOLDEN_CIDER = {
    (0.5, 1.0): (1.3436545532913515, 2.2930859138249344, 3.6367404671162857, 3.68878152504187, 10.648400499127407),
    (0.95, 2.0): (1.3198784268985582, 0.8297360607002215, 2.979350548299001, 2.99200362997973, 6.589698920097385),
}


def one_prototype(momentum, weight, **changes):
    chosen = defaults(cider, prototype_momentum=momentum, compactness_weight=weight, **changes)
    return cider.Cider(chosen, golden.prototypes(3, 4))


@pytest.mark.parametrize(("momentum", "weight"), GOLDEN_CIDER)
def test_cider_matches_the_golden_vectors(momentum, weight):
    spread, compact, total, _, norm = GOLDEN_CIDER[momentum, weight]
    terms, gradient = run(one_prototype(momentum, weight), golden.embeddings(5, 2, 4), LABELS)
    close(terms.parts["dispersion"], spread)
    close(terms.parts["compactness"], compact)
    close(terms.total, total)
    close(gradient.norm(), norm)


def test_gradient_and_prototypes_of_cider_match_the_golden_vectors():
    objective = one_prototype(0.95, 2.0)
    _, gradient = run(objective, golden.embeddings(5, 2, 4), LABELS)
    close(gradient[0, 0], [-0.4285328869671125, -0.6092523680823442, -0.7528306326961075, -0.5461632247136524])
    objective.commit(skipped=False)
    wanted = [
        [0.7849233036609067, 0.5217767978098022, 0.30682652761660273, -0.1322946052873471],
        [0.12285136799038283, -0.2866650562066162, -0.6163848150589841, -0.7230494081995027],
        [-0.42108757306312666, -0.7678601908788797, -0.4690816605376719, 0.11418572074684644],
    ]
    close(objective.prototypes, wanted)


@pytest.mark.parametrize(("momentum", "weight"), GOLDEN_CIDER)
def test_cider_depends_on_the_order_of_rows(momentum, weight):
    """The rows of the golden vector in another order; each is its own image with one view here."""
    z, y = golden.view_major(golden.embeddings(5, 2, 4)), LABELS.repeat(2)
    plain = on_rows(one_prototype(momentum, weight), z, y)
    close(plain.total, GOLDEN_CIDER[momentum, weight][2])
    close(on_rows(one_prototype(momentum, weight), z[ORDER], y[ORDER]).total, GOLDEN_CIDER[momentum, weight][3])


def slowly(start, z, labels, momentum):
    """One sample at a time."""
    moved = list(start)
    for row, label in zip(z, labels, strict=True):
        moved[label] = normalize(momentum * moved[label] + (1 - momentum) * row, dim=0)
    return torch.stack(moved)


@pytest.mark.parametrize(("classes", "count"), [(3, 10), (10, 7), (5, 64), (1, 9)])
def test_rounds_are_one_sample_at_a_time(classes, count):
    draw = torch.Generator().manual_seed(classes)
    z = normalize(torch.randn(count, 4, generator=draw, dtype=torch.float64), dim=1).requires_grad_()
    labels = torch.randint(0, classes, (count,), generator=draw)
    start = golden.prototypes(classes, 4)
    found = cider.sequential(start, z, cider.rounds(labels, classes), 0.7)
    wanted = slowly(start, z, labels.tolist(), 0.7)
    close(found, wanted.detach(), 1e-14)
    weight = torch.randn(classes, 4, generator=draw, dtype=torch.float64)
    gradients = [torch.autograd.grad((part * weight).sum(), z, retain_graph=True)[0] for part in (found, wanted)]
    close(gradients[0], gradients[1], 1e-14)


def test_every_row_has_its_place_in_the_rounds():
    labels = torch.tensor([2, 0, 2, 2, 0, 4])
    rows, there = cider.rounds(labels, 5)
    assert rows.shape == there.shape == (3, 5)
    assert [rows[there[:, c], c].tolist() for c in range(5)] == [[1, 4], [], [0, 2, 3], [], [5]]


def test_labels_on_the_host_give_the_same_rounds():
    z = golden.view_major(golden.embeddings(5, 2, 4))
    terms = one_prototype(0.95, 2.0).loss(
        Outputs(z, z, projection=z), None, LABELS, Context(0, 1, 0, host_labels=LABELS)
    )
    close(terms.total, GOLDEN_CIDER[0.95, 2.0][2])


def test_the_mean_update_moves_each_prototype_once():
    z, y, start = golden.view_major(golden.embeddings(5, 2, 4)), torch.tensor([0, 1] * 5), golden.prototypes(3, 4)
    wanted = start.clone()
    for c in (0, 1):
        wanted[c] = normalize(0.8 * start[c] + 0.2 * z[y == c].mean(0), dim=0)
    close(cider.batched_mean(start, z, y, 0.8), wanted, 1e-14)
    objective = one_prototype(0.8, 1.0, update="batched_mean")
    on_rows(objective, z, LABELS)
    objective.commit(skipped=False)
    close(objective.prototypes, cider.batched_mean(start, z, LABELS.repeat(2), 0.8), 1e-14)


def test_prototypes_of_cider_start_at_the_class_means():
    objective = cider.build(defaults(cider), Sizes(2, 3), torch.Generator().manual_seed(0))
    z = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 0, 1.0]])
    parts = [(Outputs(z[i : i + 1], z[i : i + 1], projection=z[i : i + 1]), torch.tensor([i // 2])) for i in range(3)]
    objective.initialise(parts)
    torch.testing.assert_close(objective.prototypes, torch.tensor([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]]))
    with pytest.raises(ReproError, match="1 of 2 classes have no training image"):
        objective.initialise(parts[:2])


@pytest.mark.parametrize("objective", [one_prototype(0.95, 2.0), multi(palm, 3, 3, 2, 4, 0.9)], ids=["cider", "palm"])
def test_a_skipped_step_keeps_the_prototypes(objective):
    before = objective.prototypes.clone()
    run(objective, golden.embeddings(5, 2, 4), LABELS)
    objective.commit(skipped=True)
    assert torch.equal(objective.prototypes, before)
    objective.commit(skipped=False)  # nothing waits from the step that was skipped
    assert torch.equal(objective.prototypes, before)


@pytest.mark.parametrize("objective", [multi(palm, 3, 3, 2, 4, 0.9), supcon.SupCon(0.1, 0.07)], ids=["palm", "supcon"])
def test_order_of_batch_and_views_does_not_matter(objective):
    x, order = golden.embeddings(5, 2, 4), ORDER[:5].clone()
    order = torch.tensor([3, 1, 4, 0, 2])
    total = run(objective, x, LABELS)[0].total
    close(run(objective, x[order], LABELS[order])[0].total, total.detach(), 1e-13)
    close(run(objective, x.flip(1), LABELS)[0].total, total.detach(), 1e-13)


# LogitNorm


def test_logitnorm_is_cross_entropy_of_scaled_unit_logits():
    z = golden.embeddings(5, 1, 3)[:, 0] * torch.tensor([1.0, 2, 30, 0.1, 5])[:, None]
    terms = logitnorm.LogitNorm(0.04).loss(Outputs(z, z, logits=z), None, LABELS, CONTEXT)
    wanted = -np.mean([float((normalize(z, dim=1) / 0.04).log_softmax(1)[i, y]) for i, y in enumerate(LABELS)])
    assert float(terms.total) == pytest.approx(wanted, rel=1e-5)
    again = logitnorm.LogitNorm(0.04).loss(Outputs(z, z, logits=3 * z), None, LABELS, CONTEXT)
    assert float(again.total) == pytest.approx(float(terms.total), rel=1e-5)


def test_logitnorm_of_zeros_is_finite():
    z = torch.zeros(5, 3, requires_grad=True)
    logitnorm.LogitNorm(0.04).loss(Outputs(z, z, logits=z), None, LABELS, CONTEXT).total.backward()
    assert torch.isfinite(z.grad).all()
