"""Batched augmentation against torchvision and Pillow, image by image."""

import math

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import InterpolationMode, RandomResizedCrop
from torchvision.transforms import functional as tv

from methods.training import augmentation, colour
from methods.training.augmentation import augment, crop_boxes, normalise, plain, random_crop, unit_floats
from methods.training.device import seeded

LEVEL = 1 / 255
CROP = {"area": [0.2, 1.0], "aspect": [3 / 4, 4 / 3]}
JITTER = {"probability": 0.8, "brightness": 0.4, "contrast": 0.4, "saturation": 0.4, "hue": 0.1}
CONTRASTIVE = {"random_resized_crop": CROP, "horizontal_flip": 0.5, "colour_jitter": JITTER, "grayscale": 0.2}
CONSTANTS = {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2023, 0.1994, 0.2010]}
NO_COLOUR = {"probability": 1.0, "brightness": 0.0, "contrast": 0.0, "saturation": 0.0, "hue": 0.0}


@pytest.fixture(autouse=True)
def _one_thread():
    torch.set_num_threads(1)


def draws(seed=0):
    return torch.Generator().manual_seed(seed)


def noise(batch=4, height=16, width=16, seed=0):
    """(B, H, W, 3) uint8."""
    return torch.randint(0, 256, (batch, height, width, 3), generator=draws(seed), dtype=torch.uint8)


def floats(images):
    """(B, 3, H, W) in [0, 1]."""
    return unit_floats(plain(images))


def pillow_crop(image, box, size):
    picture = Image.fromarray(image.numpy())
    out = tv.resized_crop(picture, *box, list(size), InterpolationMode.BILINEAR, antialias=True)
    return torch.from_numpy(np.array(out)).permute(2, 0, 1) / 255


def share_is_near(share, expected, count):
    return abs(share - expected) <= 4 * math.sqrt(expected * (1 - expected) / count)


def kolmogorov_distance(a, b):
    """Largest difference of two empirical distribution functions."""
    grid = torch.cat([a, b])
    below = [torch.searchsorted(x.sort().values, grid, right=True) / len(x) for x in (a, b)]
    return (below[0] - below[1]).abs().max().item()


def torchvision_boxes(count, height, width, spec):
    image = torch.zeros(3, height, width)
    with seeded(0):
        return torch.tensor([RandomResizedCrop.get_params(image, spec["area"], spec["aspect"]) for _ in range(count)])


@pytest.mark.parametrize(("height", "width"), [(32, 32), (16, 24), (64, 64), (56, 80)])
def test_resized_crops_agree_with_pillow(height, width):
    images = noise(40, height, width)
    boxes = crop_boxes(40, height, width, {"area": [0.05, 1.0], "aspect": [0.5, 2.0]}, draws())
    found = augmentation.resized_crop(plain(images), boxes, torch.zeros(40, dtype=torch.bool))
    expected = [pillow_crop(i, b.tolist(), (height, width)) for i, b in zip(images, boxes, strict=True)]
    assert (unit_floats(found) - torch.stack(expected)).abs().max() <= 1.5 * LEVEL


@pytest.mark.parametrize("box", [[0, 0, 1, 1], [31, 0, 1, 32], [5, 3, 2, 27], [1, 0, 31, 32], [0, 0, 32, 32]])
def test_the_smallest_and_largest_crops_agree_with_pillow(box):
    images = noise(3, 32, 32)
    found = augmentation.resized_crop(plain(images), torch.tensor([box] * 3), torch.zeros(3, dtype=torch.bool))
    expected = torch.stack([pillow_crop(image, box, (32, 32)) for image in images])
    assert (found - expected).abs().max() <= 1.5 * LEVEL


def test_crops_of_large_images_on_a_processor_are_pillows_to_the_last_bit():
    images, boxes = noise(40, 64, 64), crop_boxes(40, 64, 64, CROP, draws())
    found = augmentation.resized_crop(plain(images), boxes, torch.zeros(40, dtype=torch.bool))
    assert found.dtype == torch.uint8
    expected = torch.stack([pillow_crop(i, b.tolist(), (64, 64)) for i, b in zip(images, boxes, strict=True)])
    assert torch.equal(found, expected.mul(255).round().to(torch.uint8))


@pytest.mark.parametrize("side", [16, 64])
def test_a_crop_of_the_whole_image_is_the_image(side):
    images, boxes = noise(4, side, side), torch.tensor([[0, 0, side, side]] * 4)
    found = augmentation.resized_crop(plain(images), boxes, torch.zeros(4, dtype=torch.bool))
    assert torch.equal(unit_floats(found), floats(images))


