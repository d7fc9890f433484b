"""Claims about readers: what each gives for a set laid out as its authors do, and what it refuses."""

import gzip
import io
import json
import os
import pickle
import struct

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

from methods.data import frozen
from methods.data.catalog import load_catalog, split_entries
from methods.data.images import ImageSet, content_sha256, digest, digest_rows, read_images
from methods.data.pictures import decoded
from methods.data.places import locate, wanted
from methods.data.prepare import prepare, read_source
from methods.data.readers.voc import CLASSES as VOC
from methods.data.sources import open_source, open_unpacked, verify_place, write_manifest
from methods.data.subsets import Lists, read_lists
from methods.errors import ReproError
from methods.settings.parts import complete_part
from methods.settings.steps import prepare_settings
from methods.settings.study import Study
from tests.test_trees import KINDS, built, python2_batch

CATALOG = load_catalog()


def source(tree, name, **options):
    """What the reader gives, checked as every split is."""
    return read_source(
        {"reader": complete_part("data.readers", "name", {"name": name, **options})}, tree, Lists(), "a/b"
    )


def found(folder, files, name, **options):
    return source(built("folder", folder, files), name, **options)


def refused(folder, files, message, name, **options):
    with pytest.raises(ReproError, match=message) as caught:
        found(folder, files, name, **options)
    return str(caught.value)


def names_and_labels(pictures):
    return dict(zip(pictures.sample_ids, pictures.labels.tolist(), strict=True))


def mat(**variables):
    file = io.BytesIO()
    savemat(file, variables, do_compression=True)
    return file.getvalue()


# CIFAR

TEN = {"meta": "meta", "label_key": "labels", "names_key": "label_names"}
HUNDRED = {"meta": "meta", "label_key": "fine_labels", "names_key": "fine_label_names"}
META = pickle.dumps({"label_names": ["cat", "dog"], "fine_label_names": ["apple", "baby", "bear"]}, 3)


def batch(labels, key="labels", first=0, **more):
    """Rows of 3,072 bytes; the red value of the first pixel counts from ``first``."""
    rows = np.zeros((len(labels), 3072), dtype=np.uint8)
    rows[:, 0] = np.arange(first, first + len(labels))
    return pickle.dumps({"data": rows, key: labels, **more}, 3)


def test_batches_of_cifar10_are_joined_in_their_order(tmp_path):
    files = {"a": batch([0, 1, 1]), "b": batch([1, 0], first=3), "meta": META}
    data = found(tmp_path, files, "cifar", batches=["b", "a"], **TEN)
    assert data.images[:, 0, 0, 0].tolist() == [3, 4, 0, 1, 2]
    assert data.labels.tolist() == [1, 0, 0, 1, 1]
    assert data.sample_ids == ("00000", "00001", "00002", "00003", "00004")
    assert data.classes == ("cat", "dog")


def test_cifar100_gives_its_fine_or_its_coarse_labels(tmp_path):
    files = {"train": batch([2, 0], "fine_labels", coarse_labels=[1, 0]), "meta": META}
    fine = found(tmp_path, files, "cifar", batches=["train"], **HUNDRED)
    assert (fine.labels.tolist(), fine.classes) == ([2, 0], ("apple", "baby", "bear"))
    coarse = found(tmp_path, files, "cifar", batches=["train"], **{**TEN, "label_key": "coarse_labels"})
    assert (coarse.labels.tolist(), coarse.classes) == ([1, 0], ("cat", "dog"))


@pytest.mark.parametrize(("row", "column", "channel"), [(0, 0, 0), (0, 31, 0), (5, 7, 1), (31, 0, 2), (31, 31, 2)])
def test_a_pixel_of_cifar_lands_at_its_row_column_and_channel(tmp_path, row, column, channel):
    rows = np.zeros((1, 3072), dtype=np.uint8)
    rows[0, 1024 * channel + 32 * row + column] = 255
    files = {"a": pickle.dumps({"data": rows, "labels": [0]}, 3), "meta": META}
    image = found(tmp_path, files, "cifar", batches=["a"], **TEN).images[0]
    assert np.argwhere(image).tolist() == [[row, column, channel]]


def test_a_batch_of_python_2_with_short_rows_is_refused(tmp_path):
    head = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR(K\x01(K\x02K\x02t"
    kind = b"cnumpy\ndtype\n(U\x02u1K\x00K\x01tR(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
    files = {"a": python2_batch(head + kind + b"\x89U\x04abcdtb"), "meta": META}
    refused(
        tmp_path, files, r"a holds uint8 rows of shape \(2, 2\), expected .* \(2, 3072\)", "cifar", batches=["a"], **TEN
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"data": np.zeros((1, 3072), np.uint8), "fine_labels": [0]}, "a has no data and labels: it is no batch"),
        ({"labels": [0]}, "a has no data and labels"),
        ([1, 2], "a has no data and labels"),
        ({"data": np.zeros((1, 3071), np.uint8), "labels": [0]}, r"rows of shape \(1, 3071\), expected"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [0]}, r"rows of shape \(2, 3072\), .* \(1, 3072\)"),
        ({"data": np.zeros((1, 3072), np.int16), "labels": [0]}, "a holds int16 rows"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [2]}, "labels that do not fit its 2 classes"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [-1]}, "labels that do not fit its 2 classes"),
        ({"data": np.zeros((0, 3072), np.uint8), "labels": []}, "a/b has no image"),
    ],
    ids=str,
)
def test_a_batch_that_is_not_cifars_is_refused(tmp_path, content, message):
    refused(tmp_path, {"a": pickle.dumps(content, 3), "meta": META}, message, "cifar", batches=["a"], **TEN)


