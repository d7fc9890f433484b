"""Claims about data: frozen lists, verified files, prepared splits, image stores and what they refuse."""

import copy
import gzip
import hashlib
import socket
import threading
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import h5py
import numpy as np
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from methods.data import embedded
from methods.data.catalog import SPLITS, file_record, load_catalog, source_files, split_entries
from methods.data.fetch import decoded_sha256, fetch
from methods.data.images import ImageSet, check_images, read_images, write_images
from methods.data.prepare import prepare
from methods.data.render import RESIZE_RULES, render_images, render_name
from methods.data.subsets import read_list, write_list
from methods.errors import ReproError
from methods.files import atomic, sha256_bytes, write_text
from methods.hdf5 import open_hdf5, require_datasets
from methods.settings.schema import load_schema
from methods.settings.steps import prepare_settings
from methods.settings.study import Study

CATALOG = load_catalog()
TARGET = load_digits().target
LISTS = embedded.all_lists(TARGET)
DIGITS = {name: set(map(int, LISTS[f"digits/{name}"])) for name in ("train", "validation", "test")}
ORIGIN = {"kind": "images", "settings": {}, "parents": {}}


def comes_with_a_package(dataset):
    files = CATALOG[CATALOG[dataset].get("files_of", dataset)]["files"]
    return dataset == "uniform_noise" or (bool(files) and all("package" in file for file in files))


