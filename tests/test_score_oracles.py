"""Scores against pytorch-ood 0.4, which others wrote: on random features, and on digits with a logistic regression.

The peer gives larger = more OOD, so its scores are negated; where the definitions differ in more than that, the case
undoes it. The peer casts features to float32 here and there; for the comparison torch is made to cast to float64, so
that what is left is the definition. Differences are relative to the spread of the scores.

| score | peer | undone | largest difference left |
| --- | --- | --- | --- |
| mahalanobis_within | Mahalanobis | n times: the peer's covariance is a sum | 2e-6: 1e-6 on the peer's diagonal |
| relative_mahalanobis | RMD | n times, as above | 6e-7, as above |
| knn | KNN | squared: the peer has the distance | 2e-14 |
| gen | GEN | M times: the peer has the mean over classes | 1e-14 |
| gradnorm | GradNorm of the weight | C times: the peer's target is 1/C a class, ours 1 | 8e-15 |
| vim | ViM | nothing | 9e-14 |
| dice, react, ash, scale, she, fdbd, nci, nnguide | the same | nothing | 5e-15 |
| msp, maxlogit, energy, entropy, kl_matching | the same | nothing | 9e-15 |
"""

import numpy as np
import pytest
import torch
from scipy.stats import spearmanr
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression

from methods.features.arrays import Features, Readout
from methods.scores.base import fit_instances, score_instances
from methods.settings.parts import complete_part

peers = pytest.importorskip("pytorch_ood.detector")


def head_of(readout):
    """The classifier as a torch layer that also takes maps (N, E, 1, 1)."""
    head = torch.nn.Linear(*readout.weight.shape[::-1])
    head.weight.data = torch.tensor(readout.weight)
    head.bias.data = torch.tensor(readout.bias)
    return head


def on_logits(detector):
    def scores(train, queries, readout):
        if detector.requires_fit:
            detector.fit_logits(torch.tensor(train.logits), torch.tensor(train.labels))
        return detector.predict_logits(torch.tensor(queries.logits))

    return scores


def on_features(build):
    def scores(train, queries, readout):
        detector = build(head_of(readout)).fit_features(torch.tensor(train.embedding), torch.tensor(train.labels))
        return detector.predict_features(torch.tensor(queries.embedding))

    return scores


def on_maps(build):
    def scores(train, queries, readout):
        head = head_of(readout)
        detector = build(lambda maps: head(maps.flatten(1)))
        if detector.requires_fit:
            detector.fit_feature_maps(torch.tensor(train.embedding), torch.tensor(train.labels))
        return detector.predict_feature_maps(torch.tensor(queries.embedding)[:, :, None, None])

    return scores


def gradients(train, queries, readout):
    return peers.GradNorm(head_of(readout), param_filter="weight".__eq__).predict(torch.tensor(queries.embedding))


def images(train):
    return len(train.labels)


def classes(train):
    return train.logits.shape[1]