@pytest.mark.parametrize("meta", [{}, {"fine_label_names": ["cat"]}, []], ids=str)
def test_a_meta_file_without_the_class_names_is_refused(tmp_path, meta):
    refused(tmp_path, {"a": batch([0]), "meta": pickle.dumps(meta, 3)}, "meta", "cifar", batches=["a"], **TEN)


def test_a_hostile_batch_or_meta_is_refused_and_not_run(tmp_path):
    class Call:
        def __reduce__(self):
            return os.system, (f"touch {tmp_path / 'CANARY'}",)

    evil = pickle.dumps({"data": Call(), "labels": Call()}, 3)
    refused(tmp_path, {"a": evil, "meta": META}, "a is no pickle of plain values", "cifar", batches=["a"], **TEN)
    refused(tmp_path, {"a": batch([0]), "meta": evil}, "meta is no pickle of plain", "cifar", batches=["a"], **TEN)
    assert not (tmp_path / "CANARY").exists()


# SVHN

DIGITS = {"X": np.arange(4 * 5 * 3 * 2, dtype=np.uint8).reshape(4, 5, 3, 2), "y": np.array([[10], [3]], dtype=np.uint8)}


def test_svhn_counts_images_along_the_last_axis_and_calls_ten_zero(tmp_path):
    data = found(tmp_path, {"t.mat": mat(**DIGITS)}, "svhn", file="t.mat")
    assert data.images.shape == (2, 4, 5, 3)
    assert data.images[1, 3, 4, 2] == DIGITS["X"][3, 4, 2, 1]
    assert all(np.array_equal(data.images[n], DIGITS["X"][..., n]) for n in range(2))
    assert names_and_labels(data) == {"000000": 0, "000001": 3}
    assert data.classes == tuple("0123456789")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mat(**{**DIGITS, "X": DIGITS["X"].astype(np.int16)}), "t holds int16 X of shape"),
        (mat(**{**DIGITS, "X": DIGITS["X"].astype(float)}), "t holds float64 X of shape"),
        (mat(**{**DIGITS, "X": DIGITS["X"].transpose(3, 0, 1, 2)}), r"X of shape \(2, 4, 5, 3\) and 2 labels"),
        (mat(**{**DIGITS, "y": np.array([[1], [2], [3]])}), "and 3 labels, expected uint8"),
        (mat(y=DIGITS["y"]), "t lacks the variables X and y"),
        (mat(X=DIGITS["X"]), "t lacks the variables X and y"),
        (b"", "t is no MATLAB 5 file"),
        (b"<html>not found</html>" * 20, "t is no MATLAB 5 file"),
        (
            b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + b"\x89HDF\r\n\x1a\n".rjust(392, b"\0"),
            "t is no MATLAB 5",
        ),
    ],
    ids=["int16", "float", "axes", "labels", "no X", "no y", "empty", "page", "MATLAB 7.3"],
)
def test_a_file_that_is_not_svhns_is_refused(tmp_path, content, message):
    refused(tmp_path, {"t": content}, message, "svhn", file="t")


def test_a_damaged_svhn_file_is_refused(tmp_path):
    content = bytearray(mat(**DIGITS))
    content[136] ^= 0xFF  # the first byte of the compressed X
    refused(tmp_path, {"t": bytes(content)}, "t is no MATLAB 5 file", "svhn", file="t")


def test_labels_of_svhn_that_are_no_digits_are_refused(tmp_path):
    refused(tmp_path, {"t": mat(**{**DIGITS, "y": np.array([[11], [3]])})}, "t", "svhn", file="t")


# IDX


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


GRAY = np.arange(2 * 3 * 4, dtype=np.uint8).reshape(2, 3, 4)
SEVEN_TWO = idx(np.array([7, 2], dtype=np.uint8))
MNIST = {"images": "i", "labels": "l"}


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["plain", "gzip"])
def test_idx_gives_its_gray_values_in_three_channels(tmp_path, pack):
    data = found(tmp_path, {"i": pack(idx(GRAY)), "l": pack(SEVEN_TWO)}, "idx", **MNIST)
    assert np.array_equal(data.images, np.stack([GRAY] * 3, axis=-1))
    assert names_and_labels(data) == {"00000": 7, "00001": 2}
    assert data.classes == tuple("0123456789")


def test_idx_can_have_any_number_of_classes(tmp_path):
    files = {"i": idx(GRAY), "l": SEVEN_TWO}
    assert len(found(tmp_path, files, "idx", **MNIST, classes=47).classes) == 47
    refused(tmp_path, files, "labels that do not fit its 7 classes", "idx", **MNIST, classes=7)