EMBEDDED = [(name, split) for name in CATALOG if comes_with_a_package(name) for split in CATALOG[name]["splits"]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A function of data set and split, with changes to the step's settings."""
    folder, catalog = tmp_path_factory.mktemp("archives"), CATALOG

    def make(dataset, split, **changes):
        files = {}
        for name, owner in source_files(catalog, dataset).items():
            files[name] = folder / owner / name
            if not files[name].is_file():
                fetch(owner, file_record(catalog, owner, name), files[name])
        render = {"size": catalog[dataset]["image_size"][0], "resize": "native"}
        chosen = {**prepare_settings(Study({}, catalog), dataset, split, render), **changes}
        return prepare(chosen, files, split_entries(catalog, dataset, split))

    return make


def small(**changes):
    """Five images of two classes."""
    pixels = np.arange(5 * 4 * 4 * 3, dtype=np.uint8).reshape(5, 4, 4, 3)
    labels, names = np.array([0, 1, 0, 1, 1]), tuple(f"image{number}" for number in range(5))
    return replace(ImageSet(pixels, labels, names, ("cat", "dog")), **changes)


def stored(folder, data=None, origin=ORIGIN):
    write_images(folder / "set.h5", data or small(), origin)
    return folder / "set.h5"


def cells(name):
    return {int(cell) for entry in LISTS[name] for cell in entry.split()}


@pytest.mark.parametrize("name", LISTS)
def test_frozen_list_equals_its_seeded_rule(name):
    dataset, split = name.split("/")
    assert CATALOG[dataset]["splits"][split]["list"] == f"{name}.txt"
    assert split_entries(CATALOG, dataset, split) == LISTS[name]


def test_digit_splits_are_disjoint_and_hold_every_id_digit():
    assert Counter(TARGET[sorted(set().union(*DIGITS.values()))]) == Counter(
        TARGET[np.isin(TARGET, embedded.ID_CLASSES)]
    )
    assert len(set().union(*DIGITS.values())) == sum(map(len, DIGITS.values()))


@pytest.mark.parametrize("split", DIGITS)
def test_no_digit_split_holds_a_held_out_class(split):
    assert set(TARGET[sorted(DIGITS[split])]) == set(embedded.ID_CLASSES)


@pytest.mark.parametrize("split", DIGITS)
def test_mosaics_use_only_digits_of_their_own_split(split):
    assert cells(f"digit_mosaics/{split}") <= DIGITS[split]


def test_ood_mosaics_share_no_digit_with_training_and_validation():
    assert cells("scrambled_mosaics/test") <= DIGITS["test"]
    assert set(TARGET[sorted(cells("held_out_mosaics/test"))]) == set(embedded.HELD_OUT_CLASSES)


def test_photo_patches_lie_inside_their_photographs():
    patches = [cell for name in ("photo_patches/test", "photo_mosaics/train") for cell in " ".join(LISTS[name]).split()]
    for patch in patches:
        name, *box = patch.split(":")
        (top, left, side), (height, width) = map(int, box), embedded.PHOTOGRAPHS[name]
        assert top + side <= height
        assert left + side <= width


@pytest.mark.parametrize(("dataset", "split"), EMBEDDED)
def test_split_prepared_from_installed_files_has_its_recorded_content(prepared, dataset, split):
    data, record = prepared(dataset, split), CATALOG[dataset]
    assert data.content_sha256() == record["splits"][split]["content_sha256"]
    assert len(data.images) == record["splits"][split]["count"]
    assert data.classes == tuple(record["classes"])
    assert data.multi_label == (record["task"] == "multi_label")


def test_class_counts_of_the_training_mosaics_fall(prepared):
    counts = prepared("digit_mosaics", "train").labels.sum(axis=0, dtype=int)
    assert (np.diff(counts) < 0).all()
    assert counts[0] > 5 * counts[-1]


def test_labels_of_a_mosaic_are_the_digits_it_shows(prepared):
    labels = prepared("digit_mosaics", "test").labels
    shown = [{TARGET[int(cell)] for cell in entry.split()} for entry in LISTS["digit_mosaics/test"]]
    assert [{embedded.ID_CLASSES[c] for c in np.flatnonzero(row)} for row in labels] == shown


def test_scrambling_permutes_the_pixels_of_every_digit(prepared):
    plain, scrambled = prepared("digits", "test").images, prepared("digits_scrambled", "test").images
    assert not np.array_equal(plain, scrambled)
    assert np.array_equal(np.sort(plain.reshape(len(plain), -1)), np.sort(scrambled.reshape(len(plain), -1)))


def test_noise_follows_from_its_seed(prepared):
    reader = {"name": "uniform_noise", "count": 3, "size": 8}
    first, again, other = (
        prepared("uniform_noise", "test", reader={**reader, "seed": seed}, content_sha256=None, count=3)
        for seed in (1, 1, 2)
    )
    assert first.content_sha256() == again.content_sha256() != other.content_sha256()


def test_a_count_or_classes_unlike_the_catalog_are_refused(prepared):
    with pytest.raises(ReproError, match="digits/test was read with count 376, the catalog has 375"):
        prepared("digits", "test", count=375)
    with pytest.raises(ReproError, match=r"was read with classes .* the catalog has"):
        prepared("digits", "test", classes=["0"])


def test_a_digit_without_a_class_is_refused(prepared):
    with pytest.raises(ReproError, match=r"show the digits \[8\], which the reader's classes"):
        prepared(
            "digits",
            "test",
            reader={"name": "digits", "digits": [0, 2, 3, 4, 5, 6], "multi_label": False, "scramble": False},
        )


def test_content_unlike_the_catalog_is_refused(prepared):
    with pytest.raises(ReproError, match=r"digits/test was read as content 771d31dce3ad, the catalog expects 000000"):
        prepared("digits", "test", content_sha256="0" * 64)


def test_render_of_another_size_is_refused_when_it_may_not_resize(prepared):
    with pytest.raises(ReproError, match=r"digits/test has images of 8x8 pixels, .* asks for 32x32 without resizing"):
        prepared("digits", "test", render={"size": 32, "resize": "native"})


def test_split_is_verified_at_native_size_and_then_resized(prepared):
    data = prepared("digits", "test", render={"size": 12, "resize": "square"})
    assert data.images.shape == (376, 12, 12, 3)


def test_native_returns_the_images_themselves():
    images = small().images
    assert render_images(images, {"size": 4, "resize": "native"}, "set") is images


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 24), st.sampled_from(["short_side_crop", "square"]))
def test_resizing_gives_the_asked_size(height, width, size, rule):
    flat = np.full((1, height, width, 3), 77, dtype=np.uint8)
    found = render_images(flat, {"size": size, "resize": rule}, "set")
    assert found.shape == (1, size, size, 3)
    assert found.dtype == np.uint8
    assert (found == 77).all()


