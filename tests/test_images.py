"""Claims about images: the store and what it refuses, renders to the pixel, and pictures on their way into a store."""

import io
import os
import random
import signal
import struct
import subprocess
import sys
import tarfile
import tempfile
import threading
import tracemalloc
import warnings
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import replace
from itertools import product
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, Resize

from methods.data import image_writer
from methods.data.image_writer import image_store, write_images
from methods.data.images import ImageSet, Ragged, check_images, read_images
from methods.data.pictures import Pictures, decode, decoded, is_picture
from methods.data.prepare import prepare
from methods.data.render import RESIZE_RULES, is_uniform, parse_render, render_image, render_name
from methods.data.subsets import Lists
from methods.data.trees import open_archive, open_folder
from methods.errors import ReproError
from methods.hdf5 import open_hdf5, require_datasets
from methods.settings.schema import load_schema

pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")  # an error follows

ROOT = Path(__file__).resolve().parents[1]
ORIGIN = {"kind": "images", "settings": {"dataset": "pets", "split": "test"}}
SHAPES = [(2, 3), (4, 1), (1, 1), (5, 5), (3, 2)]


def noise(*shape, seed=0):
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def ragged(images):
    """Images as they lie in a store that keeps their shapes."""
    shapes = np.array([image.shape[:2] for image in images], dtype=np.int32)
    return Ragged(np.concatenate([image.ravel() for image in images]), shapes)


def small(**changes):
    """Five images of two classes."""
    labels, names = np.array([0, 1, 0, 1, 1]), tuple(f"image{number}" for number in range(5))
    return replace(ImageSet(noise(5, 4, 4, 3), labels, names, ("cat", "dog")), **changes)


def uneven(**changes):
    """Five images of different shapes."""
    return small(images=ragged([noise(*shape, 3, seed=n) for n, shape in enumerate(SHAPES)]), **changes)


BOTH = pytest.mark.parametrize("make", [small, uneven], ids=["one size", "own shapes"])


def stored(folder, data=None, origin=ORIGIN):
    write_images(folder / "set.h5", data or small(), origin)
    return folder / "set.h5"


@contextmanager
def edited(path):
    """The open HDF5 file, to be changed behind the project's back."""
    with h5py.File(path, "r+") as file:
        yield file


def content(data):
    """All that an image set holds, to be compared."""
    images = [data.images[index].tolist() for index in range(len(data))]
    return images, data.labels.dtype, data.labels.tolist(), data.sample_ids, data.classes


def recorded_content(path):
    with h5py.File(path, "r") as file:
        return file.attrs["content_sha256"]


@st.composite
def image_sets(draw):
    """Uniform or ragged, one label, several, or none an image."""
    count, seed = draw(st.integers(1, 7)), draw(st.integers(0, 2**31))
    sides = st.tuples(st.integers(1, 6), st.integers(1, 6))
    if draw(st.booleans()):
        images = noise(count, *draw(sides), 3, seed=seed)
    else:
        images = ragged([noise(*draw(sides), 3, seed=seed) for _ in range(count)])
    name = st.text(st.characters(exclude_categories=("Cs", "Cc")), min_size=1, max_size=8)
    ids = tuple(draw(st.lists(name, min_size=count, max_size=count, unique=True)))
    classes = tuple(draw(st.lists(name, max_size=4, unique=True)))
    labels = np.random.RandomState(seed).randint(0, len(classes) or 1, count)
    if not classes:
        labels = np.full(count, -1)
    elif draw(st.booleans()):
        labels = np.random.RandomState(seed).randint(0, 2, (count, len(classes))).astype(np.uint8)
    return ImageSet(images, labels, ids, classes)


# The store


@settings(max_examples=60, deadline=None)
@given(image_sets())
def test_a_store_gives_back_what_was_written(data):
    with tempfile.TemporaryDirectory() as folder:
        found = read_images(stored(Path(folder), data), "pets", "test")
        assert content(found) == content(data)
        assert found.content_sha256() == data.content_sha256()
        assert isinstance(found.images, Ragged) == isinstance(data.images, Ragged)
        assert found.multi_label == data.multi_label


@settings(max_examples=40, deadline=None)
@given(image_sets(), st.randoms(use_true_random=False), st.integers(1, 200))
def test_a_store_depends_on_neither_the_order_of_filling_nor_the_size_of_blocks(data, chance, block):
    order, usual = list(range(len(data))), image_writer._BLOCK
    chance.shuffle(order)
    cut = chance.randint(0, len(order))
    with tempfile.TemporaryDirectory() as folder:
        one, other = stored(Path(folder), data), Path(folder) / "other.h5"
        try:
            image_writer._BLOCK = block
            with image_store(other, len(data), uniform=isinstance(data.images, np.ndarray)) as store:
                store.fill((index, data.images[index]) for index in order[:cut])
                store.fill((index, data.images[index]) for index in order[cut:])
                store.close(data.labels, data.sample_ids, data.classes, ORIGIN)
        finally:
            image_writer._BLOCK = usual
        assert one.read_bytes() == other.read_bytes()


@BOTH
def test_the_order_of_keys_in_the_record_does_not_change_the_bytes(tmp_path, make):
    write_images(tmp_path / "a.h5", make(), {"kind": "images", "seed": None})
    write_images(tmp_path / "b.h5", make(), {"seed": None, "kind": "images"})
    assert (tmp_path / "a.h5").read_bytes() == (tmp_path / "b.h5").read_bytes()