@pytest.mark.parametrize("side", [16, 64])
def test_a_crop_reads_no_pixel_outside_its_box(side):
    images, box = torch.full((1, side, side, 3), 255, dtype=torch.uint8), torch.tensor([[2, 3, 5, 7]])
    images[:, 2:7, 3:10] = 0
    assert augmentation.resized_crop(plain(images), box, torch.tensor([False])).max() == 0


@pytest.mark.parametrize("side", [16, 64])
def test_crops_are_mirrored_where_asked(side):
    images, boxes = plain(noise(4, side, side)), crop_boxes(4, side, side, CROP, draws())
    flip = torch.tensor([True, False, True, False])
    kept = augmentation.resized_crop(images, boxes, torch.zeros(4, dtype=torch.bool))
    found = augmentation.resized_crop(images, boxes, flip)
    assert torch.equal(found, torch.where(flip[:, None, None, None], kept.flip(3), kept))


@pytest.mark.parametrize("crop", [{}, {"random_resized_crop": {"area": [1.0, 1.0], "aspect": [1.0, 1.0]}}])
def test_flips_are_exact_and_as_frequent_as_asked(crop):
    images = noise(2000, 4, 4)
    views, x = unit_floats(augment(images, {**crop, "horizontal_flip": 0.3}, draws())), floats(images)
    kept, flipped = ((views == y).flatten(1).all(1) for y in (x, x.flip(3)))
    assert (kept ^ flipped).all()
    assert share_is_near(flipped.float().mean().item(), 0.3, 2000)


def test_nothing_asked_changes_nothing():
    images = noise()
    assert torch.equal(augment(images, {}, draws()), plain(images))


@pytest.mark.parametrize("padding", [1, 2])
def test_random_crops_are_windows_of_the_padded_image_at_every_place_alike(padding):
    count, places = 1800, (2 * padding + 1) ** 2
    x = floats(noise(1, 6, 7)).expand(count, -1, -1, -1)
    padded = torch.nn.functional.pad(x[0], [padding] * 4)
    steps = range(2 * padding + 1)
    windows = torch.stack([padded[:, i : i + 6, j : j + 7] for i in steps for j in steps])
    equal = (random_crop(x, padding, draws())[:, None] == windows).flatten(2).all(2)
    assert (equal.sum(1) == 1).all()
    assert all(share_is_near(share, 1 / places, count) for share in equal.float().mean(0).tolist())


def test_random_crops_of_different_images_do_not_mix():
    x = torch.arange(1.0, 6.0)[:, None, None, None].expand(5, 3, 8, 8)
    found = random_crop(x, 2, draws())
    assert all(set(image.unique().tolist()) <= {0.0, number + 1.0} for number, image in enumerate(found))
    assert (found[:, :, 4, 4] == x[:, :, 4, 4]).all()


@pytest.mark.parametrize(("height", "width"), [(64, 64), (40, 64)])
def test_crop_boxes_are_distributed_as_those_of_torchvision(height, width):
    count = 4000
    found = crop_boxes(count, height, width, CROP, draws()).double()
    expected = torchvision_boxes(count, height, width, CROP).double()
    critical = 1.95 * math.sqrt(2 / count)  # passed by chance in one of a thousand comparisons
    for quantity in (
        lambda b: b[:, 2] * b[:, 3] / (height * width),
        lambda b: (b[:, 3] / b[:, 2]).log(),
        lambda b: b[:, 0],
        lambda b: b[:, 1],
    ):
        a, b = quantity(found), quantity(expected)
        error = math.sqrt((a.var() + b.var()).item() / count)
        assert abs((a.mean() - b.mean()).item()) <= 4 * error
        assert kolmogorov_distance(a, b) <= critical


def test_area_and_aspect_of_crop_boxes_stay_in_their_ranges():
    boxes = crop_boxes(3000, 64, 64, CROP, draws()).double()
    area, aspect = boxes[:, 2] * boxes[:, 3] / 64**2, boxes[:, 3] / boxes[:, 2]
    assert 0.2 * 0.95 <= area.min() <= 0.22
    assert area.max() <= 1
    assert 0.75 * 0.95 <= aspect.min() <= 0.77
    assert 1.3 <= aspect.max() <= 4 / 3 * 1.05