NO_IDX = "i is no IDX file of bytes with 3 dimensions, or it is truncated"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (idx(GRAY)[:-1], NO_IDX),
        (idx(GRAY) + b"x", NO_IDX),
        (idx(GRAY)[:8], NO_IDX),
        (b"", NO_IDX),
        (idx(np.zeros(30, dtype=np.uint8)), NO_IDX),
        (bytes([0, 0, 9]) + idx(GRAY)[3:], NO_IDX),
        (b"\1" + idx(GRAY)[1:], NO_IDX),
        (gzip.compress(idx(GRAY))[:-9], "i is truncated, or unpacks to over"),
        (gzip.compress(idx(GRAY))[:-6] + b"123456", "i is damaged"),
        (gzip.compress(b""), NO_IDX),
        (idx(GRAY[:1]), "a/b has 1 images but 2"),
        pytest.param(idx(GRAY)[:5], NO_IDX),
        pytest.param(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**31, 2**31, 4), NO_IDX),
    ],
    ids=(
        *("short", "long", "half a head", "empty", "labels", "signed", "magic", "short gzip", "gzip checksum"),
        *("empty gzip", "count", "cut in a number", "size beyond 64 bits"),
    ),
)
def test_a_file_that_is_no_idx_is_refused(tmp_path, content, message):
    refused(tmp_path, {"i": content, "l": SEVEN_TWO}, message, "idx", **MNIST)


def test_a_gzip_bomb_is_refused_after_64_mib(tmp_path):
    bomb = gzip.compress(bytes(80 << 20))
    refused(tmp_path, {"i": bomb, "l": SEVEN_TWO}, f"unpacks to over {64 << 20} bytes", "idx", **MNIST)


# Picture files

ANIMALS = {
    "set/cat/2.jpg": b"a",
    "set/cat/10.JPEG": b"b",
    "set/dog/x/1.png": b"c",
    "set/dog/y/ü b.bmp": b"d",
    "set/top.gif": b"e",
    "set/cat/notes.txt": b"f",
    "set/cat/.hidden.jpg": b"g",
    "set/.git/0.jpg": b"h",
    "__MACOSX/set/cat/2.jpg": b"i",
    "other/3.webp": b"j",
}


@pytest.mark.parametrize("kind", KINDS)
def test_pictures_are_those_below_a_folder_sorted_by_path(tmp_path, kind):
    tree = built(kind, tmp_path, ANIMALS)
    data = source(tree, "pictures", under="set")
    assert data.sample_ids == ("cat/10.JPEG", "cat/2.jpg", "dog/x/1.png", "dog/y/ü b.bmp", "top.gif")
    assert data.members == tuple(f"set/{name}" for name in data.sample_ids)
    assert (data.labels.tolist(), data.classes) == ([-1] * 5, ())
    assert source(tree, "pictures").sample_ids == ("other/3.webp", *(f"set/{name}" for name in data.sample_ids))


def test_the_folder_asked_for_is_no_beginning_of_a_name(tmp_path):
    assert found(tmp_path, {"set/1.jpg": b"", "settle/2.jpg": b""}, "pictures", under="set").sample_ids == ("1.jpg",)


def test_the_first_folder_is_the_class(tmp_path):
    data = found(tmp_path, ANIMALS, "pictures", under="set", classes="folders")
    assert names_and_labels(data) == {"cat/10.JPEG": 0, "cat/2.jpg": 0, "dog/x/1.png": 1, "dog/y/ü b.bmp": 1}
    assert data.classes == ("cat", "dog")


def test_pictures_may_lie_in_one_folder_inside_each_class(tmp_path):
    data = found(tmp_path, ANIMALS, "pictures", under="set", classes="folders", inside="x")
    assert (names_and_labels(data), data.classes) == ({"dog/x/1.png": 0}, ("dog",))


def test_a_list_names_the_pictures_and_their_order(tmp_path):
    files = {**ANIMALS, "list.txt": b"/data/2.jpg 44\n1.png\r\n\n10.JPEG 3 4\n"}
    data = found(tmp_path, files, "pictures", under="set", names_file="list.txt")
    assert data.sample_ids == ("cat/2.jpg", "dog/x/1.png", "cat/10.JPEG")
    assert data.members == ("set/cat/2.jpg", "set/dog/x/1.png", "set/cat/10.JPEG")
    by_class = found(tmp_path, files, "pictures", under="set", names_file="list.txt", classes="folders")
    assert names_and_labels(by_class) == {"cat/2.jpg": 0, "dog/x/1.png": 1, "cat/10.JPEG": 0}


def test_a_list_of_pictures_that_are_not_there_is_refused(tmp_path):
    files = {**ANIMALS, "list.txt": b"2.jpg\n4.jpg\n5.jpg\n3.webp\n"}
    message = "list.txt names 3 pictures that the archive lacks, such as 4.jpg, 5.jpg, 3.webp"
    refused(tmp_path, files, message, "pictures", under="set", names_file="list.txt")
    refused(tmp_path, ANIMALS, "lacks 1 of the 1 files asked for", "pictures", names_file="none.txt")


def test_a_listed_name_that_two_pictures_have_is_refused(tmp_path):
    files = {"a/1.jpg": b"first", "b/1.jpg": b"second", "list.txt": b"1.jpg\n"}
    refused(tmp_path, files, r"1\.jpg", "pictures", names_file="list.txt")


def test_a_set_without_a_picture_is_refused(tmp_path):
    refused(tmp_path, {"set/notes.txt": b""}, "a/b has no image", "pictures", under="set")


# Tiny-ImageNet

