"""EDGE's loss against the specification's golden vectors (float64) and its invariants."""

import pytest
import torch

from methods.networks.model import Outputs
from methods.objectives import bce, edge
from methods.objectives.base import Context, Sizes
from tests import golden

CLOSE = {"rtol": 0, "atol": 1e-12}


def objective(**parameters):
    defaults = {name: part["default"] for name, part in edge.RECORD["parameters"].items()}
    return edge.build({**defaults, "start_epoch": 0, **parameters}, Sizes(4, 0), torch.Generator())


def terms(z_id, labels, z_out, epoch=0, **parameters):
    outputs, outliers = Outputs(z_id, z_id, logits=z_id), Outputs(z_out, z_out, logits=z_out)
    return objective(**parameters).loss(outputs, outliers, labels, Context(epoch, 2, 0))


@pytest.mark.parametrize(
    ("k", "margin", "gap", "total"),
    [
        (3, 0.0, 0.2858382112779913, 1.3608467664071398),
        (3, 0.5, 0.4191715446113246, 1.3741800997404732),
        (6, 1.0, 0.32480365048906035, 1.3647433103282467),
    ],
)
def test_loss_matches_the_golden_vectors(k, margin, gap, total):
    found = terms(*golden.multi_label(), top_k=k, margin=margin)
    close(found.parts["bce"], 0.9097106071311721)
    close(found.parts["outlier_confidence"], 0.42255233814816845)
    close(found.parts["energy_gap"], gap)
    close(found.total, total)


def test_joint_energy_matches_the_golden_vector():
    z_id, _, z_out = golden.multi_label()
    close(
        edge.joint_energy(z_id),
        golden.ID_ENERGY,
    )
    close(
        edge.joint_energy(z_out),
        [3.8587135986555494, 2.2332774930774852, 1.0596490705447328, 0.6125890317499258, 0.6868175689356772],
    )


def test_gradients_match_the_golden_vectors():
    z_id, labels, z_out = golden.multi_label()
    z_id.requires_grad_()
    z_out.requires_grad_()
    g_id, g_out = torch.autograd.grad(terms(z_id, labels, z_out, top_k=3, margin=0.5).total, [z_id, z_out])
    close(g_id.norm(), 0.11613872745032212)
    close(g_out.norm(), 0.1043284872991426)
    close(g_id[0], [-0.01484984045004617, 0.03365143611035081, 0.036372079253216276, -0.005200203498507329])
    close(g_out[0], [0.05075975820343996, 0.04735913738396146, 0.04038971589948563, 0.030732968795437084])


def test_gap_counts_from_its_first_epoch_on():
    early = terms(*golden.multi_label(), epoch=0, start_epoch=1)
    torch.testing.assert_close(early.total, early.parts["bce"] + early.parts["outlier_confidence"])
    assert terms(*golden.multi_label(), epoch=1, start_epoch=1).total > early.total


def test_alpha_and_beta_zero_is_bce():
    z_id, labels, z_out = golden.multi_label()
    plain = bce.build({}, Sizes(4, 0), torch.Generator()).loss(
        Outputs(z_id, z_id, logits=z_id), None, labels, Context(0, 1, 0)
    )
    assert torch.equal(terms(z_id, labels, z_out, alpha=0.0, beta=0.0).total, plain.total)


def test_gap_vanishes_where_outliers_lie_below_the_tail():
    z_id, labels, _ = golden.multi_label()
    assert terms(z_id, labels, torch.full((5, 4), -9.0, dtype=torch.float64), top_k=3).parts["energy_gap"] == 0


def test_more_tail_images_than_the_batch_has_are_clamped():
    a, b = terms(*golden.multi_label(), top_k=99), terms(*golden.multi_label(), top_k=6)
    assert torch.equal(a.total, b.total)


@pytest.mark.parametrize("size", [20.0, 100.0, 200.0])
def test_large_logits_stay_finite_and_so_do_their_gradients(size):
    z_id, labels, z_out = (x.float() for x in golden.multi_label())
    z_id, z_out = (size * z_id.sign()).requires_grad_(), torch.full_like(z_out, size).requires_grad_()
    found = terms(z_id, labels, z_out).total
    assert torch.isfinite(found)
    g_id, g_out = torch.autograd.grad(found, [z_id, z_out])
    assert torch.isfinite(g_id).all()
    assert (g_out > 0).all()  # however large, outliers are pushed down