def test_short_side_crop_keeps_the_centre():
    columns = np.broadcast_to(np.arange(8, dtype=np.uint8)[None, None, :, None], (1, 4, 8, 3))
    found = render_images(columns, {"size": 4, "resize": "short_side_crop"}, "set")
    assert np.array_equal(found, columns[:, :, 2:6])


def test_square_keeps_both_ends_of_the_long_side():
    halves = np.repeat(np.array([0, 200], dtype=np.uint8), 8)[None, None, :, None] * np.ones((1, 4, 1, 3), np.uint8)
    found = render_images(halves, {"size": 4, "resize": "square"}, "set")
    assert found[0, 0, 0, 0] == 0
    assert found[0, 0, -1, 0] == 200


def test_papers_know_the_render_rules_and_no_other():
    benchmark = load_schema("paper")["properties"]["benchmarks"]["additionalProperties"]
    assert tuple(benchmark["properties"]["render"]["properties"]["resize"]["enum"]) == RESIZE_RULES


def test_a_render_is_named_by_size_and_rule():
    assert render_name({"size": 8, "resize": "native"}) == "8px-native"


@pytest.mark.parametrize(
    "data",
    [
        small(),
        small(labels=np.eye(2, dtype=np.uint8)[[0, 1, 0, 1, 1]]),
        small(labels=np.full(5, -1), classes=()),
        small(sample_ids=("müll", "naïve", "日本", "a b", "x/y.png")),
    ],
    ids=["one label", "several labels", "no classes", "names in any script"],
)
def test_an_image_store_gives_back_what_was_written(tmp_path, data):
    found = read_images(stored(tmp_path, data))
    assert found.content_sha256() == data.content_sha256()
    assert (found.sample_ids, found.classes) == (data.sample_ids, data.classes)
    assert found.labels.dtype == data.labels.dtype


def test_the_same_images_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "a.h5", tmp_path / "b.h5"
    write_images(first, small(), {"kind": "images", "seed": None})
    write_images(second, small(), {"seed": None, "kind": "images"})
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        {"images": small().images + 1},
        {"labels": np.array([0, 1, 0, 1, 0])},
        {"sample_ids": ("image0", "image1", "image2", "image3", "other")},
        {"classes": ("cat", "horse")},
    ],
    ids=["pixels", "labels", "names", "classes"],
)
def test_the_content_hash_sees_every_part(change):
    assert small(**change).content_sha256() != small().content_sha256()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"images": np.zeros((0, 4, 4, 3), np.uint8), "labels": np.zeros(0, int), "sample_ids": ()}, "has no image"),
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