ROOT = "tiny-imagenet-200"
TINY = {
    f"{ROOT}/train/n02/images/n02_0.JPEG": b"",
    f"{ROOT}/train/n01/images/n01_1.JPEG": b"",
    f"{ROOT}/train/n01/n01_boxes.txt": b"",
    f"{ROOT}/train/n01/thumbnail.JPEG": b"",
    f"{ROOT}/val/images/val_10.JPEG": b"",
    f"{ROOT}/val/images/val_2.JPEG": b"",
    f"{ROOT}/val/val_annotations.txt": b"val_2.JPEG\tn01\t0\t32\t44\t62\nval_10.JPEG\tn02\t5\t5\t6\t7\n",
    f"{ROOT}/test/images/test_0.JPEG": b"",
    f"{ROOT}/wnids.txt": b"n02\nn01\n",
}


@pytest.mark.parametrize(
    ("part", "labels"),
    [
        ("train", {"n01/images/n01_1.JPEG": 0, "n02/images/n02_0.JPEG": 1}),
        ("val", {"val_10.JPEG": 1, "val_2.JPEG": 0}),
        ("test", {"test_0.JPEG": -1}),
    ],
)
@pytest.mark.parametrize("kind", ["zip", "folder"])
def test_every_part_of_tiny_imagenet_has_its_labels(tmp_path, kind, part, labels):
    data = source(built(kind, tmp_path, TINY), "tiny_imagenet", part=part)
    assert names_and_labels(data) == labels
    assert data.classes == (() if part == "test" else ("n01", "n02"))


def test_a_picture_without_annotation_is_refused(tmp_path):
    files = {**TINY, f"{ROOT}/val/val_annotations.txt": b"val_2.JPEG\tn01\t0\nval_10.JPEG\n"}
    refused(tmp_path, files, r"says nothing of 1 pictures, such as val_10\.JPEG", "tiny_imagenet", part="val")
    (tmp_path / "set.folder" / ROOT / "val/val_annotations.txt").unlink()
    with pytest.raises(ReproError, match="lacks 1 of the 1 files"):
        source(built("folder", tmp_path, {}), "tiny_imagenet", part="val")


# PASCAL VOC


def annotation(*objects):
    """(name, difficult) of every object; the first has a part, as persons have."""
    texts = [
        f"<object><part><name>head</name></part><name>{name}</name>"
        f"{'' if difficult is None else f'<difficult>{difficult}</difficult>'}</object>"
        for name, difficult in objects
    ]
    return f"<annotation><!-- by hand --><folder>VOC</folder>{''.join(texts)}</annotation>".encode()


XML = {"images": "JPEGImages", "labels": "xml", "names_file": "list.txt", "annotations": "Annotations"}
VOC_FILES = {
    "list.txt": b"2008_2\n2007_1\n2009_3\n",
    "Annotations/2007_1.xml": annotation(("person", 0), ("dog", "1"), ("person", 1)),
    "Annotations/2008_2.xml": annotation(("tvmonitor", None), ("aeroplane", 0)),
    "Annotations/2009_3.xml": annotation(("cat", 1)),
    "Annotations/2010_4.xml": b"not read",
}


def shown(pictures):
    """Sample id -> classes of a multi-label set."""
    return {
        sample: [pictures.classes[index] for index in np.flatnonzero(row)]
        for sample, row in zip(pictures.sample_ids, pictures.labels, strict=True)
    }


@pytest.mark.parametrize(("difficult", "dog", "cat"), [(True, ["dog"], ["cat"]), (False, [], [])])
@pytest.mark.parametrize("kind", KINDS)
def test_objects_of_voc_are_labels_and_difficult_ones_if_asked(tmp_path, kind, difficult, dog, cat):
    data = source(built(kind, tmp_path, VOC_FILES), "voc", **XML, difficult=difficult)
    assert list(shown(data).items()) == [
        ("2008_2", ["aeroplane", "tvmonitor"]),
        ("2007_1", [*dog, "person"]),
        ("2009_3", cat),
    ]
    assert data.members == ("JPEGImages/2008_2.jpg", "JPEGImages/2007_1.jpg", "JPEGImages/2009_3.jpg")


def test_the_classes_of_voc_are_the_twenty_in_alphabetical_order(tmp_path):
    classes = found(tmp_path, VOC_FILES, "voc", **XML).classes
    assert classes == tuple(sorted(classes)) == tuple(CATALOG["voc2012"]["classes"])
    assert (len(classes), classes[0], classes[11], classes[-1]) == (20, "aeroplane", "dog", "tvmonitor")


ENTITY = """<?xml version="1.0" encoding="{0}"?><!DOCTYPE annotation [<!ENTITY d "dog">]>
<annotation><object><name>&d;</name></object></annotation>"""


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (annotation(("unicorn", 0)), r"2007_1\.xml has an object 'unicorn', which is none of VOC's 20 classes"),
        (annotation(("head", 0)), "has an object 'head'"),
        (b"<annotation><object/></annotation>", "has an object ''"),
        (annotation(("dog", 0))[:-5], r"Annotations/2007_1\.xml is no valid XML"),
        (b"", "is no valid XML"),
        (b"<!DOCTYPE html><html></html>", "declares entities or a document type, which no VOC annotation does"),
        (ENTITY.format("utf-8").encode(), "declares entities"),
        (b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><annotation/>', "declares entities"),
        pytest.param(ENTITY.format("utf-16").encode("utf-16"), "declares entities"),
        pytest.param(b'<?xml version="1.0" encoding="nonsense"?><a/>', "no valid XML"),
    ],
    ids=(
        *("class", "part", "no name", "cut", "empty", "doctype", "entity", "external", "entity in UTF-16"),
        "unknown encoding",
    ),
)
def test_a_wrong_annotation_of_voc_is_refused(tmp_path, content, message):
    refused(tmp_path, {**VOC_FILES, "Annotations/2007_1.xml": content}, message, "voc", **XML)


