"""Claims about the dilation distance and about the spectra it is taken from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features import outlier_spectra
from methods.features.dilation import dilation_distance, mean_spectrum, singular_values
from methods.features.outlier_spectra import candidate_distances, feature_batches, starting_network

THREE, ONES = np.array([3.0, 2.0, 1.0]), np.ones(3)
CPU = torch.device("cpu")
SETTINGS = {
    "network": {"name": "cifar_resnet", "blocks": [1], "widths": [12]},
    "normalisation": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
    "augmentation": {},
    "batch": 8,
    "top_k": 3,
    "seed": 5,
}


def pictures(count, seed, low=0, high=256):
    pixels = np.random.default_rng(seed).integers(low, high, (count, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, np.full(count, -1), tuple(map(str, range(count))), ())


@pytest.mark.parametrize(("form", "top_k", "expected"), [
    ("paper_topk", 2, 2.23606797749979),
    ("released_bug", 2, 3.1622776601683795),
    ("paper_topk", 1, 2.0),
    ("released_bug", 1, math.sqrt(5)),
])  # fmt: skip
def test_distances_are_those_of_the_specification(form, top_k, expected):
    assert dilation_distance(THREE, ONES, top_k, form) == pytest.approx(expected, rel=1e-15)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 99))
def test_singular_values_are_those_of_a_decomposition(rows, columns, seed):
    features = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    expected = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(singular_values(features), expected, atol=1e-7 * expected[0], rtol=1e-9)


def test_equal_rows_have_one_singular_value_and_no_nan():
    found = singular_values(np.ones((4, 9)))
    np.testing.assert_allclose(found, [6, 0, 0, 0], atol=1e-6)


def test_spectra_are_averaged_after_sorting():
    first, second = np.diag([1.0, 5.0, 2.0]), np.diag([7.0, 1.0, 3.0])
    np.testing.assert_allclose(mean_spectrum([first, second]), [6, 2.5, 1])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ReproError, match="no whole batch"):
        mean_spectrum([])
    with pytest.raises(ReproError, match=r"give \[2, 3\] singular values"):
        mean_spectrum([np.eye(3), np.ones((2, 9))])
    with pytest.raises(ReproError, match="Spectra of 3 and 2 values"):
        dilation_distance(THREE, ONES[:2], 1)
    with pytest.raises(ReproError, match="top_k 4"):
        dilation_distance(THREE, ONES, 4)


def test_batches_are_whole_shuffled_and_draw_no_image_twice():
    images, network = pictures(30, 1), starting_network(SETTINGS["network"], 5).eval()
    batches = list(feature_batches(network, images, SETTINGS, CPU, "train"))
    assert [len(batch) for batch in batches] == [8, 8, 8]
    x = torch.from_numpy(images.pixels.copy()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(SETTINGS["normalisation"][key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        plain = network((x - mean) / std).numpy()
    places = [int(np.abs(plain - row).sum(axis=1).argmin()) for row in np.concatenate(batches)]
    np.testing.assert_allclose(plain[places], np.concatenate(batches), rtol=1e-4, atol=1e-5)
    assert len(set(places)) == 24
    assert places != sorted(places)


def test_a_row_is_what_the_definition_says_of_the_batches_both_sets_have():
    inside, outside = pictures(40, 1), pictures(20, 2, high=60)
    (row,) = candidate_distances(SETTINGS, inside, {"dark": outside}, CPU)
    network = starting_network(SETTINGS["network"], 5).eval()
    own, other = (
        [
            np.linalg.svd(batch.astype(float), compute_uv=False)
            for batch in feature_batches(network, s, SETTINGS, CPU, n)
        ]
        for s, n in ((inside, "train"), (outside, "dark"))
    )
    gap = np.mean(own[:2], axis=0) - np.mean(other, axis=0)  # two whole batches of 20 images
    assert (row["dataset"], row["images"], row["batches"]) == ("dark", 20, 2)
    assert row["paper_topk"] == pytest.approx(np.sqrt((gap[:3] ** 2).sum()), rel=1e-6)
    assert row["released_bug"] == pytest.approx(np.sqrt(3) * np.sqrt((gap**2).sum()), rel=1e-6)


def test_a_candidate_is_measured_alike_in_any_company():
    inside, sets = pictures(24, 1), {"a": pictures(24, 2), "b": pictures(30, 3)}
    both = candidate_distances(SETTINGS, inside, sets, CPU)
    assert candidate_distances(SETTINGS, inside, {"b": sets["b"]}, CPU) == [both[1]]


def test_the_like_of_the_id_set_is_nearer_than_what_differs():
    inside = pictures(64, 1)
    near, far = candidate_distances(SETTINGS, inside, {"near": pictures(64, 2), "far": pictures(64, 3, high=40)}, CPU)
    assert near["paper_topk"] < far["paper_topk"] / 3


def test_views_are_random_where_an_augmentation_is_given_and_follow_the_seed():
    images, network = pictures(8, 1), starting_network(SETTINGS["network"], 5).eval()

    def features(**changes):
        return next(feature_batches(network, images, {**SETTINGS, **changes}, CPU, "x"))

    flipped = {"augmentation": {"horizontal_flip": 0.5, "random_crop": {"padding": 2}}}
    assert np.array_equal(features(**flipped), features(**flipped))
    assert not np.allclose(np.sort(features(**flipped), axis=0), np.sort(features(), axis=0))
    assert not np.array_equal(features(**flipped, seed=6), features(**flipped))


def test_a_set_without_a_whole_batch_is_refused():
    with pytest.raises(ReproError, match="tiny has 7 images, a batch of the dilation distance 8"):
        candidate_distances(SETTINGS, pictures(8, 1), {"tiny": pictures(7, 2)}, CPU)


def test_the_network_is_the_one_a_training_of_the_seed_starts_from():
    one, same, other = (outlier_spectra.starting_network(SETTINGS["network"], seed) for seed in (1, 1, 2))
    weights = [next(iter(network.parameters())) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