def test_confidence_is_the_mean_energy_of_outliers_by_class():
    found = terms(*golden.multi_label())
    close(found.parts["outlier_confidence"], found.monitors["outlier_energy"].item() / 4)


def test_the_order_of_images_within_a_domain_does_not_matter():
    z_id, labels, z_out = golden.multi_label()
    inside, outside = torch.tensor([5, 3, 0, 1, 4, 2]), torch.tensor([2, 4, 0, 3, 1])
    one = terms(z_id, labels, z_out, top_k=3, margin=0.5)
    close(terms(z_id[inside], labels[inside], z_out[outside], top_k=3, margin=0.5).total, one.total.item())


def test_the_gap_reaches_the_images_of_lowest_energy_and_all_outliers_near_them():
    z_id, _, z_out = golden.multi_label()
    z_id.requires_grad_()
    z_out.requires_grad_()
    gap = edge.energy_gap(edge.joint_energy(z_id), edge.joint_energy(z_out), 3, 5.0)
    g_id, g_out = torch.autograd.grad(gap, [z_id, z_out])
    assert g_id.abs().sum(dim=1).nonzero().flatten().tolist() == [2, 3, 4]
    close(g_id[[2, 3, 4]], (-torch.sigmoid(z_id[[2, 3, 4]]) / 3).tolist())
    close(g_out, (torch.sigmoid(z_out) / 5).tolist())


@pytest.mark.parametrize(("margin", "gap"), [(0.9, 0.0), (1.0, 0.0), (1.25, 0.25)])
def test_the_gap_is_zero_where_every_outlier_is_a_margin_below_the_tail(margin, gap):
    energy, outliers = torch.tensor([5.0, 3.0, 4.0, 9.0]), torch.tensor([2.0, 1.0])
    assert edge.energy_gap(energy, outliers, 1, margin).item() == gap / 2  # of the nearer of two outliers


def test_gradients_without_alpha_and_beta_are_those_of_bce():
    z_id, labels, z_out = golden.multi_label()
    z_id.requires_grad_()
    z_out.requires_grad_()
    g_id, g_out = torch.autograd.grad(terms(z_id, labels, z_out, alpha=0.0, beta=0.0).total, [z_id, z_out])
    close(g_id, ((torch.sigmoid(z_id) - labels) / 24).tolist())
    assert not g_out.any()


@pytest.mark.parametrize(
    ("parameters", "weights"),
    [({}, (1, 0.1)), ({"alpha": 0.0}, (0, 0.1)), ({"beta": 0.0}, (1, 0)), ({"alpha": 0.3, "beta": 2.0}, (0.3, 2))],
)
def test_parameters_reach_every_ablation(parameters, weights):
    found = terms(*golden.multi_label(), top_k=3, **parameters)
    parts = 0.9097106071311721 + weights[0] * 0.42255233814816845 + weights[1] * 0.2858382112779913
    close(found.total, parts)


@pytest.mark.parametrize(("epoch", "weight"), [(0, 0), (1, 0), (2, 0.1), (3, 0.1)])
def test_the_gap_starts_with_its_epoch_and_the_outliers_with_the_first(epoch, weight):
    found = terms(*golden.multi_label(), epoch=epoch, top_k=3, start_epoch=2)
    close(found.total, 0.9097106071311721 + 0.42255233814816845 + weight * 0.2858382112779913)


@pytest.mark.parametrize("last_batch", ["keep", "drop_last", "clamp_k"])
def test_the_switch_of_the_last_batch_changes_no_loss(last_batch):
    kept, plain = (terms(*golden.multi_label(), top_k=3, **more) for more in ({"last_batch": last_batch}, {}))
    assert torch.equal(kept.total, plain.total)


def close(value, expected):
    torch.testing.assert_close(value.detach(), torch.tensor(expected, dtype=torch.float64), **CLOSE)