def test_a_listed_image_without_annotation_is_refused(tmp_path):
    refused(tmp_path, {**VOC_FILES, "list.txt": b"2007_1\n2007_9\n"}, "lacks 1 of the 2 files", "voc", **XML)


def test_label_files_of_voc_name_their_images_by_padded_paths(tmp_path):
    folder = "./Pascal/VOCdevkit/VOC2012/JPEGImages"
    labels = np.zeros((2, 20), dtype=np.uint8)
    labels[0, [11, 14]] = labels[1, 0] = 1
    padded = mat(Imlist=np.array([f"{folder}/2008_000002.jpg     ", f"{folder}/2007_000001.jpg"]), labels=labels)
    cell = np.array([[f"{folder}/2008_000002.jpg "], [f"{folder}/2007_000001.jpg"]], dtype=object)
    for content in (padded, mat(Imlist=cell, labels=labels.astype(float))):
        data = found(tmp_path, {"t.mat": content}, "voc", images="i", labels="mat", labels_file="t.mat")
        assert list(shown(data).items()) == [("2008_000002", ["dog", "person"]), ("2007_000001", ["aeroplane"])]
        assert data.members == ("i/2008_000002.jpg", "i/2007_000001.jpg")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (mat(labels=np.ones((1, 20))), "t lacks Imlist and labels"),
        (mat(Imlist=np.array(["a.jpg"]), labels=np.ones((1, 19))), r"t has labels of shape \(1, 19\) for 1 images"),
        (mat(Imlist=np.array(["a.jpg"]), labels=np.ones((2, 20))), r"t has labels of shape \(2, 20\) for 1 images"),
        (mat(Imlist=np.array(["a.jpg"]), labels=np.full((1, 20), 2)), "labels that do not fit its 20 classes"),
        pytest.param(b"<html>not found</html>" * 20, "t"),
    ],
    ids=["no list", "classes", "images", "value", "page"],
)
def test_a_wrong_label_file_of_voc_is_refused(tmp_path, content, message):
    refused(tmp_path, {"t": content}, message, "voc", images="i", labels="mat", labels_file="t")


CSV = {"images": "i", "labels": "csv", "names_file": "list.txt", "labels_file": "t.csv"}
HEAD = ",".join(["image", *VOC])


def row(name, *classes):
    return ",".join([name, *("1" if label in classes else "0" for label in VOC)])


def test_a_table_of_voc_labels_is_read_by_id(tmp_path):
    table = "\n".join([HEAD, row("a", "cat"), row("b"), row("c", "dog", "bird")]).encode()
    data = found(tmp_path, {"list.txt": b"c\na\n", "t.csv": table}, "voc", **CSV)
    assert list(shown(data).items()) == [("c", ["bird", "dog"]), ("a", ["cat"])]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([HEAD, row("b")], r"t\.csv lacks 1 images of the list, such as a"),
        ([HEAD.replace("cat,chair", "chair,cat"), row("a")], "has the columns .*, expected VOC's 20 classes"),
        ([HEAD, row("a").replace("0", "2")], "t.csv is no table of 0/1 labels"),
        ([HEAD, row("a")[:-2]], "t.csv has rows with other than 20 labels, such as that of a"),
        pytest.param([HEAD, row("a").replace("0", "-1")], "t.csv"),
        pytest.param([HEAD, row("a").replace("0", "yes")], "t.csv"),
        pytest.param([], "t.csv"),
    ],
    ids=["missing", "order", "value", "short", "negative", "word", "empty"],
)
def test_a_wrong_table_of_voc_labels_is_refused(tmp_path, lines, message):
    refused(tmp_path, {"list.txt": b"a", "t.csv": "\n".join(lines).encode()}, message, "voc", **CSV)


def test_a_blank_line_in_a_table_of_voc_labels_is_passed_over(tmp_path):
    files = {"list.txt": b"a", "t.csv": f"{HEAD}\n{row('a', 'cat')}\n\n".encode()}
    assert shown(found(tmp_path, files, "voc", **CSV)) == {"a": ["cat"]}


def test_voc_without_labels_has_no_classes(tmp_path):
    data = found(tmp_path, {"list.txt": b"b\na\n"}, "voc", images="i", labels="none", names_file="list.txt")
    assert (names_and_labels(data), data.classes) == ({"b": -1, "a": -1}, ())
    assert data.sample_ids == ("b", "a")


# COCO

COCO = {"images": "val2014", "annotations": "instances.json"}
INSTANCES = {
    "images": [{"id": 7, "file_name": "c.jpg"}, {"id": 2, "file_name": "a.jpg"}, {"id": 9, "file_name": "b.jpg"}],
    "annotations": [
        {"image_id": 7, "category_id": 90, "iscrowd": 0},
        {"image_id": 7, "category_id": 1, "iscrowd": 0},
        {"image_id": 7, "category_id": 90, "iscrowd": 1},
        {"image_id": 2, "category_id": 13, "iscrowd": 1},
    ],
    "categories": [{"id": 1, "name": "person"}, {"id": 13, "name": "stop sign"}, {"id": 90, "name": "brush"}],
}


def instances(**changes):
    return {"instances.json": json.dumps({**INSTANCES, **changes}).encode()}