@BOTH
def test_pixels_are_mapped_from_the_file_and_cannot_be_written_to(tmp_path, make):
    path = stored(tmp_path, make())
    images = read_images(path).images
    pixels = images.pixels if isinstance(images, Ragged) else images
    assert isinstance(pixels, np.memmap)
    assert pixels.filename == str(path)
    assert path.read_bytes()[pixels.offset :][: pixels.nbytes] == pixels.tobytes()
    for target in (pixels, images[0]):
        with pytest.raises(ValueError, match="read-only"):
            target[0] = 0


@BOTH
def test_one_image_of_a_store_is_given_without_a_copy(tmp_path, make):
    images = read_images(stored(tmp_path, make())).images
    assert np.shares_memory(images[2], images.pixels if isinstance(images, Ragged) else images)


def test_mapped_images_stay_as_they_were_when_the_store_is_written_anew(tmp_path):
    before = read_images(stored(tmp_path))
    stored(tmp_path, small(images=noise(5, 4, 4, 3, seed=1)))
    assert content(before) == content(small())
    assert content(read_images(tmp_path / "set.h5")) != content(small())


@BOTH
@pytest.mark.parametrize("packing", [{}, {"compression": "gzip"}], ids=["plain chunks", "gzip"])
def test_a_store_that_another_program_wrote_in_chunks_is_read(tmp_path, make, packing):
    path = stored(tmp_path, make())
    with edited(path) as file:
        for name in set(file) & {"images", "pixels", "labels"}:
            values = file[name][:]
            del file[name]
            file.create_dataset(name, data=values, chunks=True, **packing)
    assert content(read_images(path)) == content(make())


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(0, 4), max_size=8))
def test_take_gives_the_asked_images_with_their_labels_and_names(index):
    data = small(labels=np.eye(2, dtype=np.uint8)[[0, 1, 0, 1, 1]])
    found = data.take(index)
    assert [image.tolist() for image in found.images] == [data.images[n].tolist() for n in index]
    assert found.labels.tolist() == [data.labels[n].tolist() for n in index]
    assert found.sample_ids == tuple(data.sample_ids[n] for n in index)
    assert found.classes == data.classes


def test_take_works_on_mapped_images(tmp_path):
    found = read_images(stored(tmp_path)).take(np.array([4, 0]))
    assert content(found) == content(small().take([4, 0]))


def test_images_of_their_own_shapes_have_no_common_pixels():
    with pytest.raises(ReproError, match=r"keep their own shapes: choose a render that brings them to one size\.$"):
        _ = uneven().pixels


def other_pixel(data):
    """One pixel of the last image off by one."""
    pixels = data.images.pixels.copy() if isinstance(data.images, Ragged) else data.images.copy()
    pixels.reshape(-1)[-1] ^= 1
    return replace(data, images=replace(data.images, pixels=pixels) if isinstance(data.images, Ragged) else pixels)


OTHER_CONTENT = {
    "a pixel": other_pixel,
    "the order of images": lambda data: replace(data, images=ragged([data.images[n] for n in (1, 0, 2, 3, 4)])),
    "a shape": lambda data: replace(
        data, images=ragged([data.images[0].swapaxes(0, 1), *map(data.images.__getitem__, range(1, 5))])
    ),
    "a label": lambda data: replace(data, labels=np.array([0, 1, 0, 1, 0])),
    "labels as rows": lambda data: replace(data, labels=np.eye(2, dtype=int)[data.labels]),
    "a name": lambda data: replace(data, sample_ids=(*data.sample_ids[:4], "other")),
    "the order of names": lambda data: replace(data, sample_ids=data.sample_ids[::-1]),
    "a class": lambda data: replace(data, classes=("cat", "horse")),
    "the order of classes": lambda data: replace(data, classes=("dog", "cat")),
}


@pytest.mark.parametrize("part", OTHER_CONTENT)
def test_the_content_hash_sees_every_part(part):
    assert OTHER_CONTENT[part](uneven()).content_sha256() != uneven().content_sha256()


def test_the_content_hash_does_not_see_how_pixels_are_laid_out():
    assert small(images=ragged(list(small().images))).content_sha256() == small().content_sha256()
    assert small(images=np.asfortranarray(small().images)).content_sha256() == small().content_sha256()


@pytest.mark.parametrize("kind", [np.uint8, np.int32, np.int64, ">i8"])
def test_the_content_hash_does_not_see_the_type_of_labels(kind):
    assert small(labels=small().labels.astype(kind)).content_sha256() == small().content_sha256()


def test_the_content_hash_does_not_see_the_provenance(tmp_path):
    write_images(tmp_path / "a.h5", small(), ORIGIN)
    write_images(tmp_path / "b.h5", small(), {**ORIGIN, "seed": 1})
    assert recorded_content(tmp_path / "a.h5") == recorded_content(tmp_path / "b.h5") == small().content_sha256()
    assert (tmp_path / "a.h5").read_bytes() != (tmp_path / "b.h5").read_bytes()