def test_crop_boxes_of_one_size_lie_at_every_place_alike():
    boxes = crop_boxes(5000, 8, 12, {"area": [1 / 6, 1 / 6], "aspect": [1.0, 1.0]}, draws())
    assert (boxes[:, 2:] == 4).all()
    for start, places in ((boxes[:, 0], 5), (boxes[:, 1], 9)):
        shares = start.bincount(minlength=places) / 5000
        assert len(shares) == places
        assert all(share_is_near(share, 1 / places, 5000) for share in shares.tolist())


@pytest.mark.parametrize(("height", "width"), [(32, 32), (20, 40), (40, 20), (20, 22)])
def test_the_centre_is_taken_where_no_draw_fits(height, width):
    spec = {**CROP, "area": [2.0, 3.0]}
    found = crop_boxes(5, height, width, spec, draws())
    assert found.tolist() == torchvision_boxes(5, height, width, spec).tolist()


@pytest.mark.parametrize(("height", "width"), [(1, 1), (2, 5), (8, 8), (32, 17)])
@pytest.mark.parametrize("area", [[0.001, 0.1], [0.2, 1.0], [0.9, 1.5]])
def test_crop_boxes_lie_inside_the_image(height, width, area):
    top, left, h, w = crop_boxes(2000, height, width, {**CROP, "area": area}, draws()).unbind(1)
    assert min(top.min(), left.min()) >= 0
    assert min(h.min(), w.min()) >= 1
    assert (top + h).max() <= height
    assert (left + w).max() <= width


@pytest.mark.parametrize(
    ("name", "factors", "reference"),
    [
        ("brightness", [0.0, 0.6, 1.0, 1.4], tv.adjust_brightness),
        ("contrast", [0.0, 0.6, 1.0, 1.4], tv.adjust_contrast),
        ("saturation", [0.0, 0.6, 1.0, 1.4], tv.adjust_saturation),
        ("hue", [-0.5, -0.1, 0.0, 0.07, 0.5], tv.adjust_hue),
    ],
)
def test_colour_operations_agree_with_torchvision(name, factors, reference, monkeypatch):
    monkeypatch.setattr(colour, "_LUMA", (0.2989, 0.587, 0.114))  # torchvision rounds Pillow's 0.299 on tensors
    images = floats(noise(len(factors), 32, 32))
    images[:, :, :4] = images[:, :1, :4]  # gray pixels have no hue
    images[:, :, 4] = images[:, :, 4].round()  # corners of the colour cube
    found = colour.OPERATIONS[name](images, torch.tensor(factors))
    expected = torch.stack([reference(x, f) for x, f in zip(images, factors, strict=True)])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("name", "reference"), [("contrast", tv.adjust_contrast), ("saturation", tv.adjust_saturation)]
)
def test_luminance_is_weighted_as_by_pillow(name, reference):
    images, factors = noise(6, 32, 32), torch.linspace(0.5, 1.5, 6)
    found = colour.OPERATIONS[name](floats(images), factors)
    pictures = [reference(Image.fromarray(i.numpy()), f) for i, f in zip(images, factors.tolist(), strict=True)]
    expected = torch.stack([torch.from_numpy(np.array(p)).permute(2, 0, 1) / 255 for p in pictures])
    assert (found - expected).abs().max() <= 1.5 * LEVEL


def test_gray_images_equal_those_of_pillow():
    images = noise(6, 32, 32)
    found = colour.grayscale(floats(images), torch.ones(6, dtype=torch.bool))
    expected = torch.stack([torch.from_numpy(np.array(Image.fromarray(i.numpy()).convert("L"))) / 255 for i in images])
    assert (found - expected[:, None]).abs().max() <= LEVEL


def test_gray_images_are_as_frequent_as_asked_and_the_rest_is_untouched():
    images = noise(2000, 4, 4)
    views = augment(images, {"grayscale": 0.2}, draws())
    gray = (views == views[:, :1]).flatten(1).all(1)
    assert share_is_near(gray.float().mean().item(), 0.2, 2000)
    assert torch.equal(views[~gray], floats(images)[~gray])


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation", "hue"])
def test_jittered_images_are_as_frequent_as_asked(name):
    images = noise(2000, 4, 4)
    spec = {**NO_COLOUR, "probability": 0.8, name: 0.4}
    views = augment(images, {"colour_jitter": spec}, draws())
    changed = (views != floats(images)).flatten(1).any(1)
    assert share_is_near(changed.float().mean().item(), 0.8, 2000)