@pytest.mark.parametrize(
    ("switches", "expected"),
    [
        ({}, {"a.jpg": ["stop sign"], "b.jpg": [], "c.jpg": ["person", "brush"]}),
        ({"crowd": False}, {"a.jpg": [], "b.jpg": [], "c.jpg": ["person", "brush"]}),
        ({"keep_unlabelled": False}, {"a.jpg": ["stop sign"], "c.jpg": ["person", "brush"]}),
        ({"crowd": False, "keep_unlabelled": False}, {"c.jpg": ["person", "brush"]}),
    ],
    ids=str,
)
def test_coco_counts_crowds_and_keeps_images_without_labels_as_asked(tmp_path, switches, expected):
    data = found(tmp_path, instances(), "coco", **COCO, **switches)
    assert list(shown(data).items()) == list(expected.items())
    assert data.members == tuple(f"val2014/{name}" for name in expected)


def test_a_part_of_coco_is_what_was_published_under_its_folder(tmp_path):
    places = {"c.jpg": "train2017", "a.jpg": "val2017", "b.jpg": "val2017"}
    named = [
        {**image, "coco_url": f"http://h/{places[image['file_name']]}/{image['file_name']}"}
        for image in INSTANCES["images"]
    ]
    files = instances(images=named)
    shown_of = {part: shown(found(tmp_path, files, "coco", **COCO, part=part)) for part in ("train2017", "val2017")}
    assert shown_of == {"train2017": {"c.jpg": ["person", "brush"]}, "val2017": {"a.jpg": ["stop sign"], "b.jpg": []}}
    annotated = found(tmp_path, files, "coco", **COCO, part="val2017", keep_unlabelled=False)
    assert shown(annotated) == {"a.jpg": ["stop sign"]}
    refused(tmp_path, instances(), r"instances\.json is no COCO instances file", "coco", **COCO, part="val2017")


def test_the_classes_of_coco_stand_in_the_order_of_its_category_list(tmp_path):
    turned = instances(categories=INSTANCES["categories"][::-1])
    assert found(tmp_path, turned, "coco", **COCO).classes == ("brush", "stop sign", "person")
    assert shown(found(tmp_path, turned, "coco", **COCO))["c.jpg"] == ["brush", "person"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"instances\.json is no COCO instances file"),
        (b"\xff", r"instances\.json is no COCO instances file"),
        (b"[]", "is no COCO instances file"),
        (b"null", "is no COCO instances file"),
        (b'{"images": [], "annotations": []}', "is no COCO instances file"),
        (json.dumps({**INSTANCES, "images": []}).encode().replace(b'"image_id"', b'"image"'), "instances"),
        (instances(annotations=[{"image_id": 8, "category_id": 1, "iscrowd": 0}])["instances.json"], "instances"),
        (instances(annotations=[{"image_id": 7, "category_id": 2, "iscrowd": 0}])["instances.json"], "instances"),
        (instances(images=[{"id": 7}])["instances.json"], "instances"),
        (instances(images=None)["instances.json"], "instances"),
    ],
    ids=(
        *("cut", "no text", "list", "null", "no categories", "no image_id", "unknown image", "unknown category"),
        *("no file_name", "null images"),
    ),
)
def test_a_file_that_is_no_instances_file_is_refused(tmp_path, content, message):
    refused(tmp_path, {"instances.json": content}, message, "coco", **COCO)


# NUS-WIDE

NUS = {"images": "Flickr", "concepts": "concepts.txt", "lists": "lists", "labels": "labels"}


def nus(count=9, **labels):
    """``count`` pictures of the concepts sky and dog; without labels given, all but the third show the sky."""
    values = {"sky": [int(n != 2) for n in range(count)], "dog": [int(n == 1) for n in range(count)], **labels}
    files = {f"labels/Labels_{name}_Test.txt": "\n".join(map(str, part)).encode() for name, part in values.items()}
    names = "".join(f"folder{n % 2}\\{n:04d}.jpg\r\n" for n in range(count))
    return {**files, "lists/TestImagelist.txt": names.encode(), "concepts.txt": b"sky\ndog\n"}


def test_names_of_nus_wide_lose_their_back_slashes(tmp_path):
    data = found(tmp_path, nus(), "nus_wide", **NUS, part="Test")
    assert data.sample_ids[:2] == ("Flickr/folder0/0000.jpg", "Flickr/folder1/0001.jpg")
    assert data.members == data.sample_ids
    assert data.classes == ("sky", "dog")


def test_images_of_nus_wide_without_a_concept_are_dropped(tmp_path):
    data = found(tmp_path, nus(), "nus_wide", **NUS, part="Test")
    assert len(data) == 8
    assert "Flickr/folder0/0002.jpg" not in data.sample_ids
    assert shown(data)["Flickr/folder1/0001.jpg"] == ["sky", "dog"]