@pytest.mark.parametrize("kept", [0.0, 0.01, 0.3, 0.6, 0.999])
def test_a_truncated_store_is_refused_by_name(tmp_path, kept):
    path = stored(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
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


def test_a_store_without_labels_is_refused(tmp_path):
    path = stored(tmp_path)
    with h5py.File(path, "r+") as file:
        del file["labels"]
    with pytest.raises(ReproError, match=rf"{path} lacks labels"):
        read_images(path)


@pytest.mark.parametrize(("name", "row"), [("images", np.s_[0, 0, 0, 0]), ("labels", 0), ("sample_ids", 0)])
def test_content_changed_after_writing_is_refused(tmp_path, name, row):
    path = stored(tmp_path)
    with h5py.File(path, "r+") as file:
        file[name][row] = b"other" if name == "sample_ids" else 1
    with pytest.raises(ReproError, match=rf"{path} does not hold what it recorded when written"):
        read_images(path)


def test_every_missing_part_is_named(tmp_path):
    path = stored(tmp_path)
    with open_hdf5(path) as file, pytest.raises(ReproError, match=r"set\.h5 lacks logits, embedding:"):
        require_datasets(file, ("images", "logits", "embedding"))


def test_a_failed_write_leaves_no_file(tmp_path):
    with pytest.raises(TypeError):
        write_images(tmp_path / "set.h5", small(), {"kind": {"not", "json"}})
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_file(tmp_path):
    before = stored(tmp_path).read_bytes()
    with pytest.raises(TypeError):
        write_images(tmp_path / "set.h5", small(), {"kind": {"not", "json"}})
    assert (tmp_path / "set.h5").read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["set.h5"]


def test_a_file_has_its_name_only_when_it_is_whole(tmp_path):
    target = tmp_path / "new" / "file.txt"
    with atomic(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_an_interrupted_write_leaves_nothing(tmp_path):
    def half():
        with atomic(tmp_path / "file.txt") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    assert list(tmp_path.iterdir()) == []


def test_a_list_gives_back_its_entries(tmp_path):
    digest = write_list(tmp_path / "list.txt", ["3 1 4 1", "5"])
    assert read_list(tmp_path / "list.txt", digest) == ["3 1 4 1", "5"]


def test_a_list_with_another_hash_is_refused(tmp_path):
    write_list(tmp_path / "list.txt", ["1", "2"])
    with pytest.raises(ReproError, match=r"list\.txt has sha256 [0-9a-f]{12}, the catalog expects ffffffffffff"):
        read_list(tmp_path / "list.txt", "f" * 64)


def test_an_empty_list_is_refused(tmp_path):
    digest = write_list(tmp_path / "list.txt", [])
    with pytest.raises(ReproError, match=r"list\.txt is empty: a split needs at least one image"):
        read_list(tmp_path / "list.txt", digest)


def test_a_missing_list_is_refused(tmp_path):
    with pytest.raises(ReproError, match=r"list\.txt is missing: restore it"):
        read_list(tmp_path / "list.txt", "0" * 64)


RECORD = {
    "title": "Pets",
    "reader": {"name": "uniform_noise"},
    "task": "none",
    "image_size": [4, 4],
    "splits": {"test": {"count": 2}},
}


def catalog_of(folder, **datasets):
    write_text(folder / "datasets.yaml", yaml.safe_dump({"datasets": copy.deepcopy(datasets)}))
    return load_catalog(folder / "datasets.yaml")


def test_a_catalog_gets_defaults_and_reader_options(tmp_path):
    pets = catalog_of(tmp_path, pets=RECORD)["pets"]
    assert pets["reader"] == {"name": "uniform_noise", "count": 500, "size": 8, "seed": 0}
    assert (pets["files"], pets["classes"]) == ([], [])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": {"name": "digitss"}}, "pets.reader.name is 'digitss': did you mean 'digits'?"),
        (
            {"reader": {"name": "digits", "digit": [1]}},
            "pets.reader has the unknown key 'digit': did you mean 'digits'?",
        ),
        (
            {"reader": {"name": "digits", "digits": [3, 10]}},
            "pets.reader.digits.1: 10 is greater than the maximum of 9",
        ),
        ({"reader": {"name": "uniform_noise", "size": 8.0}}, "pets.reader.size is 8.0, expected a whole number"),
        ({"files_of": "dogz"}, "pets.files_of is 'dogz': did you mean 'dogs'?"),
        ({"files_of": "dogs"}, "pets.files_of is 'dogs', which has no files of its own"),
        ({"task": "single"}, "pets.task is 'single': did you mean 'single_label'?"),
        ({"licens": "free"}, "pets has the unknown key 'licens': did you mean 'licence'?"),
        ({"splits": {"test": {"count": 0}}}, "pets.splits.test.count: 0 is less than the minimum of 1"),
        ({"splits": {"test": {"count": 2, "list": "a.txt"}}}, "'list_sha256' is a dependency of 'list'"),
        ({"splits": {"test": {"count": 2, "list": "no.txt", "list_sha256": "0" * 64}}}, "no.txt is missing"),
        (
            {"files": [{"name": "a.zip", "urls": ["http://x"]}]},
            "pets.files.0 needs exactly one of: package or urls with sha256 or urls with md5",
        ),
        ({"files": [{"name": "../a.zip", "urls": ["http://x"], "sha256": "0" * 64}]}, "pets.files.0.name: '../a.zip'"),
    ],
)
def test_a_catalog_record_that_does_not_fit_is_refused(tmp_path, change, message):
    with pytest.raises(ReproError) as refusal:
        catalog_of(tmp_path, pets={**RECORD, **change}, dogs=RECORD)
    assert "datasets.yaml.datasets.pets" in str(refusal.value)
    assert message in str(refusal.value)