# What a store refuses


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((0, 4, 4, 3), np.uint8), "labels": np.zeros(0, int), "sample_ids": ()}, "has no image"),
        ({"images": np.zeros((4, 4, 4, 3), np.uint8)}, "has 4 images but 5 sample ids"),
        ({"images": np.zeros((5, 4, 4, 3))}, r"holds float64 images of shape \(5, 4, 4, 3\), expected uint8"),
        ({"images": np.zeros((5, 4, 4), np.uint8)}, r"holds uint8 images of shape \(5, 4, 4\), expected uint8"),
        ({"images": np.zeros((5, 4, 4, 1), np.uint8)}, r"holds uint8 images of shape \(5, 4, 4, 1\), expected uint8"),
        ({"labels": np.array([0, 1])}, "has 5 images but 2 labels"),
        ({"labels": np.array([0.5, 0, 0, 1, 1])}, r"holds float64 labels of shape \(5,\), expected whole numbers"),
        ({"labels": np.zeros((5, 2, 1), int)}, r"holds int64 labels of shape \(5, 2, 1\), expected whole numbers"),
        ({"sample_ids": ("a", "b", "c", "d", "a")}, "has 5 images but not as many different sample ids"),
        ({"labels": np.array([0, 1, 2, 1, 1])}, "has labels that do not fit its 2 classes"),
        ({"labels": np.array([0, 1, -1, 1, 1])}, "has labels that do not fit its 2 classes"),
        ({"classes": ()}, "has labels that do not fit its 0 classes"),
        ({"labels": np.eye(5, dtype=np.uint8)}, "has labels that do not fit its 2 classes"),
        ({"labels": np.full((5, 2), 2, np.uint8)}, "has labels that do not fit its 2 classes"),
    ],
)
def test_images_that_do_not_hold_together_are_refused_by_name(change, message):
    with pytest.raises(ReproError, match=f"^pets/test {message}"):
        check_images(small(**change), "pets/test")


def test_a_store_with_labels_outside_its_classes_is_refused(tmp_path):
    path = stored(tmp_path, small(labels=np.array([0, 1, 7, 1, 1])))
    with pytest.raises(ReproError, match=rf"{path} has labels that do not fit its 2 classes"):
        read_images(path)


def test_a_store_with_fewer_images_than_names_is_refused(tmp_path):
    path = stored(tmp_path)
    with edited(path) as file:
        del file["images"]
        file["images"] = small().images[:4]
    with pytest.raises(ReproError, match=rf"{path} has 4 images but 5 sample ids"):
        read_images(path)


@BOTH
@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_a_truncated_store_is_refused_by_name(tmp_path, make, kept):
    path = stored(tmp_path, make())
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    with pytest.raises(ReproError, match=rf"{path} cannot be read as HDF5 .* truncated, damaged or no HDF5 file"):
        read_images(path)


def test_a_missing_store_is_refused_by_name(tmp_path):
    with pytest.raises(ReproError, match=r"none\.h5 does not exist"):
        read_images(tmp_path / "none.h5")


def test_a_store_of_another_kind_is_refused(tmp_path):
    path = stored(tmp_path, origin={"kind": "features"})
    with pytest.raises(ReproError, match=rf"{path} is not a file of kind 'images' .*: it has 'features'"):
        read_images(path)


def test_an_hdf5_file_without_provenance_is_refused(tmp_path):
    path = tmp_path / "foreign.h5"
    with h5py.File(path, "w") as file:
        file["images"] = small().images
    with pytest.raises(ReproError, match=r"foreign\.h5 is not a file of kind 'images' .*: it has no record"):
        read_images(path)


@pytest.mark.parametrize("asked", [("dogs", "test"), ("pets", "train")], ids="/".join)
def test_a_store_of_another_set_or_split_is_refused(tmp_path, asked):
    with pytest.raises(ReproError, match=rf"set\.h5 holds pets/test, expected {'/'.join(asked)}: delete it and run"):
        read_images(stored(tmp_path), *asked)


@pytest.mark.parametrize(
    ("make", "part", "lacking"),
    [
        *product([small], ["images"], ["images"]),
        *((make, part, part) for make in (small, uneven) for part in ("labels", "sample_ids", "digests")),
        (uneven, "pixels", "pixels"),
        (uneven, "shapes", "images"),
    ],
)
def test_a_store_that_lacks_a_part_is_refused(tmp_path, make, part, lacking):
    path = stored(tmp_path, make())
    with edited(path) as file:
        del file[part]
    with pytest.raises(ReproError, match=rf"{path} lacks {lacking}:"):
        read_images(path)


@pytest.mark.parametrize("attribute", ["classes", "content_sha256"])
def test_a_store_that_lacks_an_attribute_is_refused(tmp_path, attribute):
    path = stored(tmp_path)
    with edited(path) as file:
        del file.attrs[attribute]
    with pytest.raises(ReproError, match=rf"{path} cannot be read as HDF5 .*{attribute}"):
        read_images(path)


def test_every_missing_part_is_named(tmp_path):
    path = stored(tmp_path)
    with open_hdf5(path) as file, pytest.raises(ReproError, match=r"set\.h5 lacks logits, embedding:"):
        require_datasets(file, ("images", "logits", "embedding"))


