"""Scores through the network: identities without a step, slow gradients, pytorch-ood, and what must not change them."""

import numpy as np
import pytest
import torch
from torch import nn

from methods import registry
from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.extract import extract
from methods.features.network_scores import network_scores
from methods.networks.model import Outputs
from methods.scores import mahalanobis_multilabel, mahalanobis_within
from methods.scores.perturbation import moved
from methods.settings.parts import complete_part

NORMALISATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
INSTANCES = {
    "odin": {"score": "odin"},
    "odin_ml": {"score": "odin_multilabel", "noise": 0.002},
    "odin_sum": {"score": "odin_multilabel", "noise": 0.002, "aggregate": "sum"},
    "maha": {"score": "mahalanobis_perturbed"},
    "maha_unit": {"score": "mahalanobis_perturbed", "normalise": True},
    "maha_ml": {"score": "mahalanobis_multilabel_perturbed", "noise": 0.002},
    "maha_sum": {"score": "mahalanobis_multilabel_perturbed", "noise": 0.002, "aggregate": "sum"},
}
INSTANCES = {name: complete_part("scores", "score", part) for name, part in INSTANCES.items()}
CPU = torch.device("cpu")


class Network(nn.Module):
    """Smooth and small, in float64 inside, with the outputs of a real one."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(48, 6), nn.Tanh()).double()
        self.head = nn.Linear(6, 4).double()

    def forward(self, images):
        embedding = self.body(images.double())
        return Outputs(pooled=embedding, embedding=embedding, logits=self.head(embedding))


@pytest.fixture(scope="module")
def network():
    return Network().eval()


def image_set(count, seed):
    pixels = np.random.RandomState(seed).randint(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return ImageSet(pixels, np.arange(count) % 4, tuple(f"i{n}" for n in range(count)), tuple("abcd"))


@pytest.fixture(scope="module")
def train(network):
    return extract(network, image_set(80, 1), NORMALISATION, CPU, 80)


def multi_hot(train):
    labels = (np.random.RandomState(5).rand(80, 4) < 0.4).astype(np.uint8)
    return Features(train.embedding, labels, train.sample_ids, logits=train.logits)


def fitted(name, train):
    parameters = INSTANCES[name]
    module = registry.load("scores", parameters["score"])
    chosen = multi_hot(train) if "multilabel" in parameters["score"] else train
    return module.fit(chosen, Readout(), parameters) if hasattr(module, "fit") else {}


def scores(name, network, train, images, batch=7, **changes):
    instance = {name: {**INSTANCES[name], **changes}}
    return network_scores(instance, network, images, {name: fitted(name, train)}, NORMALISATION, CPU, batch)[name]


@pytest.mark.parametrize("name", INSTANCES)
def test_scores_do_not_depend_on_the_batch(name, network, train):
    images = image_set(20, 2)
    whole = scores(name, network, train, images, batch=20)
    assert whole.shape == (20,)
    assert whole.dtype == np.float64
    np.testing.assert_allclose(scores(name, network, train, images, batch=3), whole, rtol=1e-9)


def test_without_a_step_odin_is_the_tempered_softmax(network, train):
    images = image_set(15, 3)
    z = extract(network, images, NORMALISATION, CPU, 15).logits.astype(np.float64) / 50
    expected = (np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)).max(axis=1)
    np.testing.assert_allclose(scores("odin", network, train, images, noise=0.0, temperature=50.0), expected, rtol=1e-6)


@pytest.mark.parametrize(("aggregate", "reduce"), [("max", np.max), ("sum", np.sum)])
def test_without_a_step_multi_label_odin_is_the_sigmoid(network, train, aggregate, reduce):
    images = image_set(15, 3)
    z = extract(network, images, NORMALISATION, CPU, 15).logits.astype(np.float64) / 2
    found = scores("odin_ml", network, train, images, noise=0.0, temperature=2.0, aggregate=aggregate)
    np.testing.assert_allclose(found, reduce(1 / (1 + np.exp(-z)), axis=1), rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "module"),
    [
        ("maha", mahalanobis_within),
        ("maha_unit", mahalanobis_within),
        ("maha_ml", mahalanobis_multilabel),
        ("maha_sum", mahalanobis_multilabel),
    ],
)
def test_without_a_step_mahalanobis_is_the_score_on_features(name, module, network, train):
    images = image_set(15, 4)
    features = extract(network, images, NORMALISATION, CPU, 15)
    expected = module.score(features, fitted(name, train), INSTANCES[name])
    np.testing.assert_allclose(scores(name, network, train, images, noise=0.0), expected, rtol=2e-5)


def test_the_step_follows_the_sign_of_the_gradient_of_each_image():
    images = torch.randn(3, 3, 2, 2, dtype=torch.float64).requires_grad_()
    weights = torch.randn(3, 2, 2, dtype=torch.float64)
    weights[0, 0, 0] = 0
    std = torch.tensor([0.2, 0.5, 1.0], dtype=torch.float64)[:, None, None]
    found = moved(images, (images * weights).sum(dim=(1, 2, 3)), 0.1, std)
    sign = torch.where(weights >= 0, 1.0, -1.0)
    torch.testing.assert_close(found, images.detach() - 0.1 * sign / std)
    assert not found.requires_grad


@pytest.mark.parametrize("name", ["odin", "maha", "maha_unit", "maha_ml"])
def test_a_small_step_raises_the_score(name, network, train):
    images = image_set(30, 6)
    still, stepped = (scores(name, network, train, images, noise=noise) for noise in (0.0, 1e-4))
    assert (stepped >= still).all()
    assert (stepped > still).mean() > 0.9


def test_the_direction_of_odin_is_that_of_slow_differences(network, train):
    images, temperature = image_set(2, 7), 10.0
    x = (torch.from_numpy(images.images).permute(0, 3, 1, 2) / 255).double()
    mean, std = (torch.tensor(NORMALISATION[key], dtype=torch.float64)[:, None, None] for key in ("mean", "std"))
    x = (x - mean) / std

    def loss(image, label):
        return torch.nn.functional.cross_entropy(network(image[None]).logits / temperature, label[None])

    moved_images = x.clone()
    for n in range(2):
        label = network(x[n][None]).logits.argmax()
        for place in np.ndindex(3, 4, 4):
            step = torch.zeros_like(x[n])
            step[place] = 1e-5
            slope = loss(x[n] + step, label) - loss(x[n] - step, label)
            moved_images[n][place] -= 0.01 * (1.0 if slope >= 0 else -1.0) / std[place[0], 0, 0]
    expected = (network(moved_images).logits / temperature).softmax(dim=1).amax(dim=1)
    found = scores("odin", network, train, images, noise=0.01, temperature=temperature)
    np.testing.assert_allclose(found, expected.detach().numpy(), rtol=1e-5)


def test_odin_equals_pytorch_ood(network, train):
    peers = pytest.importorskip("pytorch_ood.detector")
    images = image_set(12, 8)
    x = (torch.from_numpy(images.images).permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.25

    class Logits(nn.Module):
        def forward(self, inputs):
            return network(inputs).logits

    peer = peers.ODIN(Logits(), temperature=1000.0, eps=0.0014, norm_std=[0.25, 0.25, 0.25])
    instance = {"odin": INSTANCES["odin"]}
    even = {"mean": [0.5] * 3, "std": [0.25] * 3}
    found = network_scores(instance, network, images, {"odin": {}}, even, CPU, 12)["odin"]
    np.testing.assert_allclose(found, -peer.predict(x).detach().numpy(), rtol=1e-6)


def test_a_score_that_is_not_finite_is_refused(train):
    class Broken(Network):
        def forward(self, images):
            outputs = super().forward(images)
            return Outputs(outputs.pooled, outputs.embedding, outputs.logits * float("nan"))

    with pytest.raises(ReproError, match="'odin' are NaN or infinite for 5 of 5 images"):
        scores("odin", Broken().eval(), train, image_set(5, 9))