@pytest.mark.parametrize("count", [9, 10, 61])
def test_the_halves_of_nus_wide_are_those_of_the_legacy_shuffle(tmp_path, count):
    whole, first, second = (
        found(tmp_path, nus(count), "nus_wide", **NUS, part="Test", half=half) for half in ("all", "first", "second")
    )
    shuffled = list(whole.sample_ids)
    np.random.seed(999)
    np.random.shuffle(shuffled)
    assert first.sample_ids == tuple(shuffled[: (count - 1) // 2])
    assert first.sample_ids + second.sample_ids == tuple(shuffled)
    assert {**shown(first), **shown(second)} == shown(whole)


@pytest.mark.parametrize("stray", [-1130179, 2, -1])
def test_a_stray_value_in_a_label_file_of_nus_wide_is_no_label(tmp_path, stray):
    files = nus(3, sky=[1, stray, 1], dog=[0, 1, 0])
    assert shown(found(tmp_path, files, "nus_wide", **NUS, part="Test")) == {
        "Flickr/folder0/0000.jpg": ["sky"],
        "Flickr/folder1/0001.jpg": ["dog"],
        "Flickr/folder0/0002.jpg": ["sky"],
    }


def test_a_label_file_of_nus_wide_that_does_not_fit_is_refused(tmp_path):
    message = r"Labels_dog_Test\.txt has 8 lines, the image list has 9"
    refused(tmp_path, nus(9, dog=[0] * 8), message, "nus_wide", **NUS, part="Test")
    files = {name: content for name, content in nus().items() if "dog" not in name}
    (tmp_path / "new").mkdir()
    refused(
        tmp_path / "new",
        files,
        r"lacks 1 of the 2 files .* labels/Labels_dog_Test\.txt",
        "nus_wide",
        **NUS,
        part="Test",
    )


def test_a_label_of_nus_wide_that_is_no_number_is_refused(tmp_path):
    refused(tmp_path, nus(2, dog=["0", "<html>"]), "Labels_dog_Test", "nus_wide", **NUS, part="Test")


# Label files

SCENES = {"classes": ["bed", "lamp", "car"], "labels": {"val/b.jpg": [2, 0], "train/a.jpg": [1], "val/a.jpg": []}}
JSON = {"images": "pictures", "labels_file": "t.json"}


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        ("", {"train/a.jpg": ["lamp"], "val/a.jpg": [], "val/b.jpg": ["bed", "car"]}),
        ("val", {"val/a.jpg": [], "val/b.jpg": ["bed", "car"]}),
        ("train", {"train/a.jpg": ["lamp"]}),
    ],
)
def test_a_label_file_gives_the_pictures_of_a_part(tmp_path, part, expected):
    data = found(tmp_path, {"t.json": json.dumps(SCENES).encode()}, "label_file", **JSON, part=part)
    assert list(shown(data).items()) == list(expected.items())
    assert data.members == tuple(f"pictures/{name}" for name in expected)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({**SCENES, "labels": {"a": [3]}}, r"t\.json gives a the classes \[3\], there are 3"),
        ({**SCENES, "labels": {"a": [-1]}}, r"t\.json gives a the classes \[-1\]"),
        ({**SCENES, "labels": {}}, "a/b has no image"),
        pytest.param({"classes": []}, "t.json"),
        pytest.param([], "t.json"),
        pytest.param({**SCENES, "labels": {"a": ["bed"]}}, "t.json"),
    ],
    ids=str,
)
def test_a_wrong_label_file_is_refused(tmp_path, content, message):
    refused(tmp_path, {"t.json": json.dumps(content).encode()}, message, "label_file", **JSON)


def test_a_label_file_that_is_no_json_is_refused(tmp_path):
    refused(tmp_path, {"t.json": b"{"}, "t.json", "label_file", **JSON)


# What all readers have in common


@pytest.mark.parametrize("kind", ["tar.gz", "zip"])
def test_pictures_are_decoded_from_archives_in_the_order_of_the_split(tmp_path, kind):
    files = {}
    for number, name in enumerate(["z", "a", "m"]):
        file = io.BytesIO()
        Image.new("RGB", (4 + number, 4), (number, 0, 0)).save(file, "png")
        files[f"{name}.png"] = file.getvalue()
    reader = complete_part("data.readers", "name", {"name": "pictures"})
    settings = {"dataset": "a", "split": "b", "reader": reader, "render": {"size": 9, "resize": "short_side"}}
    with_origin = {"kind": "images", "settings": settings, "parents": {}}
    tree = built(kind, tmp_path, files)
    assert prepare(tmp_path / "b.h5", settings, tree, Lists(["m.png", "z.png"]), with_origin, workers=2) == 2
    data = read_images(tmp_path / "b.h5")
    assert data.sample_ids == ("m.png", "z.png")
    assert [data.images[n][0, 0, 0] for n in range(2)] == [2, 0]


# Real sets: a folder of unpacked copies

REAL = (
    *("cifar100", "cifar10", "tin_resize", "lsun_mini", "places_mini", "dtd_mini", "dtd_128"),
    *("voc2012_animals", "miniplaces_objects", "coco_mini", "imagenet_1000"),
)
REAL_SPLITS = [(name, split) for name in REAL for split in CATALOG[name]["splits"]]
LACKING = {("cifar10", "train"), ("cifar10", "validation"), ("cifar10", "train_part")}


def real_place(real_data, dataset, split):
    """What the split needs, and where it lies."""
    want = wanted(CATALOG, dataset, split)
    place = locate(want, [real_data])
    if place is None:
        pytest.skip(f"{real_data} does not hold {want.name}")
    return want, place


def real_source(real_data, dataset, split, tree=None, **options):
    """What the reader gives for a real split, cut and checked by the catalog; ``options`` differ from it."""
    told = prepare_settings(Study({}, CATALOG), dataset, split, {})
    told["reader"] |= options
    tree = tree or open_unpacked(*real_place(real_data, dataset, split))
    return read_source(told, tree, read_lists(told), f"{dataset}/{split}")


