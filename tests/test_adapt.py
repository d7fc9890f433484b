"""ADAPT's criterion against the specification's golden vectors (float64) and its invariances."""

import pytest
import torch

from methods.networks.model import Outputs
from methods.objectives import adapt, prototypes
from methods.objectives.base import Context, Sizes
from tests import golden

CONTEXT = Context(epoch=0, epochs=1, step=0)
TIGHT = {"rtol": 0, "atol": 1e-10}

PROTOTYPES_AFTER = [
    [0.7832695118446587, 0.5786492182857246, 0.1769195647875413, -0.14266541833022223],
    [0.18540495973676369, -0.29733676010264515, -0.6560540046755293, -0.6684377270515719],
    [-0.3558674524577737, -0.8064353432400604, -0.4397505805412997, 0.1721621920402096],
    [-0.5967974615704045, -0.3758279562261678, 0.49157898491308855, 0.5108191840307102],
    [-0.509184599949004, 0.46113078072447605, 0.6947552418039262, -0.21308355222582562],
    [0.19853245121123636, 0.6803566370369999, -0.1294429355778455, -0.6935014338015111],
    [0.6687051910677501, 0.14630509169179617, -0.7206028367664975, 0.11027120761184958],
    [0.578011349869638, -0.4930259098408948, -0.19899197026011156, 0.6190561585344546],
    [0.11919104239009784, -0.6873312562195285, 0.7008611607175124, -0.14887200218761124],
]


def criterion(classes, per_class, top_k, dimension, momentum, **changes):
    defaults = {name: part.get("default") for name, part in adapt.RECORD["parameters"].items()}
    chosen = {"prototypes_per_class": per_class, "top_k": top_k, "prototype_momentum": momentum}
    start = golden.prototypes(classes * per_class, dimension)
    return adapt.Adapt({**defaults, **chosen, **changes}, Sizes(classes, dimension), start)


def run(objective, x, labels):
    """Terms and the gradient of the total with respect to the free variable ``x`` (B, V, D)."""
    x = x.clone().requires_grad_()
    z = golden.view_major(x)
    terms = objective.loss(Outputs(z, z, projection=z), None, labels, CONTEXT)
    (gradient,) = torch.autograd.grad(terms.total, x)
    return terms, gradient


@pytest.fixture
def small():
    return criterion(3, 3, 2, 4, 0.9), golden.embeddings(5, 2, 4), torch.tensor([0, 1, 2, 0, 1])


def close(value, expected):
    torch.testing.assert_close(value.detach(), torch.tensor(expected, dtype=torch.float64), **TIGHT)


def test_one_step_matches_the_golden_vector(small):
    objective, x, labels = small
    terms, gradient = run(objective, x, labels)
    close(terms.parts["likelihood"], 5.751040948602173)
    close(terms.parts["prototype_contrast"], 3.249267821615256)
    close(terms.total, 9.00030877021743)
    close(terms.monitors["alignment"], 0.47542697832358016)
    close(terms.monitors["contrast_temperature"], 0.409829208670568)
    close(gradient.norm(), 3.535657307111991)
    close(gradient[0, 0], [-0.5102171709417184, 0.3639538101082549, -0.36594138349952166, -0.8435149528422837])


def test_updated_prototypes_match_the_golden_vector(small):
    objective, x, labels = small
    run(objective, x, labels)
    objective.commit(skipped=False)
    close(objective.prototypes, PROTOTYPES_AFTER)


def test_three_stateful_steps_match_the_golden_vectors():
    expected = [
        (
            12.91490093404984,
            8.7581159965905,
            4.156784937459338,
            0.20755052911759392,
            1.4347860019472713,
            -2.52317862990348,
        ),
        (
            14.539006478832139,
            10.388611363824209,
            4.150395115007931,
            0.15062557608056482,
            1.4894636814214706,
            -2.5233015942011567,
        ),
        (
            14.115509573754567,
            9.963763056743936,
            4.151746517010631,
            0.1602269925139473,
            1.4756429644748024,
            -2.5245206748959363,
        ),
    ]
    objective, x, labels = criterion(10, 6, 5, 16, 0.999), golden.embeddings(40, 2, 16), torch.arange(40) % 10
    for step, (total, likelihood, contrast, alignment, norm, mass) in enumerate(expected):
        terms, gradient = run(objective, x.roll(step, dims=0), labels)
        objective.commit(skipped=False)
        close(terms.total, total)
        close(terms.parts["likelihood"], likelihood)
        close(terms.parts["prototype_contrast"], contrast)
        close(terms.monitors["alignment"], alignment)
        close(gradient.norm(), norm)
        close(objective.prototypes.sum(), mass)


def test_sinkhorn_matches_the_golden_rows():
    z = golden.view_major(golden.embeddings(5, 2, 4))
    assignment = prototypes.sinkhorn(z @ golden.prototypes(9, 4).T, epsilon=0.05, rounds=3)
    close(assignment[0, :3], [0.4349614395092277, 0.0598231005791763, 2.2019292975788527e-08])
    close(assignment.sum(0)[:3], [0.66798591681852, 0.7207230621222073, 1.0638984647399106])
    close(assignment.sum(1), [1.0] * 10)


def test_a_skipped_step_keeps_the_prototypes(small):
    objective, x, labels = small
    before = objective.prototypes.clone()
    run(objective, x, labels)
    objective.commit(skipped=True)
    assert torch.equal(objective.prototypes, before)


def test_order_of_batch_and_views_does_not_matter(small):
    objective, x, labels = small
    total = run(objective, x, labels)[0].total
    order = torch.tensor([3, 1, 4, 0, 2])
    torch.testing.assert_close(run(objective, x[order], labels[order])[0].total, total, rtol=0, atol=1e-13)
    torch.testing.assert_close(run(objective, x.flip(1), labels)[0].total, total, rtol=0, atol=1e-13)


def test_one_prototype_a_class_has_no_positive_in_the_contrast():
    objective = criterion(3, 1, 5, 4, 0.9)
    terms, gradient = run(objective, golden.embeddings(5, 2, 4), torch.tensor([0, 1, 2, 0, 1]))
    p = objective._moved(objective._update).detach()
    similarity = p @ p.T / terms.monitors["contrast_temperature"]
    similarity.fill_diagonal_(-torch.inf)
    torch.testing.assert_close(terms.parts["prototype_contrast"].detach(), similarity.logsumexp(1).mean())
    assert torch.isfinite(gradient).all()


def test_without_hard_negative_weight_and_beta_the_factor_is_one(small):
    _, x, labels = small
    plain = criterion(3, 3, 2, 4, 0.9, beta=0.0)
    terms, _ = run(plain, x, labels)
    z, p = golden.view_major(x), plain._moved(plain._update).detach()
    s = torch.nn.functional.softplus(z @ p.T / 0.1)
    own = prototypes.own_columns(labels.repeat(2), 3, 3)
    kept = prototypes.top_own(prototypes.sinkhorn(z @ plain.prototypes.T, 0.05, 3), own, 2)
    target = prototypes.spread(prototypes.row_weights(prototypes.sinkhorn(z @ p.T, 0.05, 3), kept), kept, 9)
    expected = (s.logsumexp(1) - (target * s).sum(1)).mean()
    torch.testing.assert_close(terms.parts["likelihood"].detach(), expected)


def test_monitors_count_prototypes_without_samples(small):
    objective, x, labels = small
    monitors = run(objective, x, labels)[0].monitors
    close(monitors["dead_prototypes"], 1 / 9)  # prototype 5 gets no sample
    assert 0 < monitors["usage_entropy"] < 1
