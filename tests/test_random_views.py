"""Claims about evaluation through random training views, which EDGE's release does and nothing else."""

import numpy as np
import pytest
import torch

from methods.data.images import ImageSet
from methods.features.extract import extract
from methods.features.random_views import RandomViews, evaluated_images
from methods.networks.model import build_model
from methods.settings import outputs, steps
from methods.settings.load import load_study
from methods.settings.study import Run
from methods.training.augmentation import crop_boxes, plain, resized_crop
from methods.training.randomness import generator

CROP = {"random_resized_crop": {"area": [0.3, 1.0], "aspect": [0.75, 4 / 3]}, "horizontal_flip": 0.5}
VIEWS = {"views": {"augmentation": CROP, "seed": 3, "name": "photos/test"}}
PLAIN = {"mean": [0.0, 0.0, 0.0], "std": [1.0, 1.0, 1.0]}


def pictures(count=9):
    pixels = np.random.default_rng(0).integers(0, 256, (count, 12, 12, 3), dtype=np.uint8)
    return ImageSet(pixels, np.full(count, -1), tuple(map(str, range(count))), ())


def views(images, **changes):
    return evaluated_images(images, {"views": {**VIEWS["views"], **changes}}).pixels


def test_images_stay_as_they_are_where_no_view_is_asked_for():
    images = pictures()
    assert evaluated_images(images, {"dataset": "x"}) is images


def test_a_view_is_the_crop_and_flip_that_its_own_generator_draws():
    images, found = pictures(), views(pictures())
    for number in range(len(images)):
        draw = generator(3, "evaluation view photos/test", 0, number)
        flip = torch.rand(1, generator=draw) < 0.5
        boxes = crop_boxes(1, 12, 12, CROP["random_resized_crop"], draw)
        expected = resized_crop(plain(torch.from_numpy(images.pixels[number : number + 1])), boxes, flip)[0]
        seen = torch.from_numpy(found[number : number + 1][0]).permute(2, 0, 1) / 255
        assert (seen - expected).abs().max() <= 0.5 / 255 + 1e-6


def test_a_view_depends_on_seed_and_set_and_not_on_how_it_is_read():
    images = pictures()
    whole = views(images)[0:9]
    assert whole.dtype == np.uint8
    assert whole.shape == images.pixels.shape
    assert np.array_equal(np.concatenate([views(images)[0:4], views(images)[4:20]]), whole)
    assert not np.array_equal(views(images, seed=4)[0:9], whole)
    assert not np.array_equal(views(images, name="photos/val")[0:9], whole)
    assert not np.array_equal(images.pixels, whole)
    assert len(RandomViews(images.pixels, CROP, 3, "x")) == 9
    assert views(images)[9:12].shape == (0, 12, 12, 3)


def test_an_augmentation_that_does_nothing_gives_every_pixel_back():
    images = pictures()
    assert np.array_equal(views(images, augmentation={})[0:9], images.pixels)


def test_features_of_views_are_the_same_for_every_batch_size():
    network = {"name": "cifar_resnet", "blocks": [1], "widths": [4]}
    head = {"kind": "linear", "hidden": 4}
    model = build_model({"network": network, "classes": 3, "head": head, "projector": None}).eval()
    images, cpu = evaluated_images(pictures(), VIEWS), torch.device("cpu")
    one, other = (extract(model, images, PLAIN, cpu, batch) for batch in (2, 9))
    np.testing.assert_allclose(one.embedding, other.embedding, rtol=1e-5, atol=1e-6)
    assert one.sample_ids == pictures().sample_ids
    assert not np.allclose(one.embedding, extract(model, pictures(), PLAIN, cpu, 9).embedding)


@pytest.fixture
def study():
    return load_study({"papers": ["demo"], "seeds": [5], "protocols": ["corrected", "released"]})


def told(study, method, protocol, *part):
    run = Run("digit_mosaics", method, protocol, 5)
    return [steps.extract_settings(study, run, *part), steps.network_score_settings(study, run, *part)]


@pytest.mark.parametrize(
    ("method", "protocol", "part", "random"),
    [
        ("edge", "released", ("held_out_mosaics", "test"), True),
        ("edge", "released", ("digit_mosaics", "test"), False),
        ("edge", "released", ("digit_mosaics", "train"), False),
        ("edge", "corrected", ("held_out_mosaics", "test"), False),
        ("bce", "released", ("held_out_mosaics", "test"), False),
    ],
)
def test_only_ood_images_of_the_released_protocol_are_seen_through_views(study, method, protocol, part, random):
    for settings in told(study, method, protocol, *part):
        assert ("views" in settings) == random
        if random:
            recipe = study.recipes[method, "digit_mosaics"]
            assert settings["views"] == {"augmentation": recipe["augmentation"], "seed": 5, "name": "/".join(part)}


def test_id_test_images_too_where_the_benchmark_says_so_and_no_other_id_images(study):
    study.benchmarks["digit_mosaics"]["released_id_transform"] = "random"
    assert all("views" in settings for settings in told(study, "edge", "released", "digit_mosaics", "test"))
    for split in ("train", "validation"):
        assert not any("views" in settings for settings in told(study, "edge", "released", "digit_mosaics", split))
    assert not any("views" in settings for settings in told(study, "edge", "corrected", "digit_mosaics", "test"))


def test_the_switch_shapes_no_training(study):
    run = Run("digit_mosaics", "edge", "released", 5)
    before = steps.train_settings(study, run)
    study.recipes["edge", "digit_mosaics"]["switches"] = {"eval_transform": "deterministic"}
    assert steps.train_settings(study, run) == before
    assert "views" not in steps.extract_settings(study, run, "held_out_mosaics", "test")


def test_a_table_says_which_runs_were_seen_through_views(study):
    entry = study.papers["demo"]["tables"]["digit_mosaics"]
    found = outputs.table_settings(study, "demo", entry)["random_views"]
    assert found == {"methods": ["EDGE (released)"], "id": False}
    alone = load_study({"papers": ["demo"], "seeds": [5]})
    assert "random_views" not in outputs.table_settings(alone, "demo", entry)