# Instance, its peer, and ours from the peer's value p (of opposite sign) and the training set.
CASES = {
    "msp": ({"score": "msp"}, on_logits(peers.MaxSoftmax(None)), lambda p, train: p),
    "msp_warm": ({"score": "msp", "temperature": 4.0}, on_logits(peers.MaxSoftmax(None, t=4.0)), lambda p, train: p),
    "maxlogit": ({"score": "maxlogit"}, on_logits(peers.MaxLogit(None)), lambda p, train: p),
    "energy": ({"score": "energy", "temperature": 2.0}, on_logits(peers.EnergyBased(None, t=2.0)), lambda p, train: p),
    "entropy": ({"score": "entropy"}, on_logits(peers.Entropy(None)), lambda p, train: p),
    "gen": ({"score": "gen", "gamma": 0.5}, on_logits(peers.GEN(None, gamma=0.5)), lambda p, train: p * classes(train)),
    "gen_top": ({"score": "gen", "top_classes": 3}, on_logits(peers.GEN(None, M=3)), lambda p, train: 3 * p),
    "kl_matching": ({"score": "kl_matching"}, on_logits(peers.KLMatching(None)), lambda p, train: p),
    "knn": ({"score": "knn", "k": 7}, on_features(lambda head: peers.KNN(None, k=7)), lambda p, train: -(p**2)),
    "mahalanobis_within": (
        {"score": "mahalanobis_within"},
        on_features(lambda head: peers.Mahalanobis(None)),
        lambda p, train: p * images(train),
    ),
    "relative_mahalanobis": (
        {"score": "relative_mahalanobis"},
        on_features(lambda head: peers.RMD(None)),
        lambda p, train: p * images(train),
    ),
    "vim": (
        {"score": "vim", "dimension": 9},
        on_features(lambda head: peers.ViM(None, 9, head.weight, head.bias)),
        lambda p, train: p,
    ),
    "dice": (
        {"score": "dice", "sparsity": 0.7},
        on_features(lambda head: peers.DICE(None, head.weight, head.bias, 0.7)),
        lambda p, train: p,
    ),
    "she": ({"score": "she"}, on_features(lambda head: peers.SHE(None, head)), lambda p, train: p),
    "fdbd": ({"score": "fdbd"}, on_features(lambda head: peers.fDBD(None, head)), lambda p, train: p),
    "nci": ({"score": "nci", "alpha": 0.01}, on_features(lambda head: peers.NCI(None, head, 0.01)), lambda p, train: p),
    "nnguide": (
        {"score": "nnguide", "k": 6, "share": 1.0},
        on_features(lambda head: peers.NNGuide(None, head, 6)),
        lambda p, train: p,
    ),
    "react": (
        {"score": "react", "percentile": 85},
        on_maps(lambda head: peers.ReAct(None, head, percentile=0.85)),
        lambda p, train: p,
    ),
    **{
        f"ash_{variant}": (
            {"score": "ash", "variant": variant, "percentile": 65},
            on_maps(lambda head, variant=variant: peers.ASH(None, head, f"ash-{variant}", 0.65)),
            lambda p, train: p,
        )
        for variant in "spb"
    },
    "scale": (
        {"score": "scale", "percentile": 80},
        on_maps(lambda head: peers.SCALE(None, head, 0.8)),
        lambda p, train: p,
    ),
    "gradnorm": ({"score": "gradnorm"}, gradients, lambda p, train: p * classes(train)),
}
RIDGE = ("mahalanobis_within", "relative_mahalanobis")


@pytest.fixture
def wide(monkeypatch):
    """torch in float64 throughout."""
    monkeypatch.setattr(torch.Tensor, "float", torch.Tensor.double)
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def sets(train, labels, queries, readout):
    def features(h, y):
        return Features(h, y, tuple(f"image{i:04d}" for i in range(len(h))), logits=h @ readout.weight.T + readout.bias)

    return features(train, labels), features(queries, np.zeros(len(queries), dtype=np.int64)), readout


def random_features():
    draw = np.random.default_rng(0)
    labels, centres = np.arange(400) % 5, 2 * np.abs(draw.normal(size=(5, 16)))
    train = np.maximum(centres[labels] + draw.normal(size=(400, 16)), 0)
    readout = Readout(centres / 5, -(centres**2).sum(axis=1) / 10)  # the nearest centre has the largest logit
    return sets(train, labels, 2 * np.abs(draw.normal(size=(200, 16))), readout)


def digits():
    """Pixels that vary, of the digits 0 to 7 to train on; queries are others of them, and all 8 and 9.

    A little noise breaks ties, of which ASH keeps the first and its peer any.
    """
    pixels, labels = load_digits(return_X_y=True)
    pixels = pixels[:, pixels.var(axis=0) > 1] / 16
    pixels += np.random.default_rng(1).uniform(0, 1e-3, pixels.shape)
    known = np.flatnonzero(labels < 8)
    train, rest = known[:900], np.concatenate([known[900:], np.flatnonzero(labels >= 8)])
    model = LogisticRegression(max_iter=300).fit(pixels[train], labels[train])
    return sets(pixels[train], labels[train], pixels[rest], Readout(model.coef_, model.intercept_))


@pytest.fixture(scope="module", params=[random_features, digits], ids=["random", "digits"])
def images_and_readout(request):
    return request.param()


@pytest.mark.parametrize("name", CASES)
def test_scores_agree_with_pytorch_ood(name, images_and_readout, wide):
    part, peer, undo = CASES[name]
    train, queries, readout = images_and_readout
    instance = {name: complete_part("scores", "score", part)}
    ours = score_instances(instance, queries, fit_instances(instance, train, readout), train)[name]
    theirs = undo(-peer(train, queries, readout).detach().numpy().astype(np.float64), train)
    assert np.abs(ours - theirs).max() < (1e-5 if name in RIDGE else 1e-11) * theirs.std()
    assert spearmanr(ours, theirs).statistic == pytest.approx(1, abs=1e-12)