def test_a_count_unlike_its_list_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("methods.data.catalog.SPLITS", tmp_path)
    split = {"count": 3, "list": "list.txt", "list_sha256": write_list(tmp_path / "list.txt", ["1", "2"])}
    with pytest.raises(ReproError, match=r"pets\.splits\.test\.count is 3, its list has 2 entries"):
        catalog_of(tmp_path, pets={**RECORD, "splits": {"test": split}})


def test_every_problem_of_a_catalog_is_listed(tmp_path):
    with pytest.raises(ReproError) as refusal:
        catalog_of(tmp_path, pets={**RECORD, "files_of": "none"}, dogs={**RECORD, "reader": {"name": "none"}})
    assert len(str(refusal.value).splitlines()) == 2


def test_a_record_without_its_keys_is_told_all_of_them(tmp_path):
    with pytest.raises(ReproError) as refusal:
        catalog_of(tmp_path, pets={})
    keys = ("title", "reader", "task", "image_size", "splits")
    assert str(refusal.value).splitlines() == [f"datasets.yaml.datasets.pets lacks the key '{key}'" for key in keys]


def test_files_of_leads_to_the_owner_of_the_files():
    assert source_files(CATALOG, "held_out_mosaics") == {"digits.csv.gz": "digits"}
    assert source_files(CATALOG, "uniform_noise") == {}


class Handler(BaseHTTPRequestHandler):
    """Answers from ``server.answers``: path -> (status, body, announced length)."""

    def do_GET(self):
        self.server.asked.append(self.path)
        status, body, length = self.server.answers[self.path]
        self.send_response(status)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *arguments):
        pass


CONTENT = b"the archive" * 100