@pytest.mark.parametrize(
    ("make", "part", "row", "value"),
    [
        (small, "images", (4, 3, 3, 2), 1),
        (small, "labels", 0, 1),
        (small, "sample_ids", 0, b"other"),
        (uneven, "pixels", -1, 1),
        (uneven, "shapes", 0, (3, 2)),
        (uneven, "labels", 0, 1),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_content_changed_after_writing_is_refused(tmp_path, make, part, row, value):
    path = stored(tmp_path, make())
    with edited(path) as file:
        file[part][row] = value
    with pytest.raises(ReproError, match=rf"{path} does not hold what it recorded when written"):
        read_images(path)


def test_classes_changed_after_writing_are_refused(tmp_path):
    path = stored(tmp_path)
    with edited(path) as file:
        file.attrs["classes"] = '["dog", "cat"]'
    with pytest.raises(ReproError, match=rf"{path} does not hold what it recorded when written"):
        read_images(path)


@BOTH
def test_any_changed_byte_among_the_pixels_is_refused(tmp_path, make):
    path = stored(tmp_path, make())
    images = read_images(path).images
    pixels = images.pixels if isinstance(images, Ragged) else images
    whole = path.read_bytes()
    for place in range(pixels.offset, pixels.offset + pixels.nbytes, 7):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(ReproError, match="does not hold what it recorded when written"):
            read_images(path)


@pytest.mark.parametrize("shape", [(2, 4), (1 << 10, 1)])
def test_shapes_that_do_not_fit_the_pixels_are_refused(tmp_path, shape):
    path = stored(tmp_path, uneven())
    with edited(path) as file:
        file["shapes"][4] = shape
    with pytest.raises(ReproError, match=rf"{path} "):
        read_images(path)


def test_a_changed_digest_is_refused(tmp_path):
    path = stored(tmp_path)
    with edited(path) as file:
        file["digests"][0, 0] ^= 1
    with pytest.raises(ReproError, match=rf"{path} does not hold what it recorded when written"):
        read_images(path)


# A store is whole or absent


class Interrupted(BaseException):
    """As a signal would."""


def broken_off(images, after=3):
    for index, image in enumerate(images):
        if index == after:
            raise Interrupted
        yield index, image


def write_part(path, after=3):
    with image_store(path, 5, uniform=True) as store:
        store.fill(broken_off(small().images, after))


@pytest.mark.parametrize("after", [0, 3])
def test_a_store_broken_off_while_it_is_filled_leaves_nothing(tmp_path, after):
    with pytest.raises(Interrupted):
        write_part(tmp_path / "set.h5", after)
    assert list(tmp_path.iterdir()) == []


def test_a_store_that_was_not_closed_leaves_nothing(tmp_path):
    with pytest.raises(OSError, match="No such file"), image_store(tmp_path / "set.h5", 5, uniform=True) as store:
        store.fill(enumerate(small().images))
    assert list(tmp_path.iterdir()) == []


def test_a_store_closed_with_an_image_missing_leaves_nothing(tmp_path):
    def gap():
        with image_store(tmp_path / "set.h5", 5, uniform=True) as store:
            store.fill([(0, small().images[0])])
            store.close(small().labels, small().sample_ids, small().classes, ORIGIN)

    with pytest.raises((OSError, ValueError)):
        gap()
    assert list(tmp_path.iterdir()) == []


def test_a_store_broken_off_at_its_last_step_leaves_nothing(tmp_path):
    with pytest.raises(TypeError):
        write_images(tmp_path / "set.h5", small(), {"kind": {"not", "json"}})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_store(tmp_path):
    before = stored(tmp_path).read_bytes()
    with pytest.raises(Interrupted):
        write_part(tmp_path / "set.h5")
    assert (tmp_path / "set.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["set.h5"]


def test_a_store_has_its_name_only_when_it_is_whole(tmp_path):
    path = tmp_path / "new" / "set.h5"
    with image_store(path, 5, uniform=True) as store:
        store.fill(enumerate(small().images))
        store.close(small().labels, small().sample_ids, small().classes, ORIGIN)
        assert not path.exists()
    assert list(path.parent.iterdir()) == [path]


KILLED = """
import os, signal, sys
import numpy as np
from methods.data.image_writer import image_store
with image_store(sys.argv[1], 2, uniform=True) as store:
    store.fill([(0, np.zeros((99, 99, 3), np.uint8))])
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_is_removed_by_the_next(tmp_path):
    killed = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "set.h5"], cwd=ROOT, check=False)
    assert killed.returncode == -signal.SIGKILL
    (tmp_path / ".set.h5.0123abcd.tmp").write_bytes(b"half a store")
    other = tmp_path / ".other.h5.0123abcd.raw.tmp"
    other.write_bytes(b"of a store that may still be written")
    assert len(list(tmp_path.iterdir())) == 3
    path = stored(tmp_path)
    assert sorted(tmp_path.iterdir()) == sorted([path, other])


FULL = """
import resource, sys
import numpy as np
from methods.data.image_writer import image_store
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
with image_store(sys.argv[1], 2000, uniform=True) as store:
    store.fill((index, np.zeros((4, 4, 3), np.uint8)) for index in range(2000))
"""


def test_a_full_disk_leaves_nothing(tmp_path):
    full = subprocess.run([sys.executable, "-c", FULL, tmp_path / "set.h5"], cwd=ROOT, check=False, capture_output=True)
    if b"File too large" not in full.stderr:
        pytest.fail("the write did not fail as meant", pytrace=False)
    assert list(tmp_path.iterdir()) == []


def test_a_store_is_written_without_holding_its_images(tmp_path, monkeypatch):
    monkeypatch.setattr(image_writer, "_BLOCK", 1 << 18)
    count, side = 48, 300  # 13 MB in all
    tracemalloc.start()
    try:
        with image_store(tmp_path / "set.h5", count, uniform=False) as store:
            store.fill((index, np.full((side + index, side, 3), index, np.uint8)) for index in range(count))
            store.close(np.full(count, -1), [str(index) for index in range(count)], (), ORIGIN)
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    images = read_images(tmp_path / "set.h5").images
    assert [(len(image), image.min(), image.max()) for image in images] == [(side + n, n, n) for n in range(count)]


# Renders


def rendered(image, size, rule):
    return render_image(image, {"size": size, "resize": rule}, "pets/test")


ODD = [
    *[(1, 1, 1), (1, 1, 7), (1, 9, 4), (9, 1, 4), (1, 60, 17), (2, 3, 1), (3, 2, 5), (31, 33, 32), (33, 31, 32)],
    *[(32, 36, 32), (36, 32, 32), (32, 32, 32), (45, 60, 33), (60, 45, 33), (29, 101, 30), (101, 29, 28), (7, 8, 50)],
    *[(375, 500, 224), (500, 333, 224), (333, 500, 64), (427, 640, 256), (225, 224, 224), (224, 225, 224)],
]
SIDES = st.tuples(st.integers(1, 70), st.integers(1, 70), st.integers(1, 48))


def same_as_torchvision(height, width, size):
    image = noise(height, width, 3, seed=height * 1000 + width)
    picture = Image.fromarray(image)
    cropped = Compose([Resize(size), CenterCrop(size)])(picture)
    assert np.array_equal(rendered(image, size, "short_side_crop"), np.asarray(cropped))
    assert np.array_equal(rendered(image, size, "square"), np.asarray(Resize((size, size))(picture)))
    smaller = Resize(size)(picture) if min(height, width) > size else picture
    assert np.array_equal(rendered(image, size, "short_side"), np.asarray(smaller))


@pytest.mark.parametrize(("height", "width", "size"), ODD)
def test_odd_sizes_are_rendered_as_by_torchvision_to_the_pixel(height, width, size):
    same_as_torchvision(height, width, size)


@settings(max_examples=150, deadline=None)
@given(SIDES)
def test_any_size_is_rendered_as_by_torchvision_to_the_pixel(sides):
    same_as_torchvision(*sides)


@settings(max_examples=60, deadline=None)
@given(SIDES, st.sampled_from(["short_side_crop", "square"]))
def test_rules_with_one_size_give_that_size_and_keep_a_flat_colour(sides, rule):
    height, width, size = sides
    found = rendered(np.full((height, width, 3), 77, np.uint8), size, rule)
    assert is_uniform({"size": size, "resize": rule})
    assert found.shape == (size, size, 3)
    assert found.dtype == np.uint8
    assert (found == 77).all()


@settings(max_examples=100, deadline=None)
@given(SIDES)
def test_short_side_keeps_the_shape_and_never_scales_up(sides):
    height, width, size = sides
    image = noise(height, width, 3)
    found = rendered(image, size, "short_side")
    assert not is_uniform({"size": size, "resize": "short_side"})
    assert min(found.shape[:2]) == min(height, width, size)
    if min(height, width) <= size:
        assert found is image
    assert (found.shape[0] > found.shape[1]) <= (height > width)
    assert abs(max(found.shape[:2]) - max(height, width) * min(found.shape[:2]) / min(height, width)) < 1


def test_short_side_crop_keeps_the_centre():
    columns = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, :, None], (4, 8, 3))
    assert np.array_equal(rendered(columns, 4, "short_side_crop"), columns[:, 2:6])


def test_square_keeps_both_ends_of_the_long_side():
    halves = np.repeat(np.array([0, 200], dtype=np.uint8), 8)[None, :, None] * np.ones((4, 1, 3), np.uint8)
    found = rendered(halves, 4, "square")
    assert (found[0, 0, 0], found[0, -1, 0]) == (0, 200)


@pytest.mark.parametrize("shape", [(8, 9), (9, 8), (9, 9), (16, 4)])
def test_native_refuses_another_size(shape):
    said = rf"^pets/test has an image of {shape[0]}x{shape[1]} pixels, .* asks for 8x8 without resizing: choose"
    with pytest.raises(ReproError, match=said):
        rendered(noise(*shape, 3), 8, "native")


def test_native_returns_the_image_itself():
    image = noise(8, 8, 3)
    assert rendered(image, 8, "native") is image


@given(st.integers(1, 10**6), st.sampled_from(RESIZE_RULES))
def test_the_name_of_a_render_leads_back_to_it(size, rule):
    render = {"size": size, "resize": rule}
    assert parse_render(render_name(render)) == render


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            "8px",
            "px-native",
            "8-native",
            "8px-",
            "8px-nativ",
            "8px-Native",
            "8px-native ",
            " 8px-native",
            "0px-square",
        ),
        *(
            "-8px-native",
            "+8px-native",
            "8.0px-native",
            "1_0px-native",
            "²px-native",
            "8px-nativepx-native",
            "xpx-native",
        ),
    ],
)
def test_what_is_no_name_of_a_render_is_refused(name):
    with pytest.raises(ReproError, match=r"is no render: write <pixels>px-<rule> with a rule of native, short_side_"):
        parse_render(name)


@pytest.mark.parametrize("name", ["008px-native", "٨px-native"])
def test_a_render_has_one_name(name):
    with pytest.raises(ReproError, match="is no render"):
        parse_render(name)


def test_papers_may_ask_for_every_render_of_one_size_and_no_other():
    benchmark = load_schema("paper")["properties"]["benchmarks"]["additionalProperties"]
    rules = benchmark["properties"]["render"]["properties"]["resize"]["enum"]
    assert rules == [rule for rule in RESIZE_RULES if is_uniform({"size": 8, "resize": rule})]


# Pictures


def encoded(picture, layout="PNG", **options):
    picture = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    buffer = io.BytesIO()
    picture.save(buffer, layout, **options)
    return buffer.getvalue()


COLOUR = noise(9, 13, 3)
GRAY = noise(13, 9)
DEEP = np.array([[0, 1, 255, 256], [4096, 30000, 60000, 65535]], dtype=np.uint16)
PALETTE = Image.fromarray(COLOUR).convert("P", palette=Image.Palette.ADAPTIVE)
COLOURS = np.array(PALETTE.getpalette(), np.uint8).reshape(-1, 3)
CLEAR = np.dstack([COLOUR, noise(9, 13, seed=1)])
SMOOTH = np.stack([*np.meshgrid(range(60, 200, 4), range(50, 220, 4)), np.full((43, 35), 90)], axis=-1).astype(np.uint8)
AS_STORED = Image.Exif()
AS_STORED[0x0112] = 6  # orientation: turned by 90 degrees

# file -> its content and the pixels it shows
PICTURES = {
    "colour.png": (encoded(COLOUR), COLOUR),
    "gray.png": (encoded(GRAY), np.dstack([GRAY] * 3)),
    "bit.png": (
        encoded(Image.fromarray(GRAY).point(lambda v: v > 99 and 255, "1")),
        np.dstack([(GRAY > 99) * 255] * 3),
    ),
    "palette.png": (encoded(PALETTE), COLOURS[np.asarray(PALETTE)]),
    "palette.gif": (encoded(PALETTE, "GIF"), COLOURS[np.asarray(PALETTE)]),
    "first frame.gif": (encoded(PALETTE, "GIF", save_all=True, append_images=[PALETTE.rotate(180)]), None),
    "clear.png": (encoded(CLEAR), COLOUR),
    "gray and clear.png": (encoded(Image.fromarray(np.dstack([GRAY, GRAY[::-1]]), "LA")), np.dstack([GRAY] * 3)),
    "deep.png": (encoded(DEEP), np.dstack([DEEP.clip(max=255)] * 3)),
    "colour.bmp": (encoded(COLOUR, "BMP"), COLOUR),
    "colour.ppm": (encoded(COLOUR, "PPM"), COLOUR),
    "colour.tiff": (encoded(COLOUR, "TIFF"), COLOUR),
    "turned.png": (encoded(COLOUR, exif=AS_STORED), COLOUR),
    "Wrong.JPG": (encoded(COLOUR), COLOUR),
    "one pixel.png": (encoded(COLOUR[:1, :1]), COLOUR[:1, :1]),
}
PICTURES["first frame.gif"] = (PICTURES["first frame.gif"][0], PICTURES["palette.gif"][1])


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture_is_decoded_to_the_pixels_it_shows(name):
    found = decode(PICTURES[name][0])
    assert found.dtype == np.uint8
    assert np.array_equal(found, PICTURES[name][1])
    assert is_picture(name)


JPEGS = {
    "baseline": (encoded(SMOOTH, "JPEG", quality=95), SMOOTH),
    "progressive": (encoded(SMOOTH, "JPEG", quality=95, progressive=True), SMOOTH),
    "gray": (encoded(SMOOTH[..., 0], "JPEG", quality=95), np.dstack([SMOOTH[..., 0]] * 3)),
    "four inks": (encoded(Image.fromarray(SMOOTH).convert("CMYK"), "JPEG", quality=95), SMOOTH),
}


@pytest.mark.parametrize("kind", JPEGS)
def test_a_jpeg_is_decoded_to_about_the_pixels_it_shows(kind):
    file, shown = JPEGS[kind]
    found = decode(file)
    with Image.open(io.BytesIO(file)) as picture:
        assert np.array_equal(found, np.asarray(picture.convert("RGB")))
    assert found.shape == shown.shape
    assert np.abs(found.astype(int) - shown).max() <= 12


def test_the_layers_of_a_progressive_jpeg_add_up_to_the_baseline():
    assert JPEGS["progressive"][0] != JPEGS["baseline"][0]
    assert np.array_equal(decode(JPEGS["progressive"][0]), decode(JPEGS["baseline"][0]))


def png(width, height, content):
    """A PNG of one bit a pixel that claims this size."""
    parts = [(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", zlib.compress(content))]
    chunks = [struct.pack(">I", len(x)) + kind + x + struct.pack(">I", zlib.crc32(kind + x)) for kind, x in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks) + b"\0\0\0\0IEND\xaeB`\x82"


BOMBS = {
    "bomb.png": png(100_000, 100_000, bytes(99)),
    "whole bomb.png": png(10_000, 9_000, bytes(1251 * 9_000)),
}
DAMAGED = {
    "truncated.jpg": JPEGS["baseline"][0][:-200],
    "truncated progressive.jpg": JPEGS["progressive"][0][:-200],
    "truncated.png": PICTURES["colour.png"][0][:-30],
    "header only.png": PICTURES["colour.png"][0][:33],
    "no picture.jpg": b"<html>not found</html>",
    "empty.jpg": b"",
    **BOMBS,
    "no pixel.png": png(0, 5, b""),
    "changed.png": PICTURES["colour.png"][0].replace(b"IDAT", b"IDAT\xff", 1),
}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_cannot_be_decoded_is_an_error_and_no_picture(name):
    with pytest.raises((OSError, ValueError, SyntaxError, Image.DecompressionBombError)):
        decode(DAMAGED[name])


@pytest.mark.parametrize("name", BOMBS)
def test_a_picture_that_is_absurdly_large_is_refused_before_it_takes_memory(name):
    tracemalloc.start()
    try:
        with pytest.raises(Image.DecompressionBombError, match=r"\d{5}x\d+ pixels|\d{11} pixels"):
            decode(BOMBS[name])
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from([file for file, _ in [*PICTURES.values(), *JPEGS.values()] if not file.startswith((b"II", b"MM"))]),
    st.lists(st.tuples(st.floats(0, 0.999), st.integers(0, 255)), max_size=4),
    st.floats(0, 1),
)
def test_damaged_bytes_end_in_pixels_or_in_an_error_that_is_known(file, changes, kept):
    damaged = bytearray(file)
    for place, value in changes:
        damaged[int(place * len(damaged))] = value
    try:
        found = decode(bytes(damaged[: int(kept * len(damaged)) + 1]))
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return
    assert found.dtype == np.uint8
    assert found.ndim == 3
    assert found.shape[-1] == 3


def test_decoding_in_threads_leaves_the_warnings_of_the_process_as_they_were(monkeypatch):
    inside, opened = {"first": threading.Event(), "second": threading.Event()}, Image.open

    def decode_as(name, go_on):
        monkeypatch.setattr(Image, "open", lambda file: (inside[name].set(), go_on.wait(1), opened(file))[-1])
        thread = threading.Thread(target=decode, args=(PICTURES["colour.png"][0],))
        thread.start()
        inside[name].wait(1)
        return thread

    with warnings.catch_warnings():
        before, end = warnings.filters[:], threading.Event()
        first = decode_as("first", inside["second"])
        second = decode_as("second", end)
        first.join()
        end.set()
        second.join()
        assert warnings.filters == before


# From pictures to a store

KINDS = ("folder", "tar", "tar.gz", "zip")
ALL = {name: file for name, (file, _) in PICTURES.items()} | {f"{name}.jpg": file for name, (file, _) in JPEGS.items()}
CLASSED = {f"{'dog' if n % 3 else 'cat'}/{name}": file for n, (name, file) in enumerate(ALL.items())}


def tree(folder, files=CLASSED, kind="folder", seed=0):
    """A tree of ``files``; archives hold them in an order that follows from ``seed``."""
    path, names = Path(folder) / f"set.{kind}", random.Random(seed).sample(sorted(files), len(files))
    if kind == "folder":
        for name in names:
            (path / name).parent.mkdir(parents=True, exist_ok=True)
            (path / name).write_bytes(files[name])
        return open_folder(path)
    if kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            for name in names:
                archive.writestr(name, files[name])
        return open_archive(path)
    with tarfile.open(path, "w:gz" if kind == "tar.gz" else "w") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = len(files[name])
            archive.addfile(member, io.BytesIO(files[name]))
    return open_archive(path)


def told(**changes):
    """Settings of a split whose reader is ``pictures``."""
    reader = {"name": "pictures", "under": "", "classes": "folders", "inside": ""}
    render = {"size": 8, "resize": "short_side_crop"}
    return {"dataset": "pets", "split": "test", "reader": reader, "render": render, **changes}


PLAIN = {**told()["reader"], "classes": "none"}
OWN_SHAPES = {"size": 8, "resize": "short_side"}
NO_LISTS = Lists()
ORIGINAL = {"size": 1000, "resize": "short_side"}


def made(folder, source, lists=NO_LISTS, workers=2, **changes):
    """The store that ``prepare`` writes, in a folder of its own."""
    path = Path(folder) / "out" / "set.h5"
    count = prepare(path, told(**changes), source, lists, ORIGIN, workers)
    assert list(path.parent.iterdir()) == [path]
    data = read_images(path, "pets", "test")
    assert count == len(data)
    return data


@contextmanager
def refused(folder, message):
    """The block raises a ReproError and leaves neither a store nor a part of one."""
    with pytest.raises(ReproError, match=message):
        yield
    assert not (folder / "out").exists() or list((folder / "out").iterdir()) == []


def test_prepared_pictures_are_the_decoded_ones_under_their_names(tmp_path):
    data = made(tmp_path, tree(tmp_path), render=ORIGINAL)
    assert data.sample_ids == tuple(sorted(CLASSED))
    assert data.classes == ("cat", "dog")
    assert [data.classes[label] for label in data.labels] == [name[:3] for name in sorted(CLASSED)]
    for index, name in enumerate(data.sample_ids):
        assert np.array_equal(data.images[index], decode(CLASSED[name]))


@pytest.mark.parametrize("resize", ["short_side_crop", "square", "short_side"])
def test_prepared_pictures_are_rendered_one_by_one(tmp_path, resize):
    data = made(tmp_path, tree(tmp_path), render={"size": 8, "resize": resize})
    assert isinstance(data.images, np.ndarray) == (resize != "short_side")
    for index, name in enumerate(data.sample_ids):
        assert np.array_equal(data.images[index], rendered(decode(CLASSED[name]), 8, resize))


@pytest.mark.parametrize("render", [told()["render"], OWN_SHAPES], ids=render_name)
def test_neither_the_kind_of_archive_nor_its_order_nor_the_workers_change_a_byte(tmp_path, render):
    stores = set()
    for kind, workers in product(KINDS, (1, 2, 7)):
        folder = tmp_path / kind / str(workers)
        folder.mkdir(parents=True)
        made(folder, tree(folder, kind=kind, seed=workers), workers=workers, render=render)
        stores.add((folder / "out" / "set.h5").read_bytes())
    assert len(stores) == 1


def test_more_pictures_than_are_held_at_a_time_keep_their_order(tmp_path, monkeypatch):
    monkeypatch.setattr("methods.data.pictures._WINDOW", 3)
    files = {f"{number:03d}.png": encoded(np.full((2, 2, 3), number, np.uint8)) for number in range(20)}
    data = made(tmp_path, tree(tmp_path, files, "tar"), reader=PLAIN, render={"size": 2, "resize": "native"})
    assert data.pixels[:, 0, 0, 0].tolist() == list(range(20))
    assert data.labels.tolist() == [-1] * 20


def test_the_content_of_pictures_is_verified_at_native_size(tmp_path):
    source = tree(tmp_path)
    native = made(tmp_path, source, render=ORIGINAL).content_sha256()
    for size in (4, 8):
        made(tmp_path, source, render={"size": size, "resize": "square"}, content_sha256=native)
    (tmp_path / "out" / "set.h5").unlink()
    with refused(tmp_path, rf"^pets/test was read as content {native[:12]}, the catalog expects 000000000000: the"):
        made(tmp_path, source, content_sha256="0" * 64)


def test_pictures_of_another_size_are_refused_by_native(tmp_path):
    with refused(tmp_path, r"^pets/test has an image of \d+x\d+ pixels, .* asks for 1000x1000 without resizing"):
        made(tmp_path, tree(tmp_path), render={"size": 1000, "resize": "native"})


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("workers", [1, 3])
def test_damaged_pictures_are_counted_and_named_in_one_error_and_nothing_is_left(tmp_path, kind, workers):
    said = (
        r"^pets/test: 10 of 29 pictures cannot be decoded: bomb\.png \(100000x100000 pixels\); changed\.png \(.+\); "
        r"empty\.jpg \(.+\); header only\.png \(.+\); no picture\.jpg \(.+\) and 5 more\. If the official set .*"
        r"list their sample ids under `exclude` of the split in resources/datasets\.yaml"
    )
    with refused(tmp_path, said.replace("100000x100000 pixels", ".+")):
        made(tmp_path, tree(tmp_path, ALL | DAMAGED, kind), reader=PLAIN, workers=workers)


def test_a_few_damaged_pictures_are_all_named(tmp_path):
    files = {**ALL, "b.jpg": b"", "a.jpg": DAMAGED["truncated.jpg"]}
    with refused(tmp_path, r"^pets/test: 2 of 21 pictures cannot be decoded: a\.jpg \(.+\); b\.jpg \([^)]+\)\. If"):
        made(tmp_path, tree(tmp_path, files), reader=PLAIN)


def test_excluded_pictures_are_left_out_and_never_decoded(tmp_path):
    whole = made(tmp_path, tree(tmp_path, ALL), reader=PLAIN)
    data = made(tmp_path, tree(tmp_path, ALL | DAMAGED), Lists((), sorted(DAMAGED)), reader=PLAIN, count=len(ALL))
    assert content(data) == content(whole)


def test_an_excluded_picture_that_is_not_there_is_refused(tmp_path):
    with refused(
        tmp_path, r"^pets/test: the list of images to leave out names 1 images that .* such as gone\.png: the"
    ):
        made(tmp_path, tree(tmp_path, ALL), Lists((), ["gone.png"]), reader=PLAIN)


def test_pictures_come_in_the_order_of_their_frozen_list(tmp_path):
    entries = sorted(ALL)[::-2]
    data = made(tmp_path, tree(tmp_path, ALL, "tar.gz"), Lists(entries), reader=PLAIN, render=ORIGINAL)
    assert data.sample_ids == tuple(entries)
    assert all(np.array_equal(data.images[index], decode(ALL[name])) for index, name in enumerate(entries))


def test_a_picture_may_stand_under_two_names(tmp_path):
    pictures = Pictures(("b.png", "a.png", "b.png"), np.full(3, -1), ("x", "y", "z"), ())
    files = {"a.png": encoded(COLOUR), "b.png": encoded(GRAY)}
    found = dict(decoded(pictures, tree(tmp_path, files), lambda image: image, 2, "pets/test"))
    assert sorted(found) == [0, 1, 2]
    assert all(np.array_equal(found[index], decode(files[name])) for index, name in enumerate(pictures.members))


def test_a_damaged_archive_leaves_nothing(tmp_path):
    source = tree(tmp_path, ALL, "zip")
    path = tmp_path / "set.zip"
    whole, stamp = bytearray(path.read_bytes()), path.stat()
    whole[whole.index(ALL["colour.bmp"]) + 60] ^= 1
    path.write_bytes(whole)
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
    with refused(tmp_path, r"colour\.bmp"):
        made(tmp_path, source, reader=PLAIN)


def test_a_tree_without_pictures_is_refused(tmp_path):
    with refused(tmp_path, r"^pets/test has no image: a split needs at least one\.$"):
        made(tmp_path, tree(tmp_path, {"readme.txt": b"no picture"}), reader=PLAIN)


@pytest.mark.parametrize("excluded", [(), ("b.png",)])
def test_a_picture_that_a_list_of_the_set_names_twice_is_refused(tmp_path, excluded):
    files = {"a.png": encoded(COLOUR), "b.png": encoded(GRAY), "list.txt": b"a.png\nb.png\na.png\n"}
    with refused(tmp_path, r"^pets/test has [23] images but not as many different sample ids\.$"):
        made(tmp_path, tree(tmp_path, files), Lists((), excluded), reader={**PLAIN, "names_file": "list.txt"})


def test_an_interruption_while_decoding_leaves_nothing(tmp_path):
    class Cut:
        def __init__(self, whole):
            self.names, self.whole = whole.names, whole

        def read(self, names):
            yield next(self.whole.read(names))
            raise Interrupted

    with pytest.raises(Interrupted):
        made(tmp_path, Cut(tree(tmp_path)))
    assert list((tmp_path / "out").iterdir()) == []