def test_jitter_of_no_strength_or_probability_changes_nothing():
    x = floats(noise())
    assert torch.equal(colour.colour_jitter(x, NO_COLOUR, draws()), x)
    assert torch.equal(colour.colour_jitter(x, {**JITTER, "probability": 0.0}, draws()), x)


def test_all_orders_of_the_jitter_occur_alike(monkeypatch):
    digits = {name: (lambda x, f, n=n: 4 * x + n) for n, name in enumerate(colour.OPERATIONS)}
    monkeypatch.setattr(colour, "OPERATIONS", digits)
    found = colour.colour_jitter(torch.zeros(4800, 1, 1, 1), {**JITTER, "probability": 1.0}, draws()).flatten()
    orders, counts = found.unique(return_counts=True)
    assert len(orders) == 24
    assert all(share_is_near(share, 1 / 24, 4800) for share in (counts / 4800).tolist())


def test_factors_of_the_jitter_fill_their_ranges_and_differ_by_image(monkeypatch):
    seen = {name: [] for name in colour.OPERATIONS}
    recorders = {name: (lambda x, f, name=name: (seen[name].append(f), x)[1]) for name in seen}
    monkeypatch.setattr(colour, "OPERATIONS", recorders)
    colour.colour_jitter(torch.zeros(2000, 3, 1, 1), {**JITTER, "probability": 1.0, "contrast": 1.5}, draws())
    ranges = {"brightness": (0.6, 1.4), "contrast": (0.0, 2.5), "saturation": (0.6, 1.4), "hue": (-0.1, 0.1)}
    for name, (low, high) in ranges.items():
        factors = torch.cat(seen[name])
        assert len(factors.unique()) > 1900
        assert low <= factors.min() <= low + 0.01 * (high - low)
        assert high - 0.01 * (high - low) <= factors.max() <= high


def test_views_follow_from_the_seed_of_the_generator():
    images = noise(16, 16, 16)
    first, again, other = (augment(images, CONTRASTIVE, draws(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_two_views_of_one_generator_differ_for_every_image():
    images, generator = noise(16, 16, 16), draws()
    first, second = (augment(images, CONTRASTIVE, generator) for _ in range(2))
    assert (first != second).flatten(1).any(1).all()


def test_views_do_not_touch_the_global_random_state():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = augment(noise(), CONTRASTIVE, draws())
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    assert torch.equal(augment(noise(), CONTRASTIVE, draws()), first)


def test_views_stay_within_zero_and_one_in_float32():
    views = augment(noise(64, 16, 16), {**CONTRASTIVE, "random_crop": {"padding": 2}}, draws())
    assert views.dtype == torch.float32
    assert views.shape == (64, 3, 16, 16)
    assert 0 <= views.min() <= views.max() <= 1 + 1e-6


def test_the_images_given_are_not_modified():
    images = noise()
    before = images.clone()
    augment(images, {**CONTRASTIVE, "random_crop": {"padding": 2}}, draws())
    floats(images)
    normalise(plain(images), CONSTANTS)
    assert torch.equal(images, before)


def test_colour_changes_do_not_modify_their_input():
    x = floats(noise())
    before = x.clone()
    colour.colour_jitter(x, {**JITTER, "probability": 1.0}, draws())
    colour.grayscale(x, torch.ones(4, dtype=torch.bool))
    assert torch.equal(x, before)


def test_floats_are_the_image_over_255():
    images = noise()
    assert torch.equal(floats(images), torch.stack([tv.to_tensor(i.numpy()) for i in images]))


@pytest.mark.parametrize("count", [1, 4, 9])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_normalise_agrees_with_torchvision_for_levels_and_for_floats(count, layout):
    images = noise(count, 6, 7)
    expected = tv.normalize(floats(images), CONSTANTS["mean"], CONSTANTS["std"])
    for x in (floats(images), plain(images)):
        found = normalise(x.contiguous(memory_format=layout), CONSTANTS)
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("crop", [{"random_resized_crop": CROP}, {"random_crop": {"padding": 2}}, {}])
def test_views_without_colour_changes_stay_levels_as_long_as_they_can(crop):
    images = noise(5, 64, 64)
    views = augment(images, {**crop, "horizontal_flip": 0.5}, draws())
    assert views.dtype == torch.uint8
    gray = augment(images, {**crop, "horizontal_flip": 0.5, "grayscale": 0.0}, draws())
    assert torch.equal(gray, unit_floats(views))