@pytest.fixture(scope="module")
def server():
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    whole = len(CONTENT)
    server.answers = {
        "/good": (200, CONTENT, whole),
        "/wrong": (200, CONTENT[::-1], whole),
        "/gone": (404, b"gone", 4),
        "/cut": (200, CONTENT[:50], whole),
        "/short": (200, CONTENT[:50], 50),
        "/empty": (200, b"", 0),
    }
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def download(server, tmp_path, monkeypatch):
    """A function of URL paths that fetches from them into an empty folder; gives folder and paths asked for."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    server.asked = []

    def run(*paths, **hashes):
        urls = [path if "://" in path else f"http://127.0.0.1:{server.server_port}{path}" for path in paths]
        record = {"name": "pets.zip", "urls": urls, **(hashes or {"sha256": sha256_bytes(CONTENT)})}
        fetch("pets", record, tmp_path / "pets.zip")
        return server.asked

    return run


def unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{free.getsockname()[1]}/none"


@pytest.mark.parametrize(
    ("paths", "asked"),
    [
        (["/good", "/gone"], ["/good"]),
        (["/wrong", "/good"], ["/wrong", "/good"]),
        (["/gone", "/good"], ["/gone", "/good"]),
        (["/cut", "/good"], ["/cut", "/good"]),
        (["/short", "/good"], ["/short", "/good"]),
        (["/empty", "/good"], ["/empty", "/good"]),
        ([unreachable(), "/good"], ["/good"]),
    ],
    ids=["first is right", "wrong bytes", "not found", "cut off", "too short", "empty", "nobody there"],
)
def test_fetch_takes_the_first_source_with_the_right_bytes(download, tmp_path, paths, asked):
    assert download(*paths) == asked
    assert (tmp_path / "pets.zip").read_bytes() == CONTENT
    assert [path.name for path in tmp_path.iterdir()] == ["pets.zip"]


def test_fetch_verifies_md5_where_only_that_is_published(download, tmp_path):
    download("/wrong", "/good", md5=hashlib.md5(CONTENT).hexdigest())
    assert (tmp_path / "pets.zip").read_bytes() == CONTENT


def test_fetch_without_a_good_source_lists_all_and_says_how_to_go_on(download, tmp_path, server):
    nobody = unreachable()
    with pytest.raises(ReproError) as refusal:
        download("/wrong", "/gone", "/cut", nobody)
    first, *sources, _, hint = str(refusal.value).splitlines()
    assert first == "No source of pets gave pets.zip as the catalog expects it:"
    urls = [f"http://127.0.0.1:{server.server_port}{path}" for path in ("/wrong", "/gone", "/cut")] + [nobody]
    assert [line.split(": ")[0].strip() for line in sources] == urls
    assert "hash" in sources[0]
    assert "404" in sources[1]
    assert hint.strip() == "datasets: {unavailable: [pets]}"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_fetch_keeps_the_file_that_was_there(download, tmp_path):
    (tmp_path / "pets.zip").write_bytes(b"verified earlier")
    with pytest.raises(ReproError):
        download("/wrong")
    assert (tmp_path / "pets.zip").read_bytes() == b"verified earlier"


def package_file(**changes):
    file = copy.deepcopy(file_record(CATALOG, "digits", "digits.csv.gz"))
    file["package"] |= changes
    return file


def test_a_package_file_with_other_content_is_refused(tmp_path):
    with pytest.raises(
        ReproError, match=r"digits\.csv\.gz of the Python package sklearn decodes to 6ebb3d2fee24, digits"
    ):
        fetch("digits", package_file(decoded_sha256="0" * 64), tmp_path / "digits.csv.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [{"name": "no_such_package"}, {"path": "datasets/data/none.csv.gz"}])
def test_a_package_or_file_that_is_not_installed_is_named(tmp_path, change):
    file = package_file(**change)
    expected = rf"digits needs {file['package']['path']} of the Python package {file['package']['name']}"
    with pytest.raises(ReproError, match=expected):
        fetch("digits", file, tmp_path / "digits.csv.gz")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"0,1,2\n" * 50)[:-12], b""])
def test_a_damaged_package_file_is_refused(tmp_path, monkeypatch, content):
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "a.gz").write_bytes(content)
    monkeypatch.setattr("methods.data.fetch.importlib.resources.files", lambda name: tmp_path / "installed")
    with pytest.raises(ReproError, match=r"a\.gz of the Python package sklearn decodes to (nothing|e3b0c44298fc)"):
        fetch("digits", package_file(path="a.gz"), tmp_path / "out" / "digits.csv.gz")
    assert list((tmp_path / "out").iterdir()) == []


def test_packing_does_not_count_for_the_hash_of_a_package_file(tmp_path):
    for level in (1, 9):
        (tmp_path / f"{level}.gz").write_bytes(gzip.compress(CONTENT, level))
    assert (tmp_path / "1.gz").read_bytes() != (tmp_path / "9.gz").read_bytes()
    assert {decoded_sha256(tmp_path / f"{level}.gz", "gzip") for level in (1, 9)} == {sha256_bytes(CONTENT)}


def test_every_list_of_the_catalog_lies_in_the_splits_folder():
    lists = {part["list"] for record in CATALOG.values() for part in record["splits"].values() if "list" in part}
    assert lists == {str(path.relative_to(SPLITS)) for path in SPLITS.glob("*/*.txt")}