def content(source, tree):
    """Hash of pixels, labels and names."""
    if isinstance(source, ImageSet):
        return source.content_sha256()
    rows = dict(decoded(source, tree, digest, 2, "real"))
    images = digest_rows(rows[index] for index in range(len(source)))
    return content_sha256(images, source.labels, source.sample_ids, source.classes)


@pytest.mark.parametrize(("dataset", "split"), [part for part in REAL_SPLITS if part not in LACKING])
def test_a_real_split_is_verified_and_has_its_recorded_content(real_data, tmp_path, dataset, split):
    record, (want, place) = CATALOG[dataset]["splits"][split], real_place(real_data, dataset, split)
    write_manifest(tmp_path / "source.json", want, place, verify_place(want, place, tmp_path / "lock.json"))
    tree = open_source(tmp_path / "source.json", [real_data])
    source = real_source(real_data, dataset, split, tree)
    assert len(source) == record["count"]
    found = content(source, tree)
    assert found == record.get("content_sha256", found)
    assert "content_sha256" in record or "files_sha256" in record


@pytest.mark.parametrize(
    ("dataset", "parts"),
    [
        *((name, ("all", "validation", "test")) for name in ("tin_resize", "lsun_mini", "places_mini", "dtd_mini")),
        ("voc2012_animals", ("train", "validation", "train_part")),
        ("miniplaces_objects", ("train", "validation", "train_part")),
        ("dtd_128", ("test", "outliers", "test_seven")),
    ],
)
def test_real_images_kept_for_validation_are_in_no_other_part(real_data, dataset, parts):
    whole, first, second = (set(real_source(real_data, dataset, split).sample_ids) for split in parts)
    assert first.isdisjoint(second)
    assert first | second == whole


@pytest.mark.parametrize("split", ["train", "test"])
def test_cifar100_is_what_torchvision_reads(real_data, split):
    from torchvision.datasets import CIFAR100

    data, official = real_source(real_data, "cifar100", split), CIFAR100(real_data, train=split == "train")
    assert np.array_equal(data.images, official.data)
    assert data.labels.tolist() == official.targets
    assert list(data.classes) == official.classes


def test_the_labels_of_voc_animals_are_as_many_as_counted(real_data):
    parts = [real_source(real_data, "voc2012_animals", split).labels for split in ("train", "val")]
    total = sum(labels.astype(int).sum(axis=0) for labels in parts)
    counted = (
        "dog 1333, cat 1124, person 768, horse 525, sheep 357, cow 335, sofa 163, chair 161, car 79, pottedplant 66, "
        "bottle 54, tvmonitor 44, diningtable 26, bird 17, bicycle 9, motorbike 9, boat 6, bus 3, train 1, aeroplane 0"
    )
    expected = {name: int(count) for name, count in (part.split() for part in counted.split(", "))}
    assert dict(zip(VOC, total.tolist(), strict=True)) == expected


def test_the_crowds_of_coco_mini_are_labels_as_asked(real_data, tmp_path):
    content = json.loads((real_data / "coco_mini/instances.json").read_bytes())
    alone = [part for part in content["annotations"] if part["iscrowd"]]
    assert len(alone) == 33
    with_crowds, without = (real_source(real_data, "coco_mini", "test", crowd=crowd) for crowd in (True, False))
    assert np.array_equal(with_crowds.labels, without.labels)  # each stands beside a single object of its class
    files = {"instances.json": json.dumps({**content, "annotations": alone}).encode()}
    with_crowds, without = (found(tmp_path, files, "coco", **COCO, crowd=crowd) for crowd in (True, False))
    assert int(with_crowds.labels.sum()) == len({(part["image_id"], part["category_id"]) for part in alone})
    assert int(without.labels.sum()) == 0


def test_coco_mini_has_five_images_without_annotation(real_data):
    whole, annotated = (real_source(real_data, "coco_mini", split) for split in ("test", "test_annotated"))
    assert (len(whole), len(annotated)) == (386, 381)
    assert set(annotated.sample_ids) == {
        sample for sample, labels in zip(whole.sample_ids, whole.labels, strict=True) if labels.any()
    }
    train, val = (real_source(real_data, "coco_mini", split) for split in ("train", "val"))
    assert set(train.sample_ids).isdisjoint(val.sample_ids)
    assert {*train.sample_ids, *val.sample_ids} == set(annotated.sample_ids)
    assert train.labels.any(axis=0).all()


@pytest.mark.parametrize("name", sorted(set(frozen.RULES) - set(frozen.KNOWN_IDS)))
def test_a_frozen_list_drawn_from_real_images_equals_its_rule(real_data, name):
    (dataset, split), rule = name.split("/"), frozen.RULES[name]
    whole = real_source(real_data, dataset, rule.of)
    left_out = frozen.left_out_classes(rule.leaves_out) if rule.leaves_out else {}
    found = frozen.draw(rule, whole.sample_ids, whole.labels, whole.classes, left_out)
    assert found == split_entries(CATALOG, dataset, split)


@pytest.mark.parametrize("name", sorted(frozen.KNOWN_IDS))
def test_a_frozen_list_drawn_by_number_equals_its_rule(name):
    assert frozen.draw(frozen.RULES[name], frozen.KNOWN_IDS[name]) == split_entries(CATALOG, *name.split("/"))
