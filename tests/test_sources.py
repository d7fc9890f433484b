"""Claims about folders of the user's: what is found in them, what is verified, and what still must be fetched."""

import copy
import gzip
import hashlib
import io
import json
import shutil
import tarfile
from dataclasses import replace
from types import SimpleNamespace

import pytest

from methods.data import downloads
from methods.data.availability import archive_path, can_be_had, files_to_have, in_folder, manifest_path
from methods.data.catalog import load_catalog, load_weights
from methods.data.places import Wanted, locate, wanted
from methods.data.sources import manifest_sha256, open_source, record_source, verify_place, write_manifest
from methods.errors import ReproError
from methods.reporting.catalog_page import page

CATALOG = load_catalog()

PETS = {"pets/cat/1.png": b"one", "pets/cat/2.png": b"two", "pets/dog/1.png": b"three"}
NAME_LIST = b"1.png\n2.png\n"


def fill(folder, files):
    """Write files by their paths below a folder."""
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    return folder


def md5(content):
    return hashlib.md5(content).hexdigest()


def sha256(content):
    return hashlib.sha256(content).hexdigest()


def tar_gz(files):
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return gzip.compress(packed.getvalue(), mtime=0)


ARCHIVE = tar_gz(PETS)
SPLIT = Wanted(
    name="zoo/test",
    owner="zoo",
    files=[{"name": "pets.tar.gz", "size": len(ARCHIVE), "md5": md5(ARCHIVE)}],
    folders=[{"path": "pets", "as": "pets"}, {"path": "animals", "as": "pets"}],
    needs=["pets"],
    members={},
    files_sha256=None,
)
LISTED = replace(
    SPLIT,
    files=[*SPLIT.files, {"name": "list.txt", "sha256": sha256(NAME_LIST)}],
    folders=[*SPLIT.folders, {"path": "list.txt", "as": "list.txt"}],
    needs=["pets", "list.txt"],
)


def recorded(split, folder, data):
    """Verify the split in ``folder``, write its manifest into ``data``; returns the manifest's path."""
    place = locate(split, [folder])
    path = data / "sources" / f"{split.name}.json"
    write_manifest(path, split, place, verify_place(split, place, data / "lock.json"))
    return path


def read_to_the_end(split, folder, lock):
    """Verify the split and record it, as is done once its images could be read."""
    place = locate(split, [folder])
    found = verify_place(split, place, lock)
    write_manifest(lock.with_name("manifest.json"), split, place, found)
    record_source(lock.with_name("manifest.json"), lock)
    return found


def all_of(tree):
    return dict(tree.read(tree.names()))


# Where things lie


MNIST_TEST = ("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")


@pytest.mark.parametrize(
    ("split", "files", "pieces"),
    [
        ("cifar100/test", {"cifar-100-python/test", "cifar-100-python/meta"}, {"cifar-100-python": "cifar-100-python"}),
        (
            "cifar100/train",
            {"cifar100/cifar-100-python/train", "cifar100/cifar-100-python/meta"},
            {"cifar100/cifar-100-python": "cifar-100-python"},
        ),
        ("textures/test", {"dtd/images/a/1.jpg"}, {"dtd/images": "dtd/images"}),
        ("textures/test", {"dtd/dtd/images/a/1.jpg"}, {"dtd/dtd/images": "dtd/images"}),
        ("textures/test", {"images_classic/texture/a/1.jpg"}, {"images_classic/texture": "dtd/images"}),
        ("textures/test", {"textures/dtd/dtd/images/a/1.jpg"}, {"textures/dtd/dtd/images": "dtd/images"}),
        ("tin/val", {"images_classic/tin/val/images/1.JPEG"}, {"images_classic/tin": "tiny-imagenet-200"}),
        (
            "mnist/test",
            {f"MNIST/raw/{name}" for name in MNIST_TEST},
            {f"MNIST/raw/{name}": name for name in MNIST_TEST},
        ),
        ("sun_mos/test", {"images_largescale/sun/1.jpg"}, {"images_largescale/sun": "SUN"}),
        (
            "tin_resize/test",
            {"Imagenet_resize/Imagenet_resize/1.png"},
            {"Imagenet_resize/Imagenet_resize": "Imagenet_resize"},
        ),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_an_unpacked_copy_is_found_where_people_keep_it(tmp_path, split, files, pieces):
    fill(tmp_path, dict.fromkeys(files, b""))
    place = locate(wanted(CATALOG, *split.split("/")), [tmp_path])
    assert dict(place.pieces) == {tmp_path / path: name for path, name in pieces.items()}
    assert (place.folder, place.archives, place.lacking) == (tmp_path, (), ())


@pytest.mark.parametrize("path", ["pets.tar.gz", "zoo/pets.tar.gz", "archives/zoo/pets.tar.gz"])
def test_an_archive_is_found_by_its_name(tmp_path, path):
    fill(tmp_path, {path: ARCHIVE})
    place = locate(SPLIT, [tmp_path])
    assert (place.archives, place.pieces) == ((tmp_path / path,), ())


def test_archives_are_taken_only_all_together(tmp_path):
    fill(tmp_path, {"t10k-images-idx3-ubyte.gz": b""})
    want = wanted(CATALOG, "mnist", "test")
    assert locate(want, [tmp_path]) is None
    fill(tmp_path, {"mnist/t10k-labels-idx1-ubyte.gz": b""})
    assert [path.name for path in locate(want, [tmp_path]).archives] == [file["name"] for file in want.files]


def test_the_first_folder_that_holds_the_split_is_taken(tmp_path):
    for name in ("b", "c"):
        fill(tmp_path / name, PETS)
    fill(tmp_path / "d", {"pets.tar.gz": ARCHIVE})
    folders = [tmp_path / name for name in "abcd"]
    assert locate(SPLIT, folders).folder == tmp_path / "b"
    assert locate(SPLIT, folders[::-1]).folder == tmp_path / "d"


def test_an_archive_goes_before_the_unpacked_copy_beside_it(tmp_path):
    fill(tmp_path, {**PETS, "pets.tar.gz": ARCHIVE})
    assert locate(SPLIT, [tmp_path]).archives == (tmp_path / "pets.tar.gz",)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    fill(tmp_path / "data", PETS)
    assert locate(SPLIT, ["~/data"]).folder == tmp_path / "data"


def test_nothing_is_found_where_nothing_lies(tmp_path):
    assert locate(SPLIT, []) is None
    assert locate(SPLIT, [tmp_path, tmp_path / "none"]) is None
    (tmp_path / "pets").mkdir()
    (tmp_path / "pets.tar.gz").mkdir()
    assert locate(SPLIT, [tmp_path]) is None


@pytest.mark.parametrize("split", ["voc2012/train_xml", "tin/val"])
def test_an_empty_folder_inside_a_copy_is_no_copy(tmp_path, split):
    want = wanted(CATALOG, *split.split("/"))
    for need in want.needs:
        (tmp_path / need).mkdir(parents=True)
    assert locate(want, [tmp_path]) is None


def test_a_copy_that_lacks_a_needed_file_is_none(tmp_path):
    fill(tmp_path, {"cifar-10-batches-py/test_batch": b"", "cifar-10-batches-py/batches.meta": b""})
    assert locate(wanted(CATALOG, "cifar10", "test"), [tmp_path]).lacking == ()
    assert locate(wanted(CATALOG, "cifar10", "train"), [tmp_path]) is None
    (tmp_path / "cifar-10-batches-py/batches.meta").unlink()
    assert locate(wanted(CATALOG, "cifar10", "test"), [tmp_path]) is None


def test_a_source_file_that_a_copy_lacks_is_named_to_be_fetched(tmp_path):
    fill(tmp_path, {"VOCdevkit/VOC2012/JPEGImages/2007_1.jpg": b""})
    place = locate(wanted(CATALOG, "voc2012", "train"), [tmp_path])
    assert (place.pieces, place.lacking) == (
        ((tmp_path / "VOCdevkit/VOC2012", "VOCdevkit/VOC2012"),),
        ("voc12-train.mat",),
    )
    fill(tmp_path, {"voc2012/voc12-train.mat": b""})
    assert locate(wanted(CATALOG, "voc2012", "train"), [tmp_path]).lacking == ()
    fill(tmp_path / "alone", {"voc12-val.mat": b""})
    assert locate(wanted(CATALOG, "voc2012", "val"), [tmp_path / "alone"]) is None


def test_the_resized_tiny_imagenet_of_the_papers_is_taken_from_its_archive_only(tmp_path):
    fill(tmp_path, {f"{'Imagenet_resize/' * depth}test_{depth}.png": b"" for depth in (1, 2, 3)})
    want = wanted(CATALOG, "tin_r", "test")
    assert locate(want, [tmp_path, tmp_path / "Imagenet_resize"]) is None
    assert locate(wanted(CATALOG, "tin_resize", "test"), [tmp_path]) is not None
    fill(tmp_path, {"Imagenet_resize.tar.gz": b""})
    assert locate(want, [tmp_path]).archives == (tmp_path / "Imagenet_resize.tar.gz",)


def test_files_that_come_with_a_package_are_not_looked_for_in_folders(tmp_path):
    fill(tmp_path, {"china.jpg": b"mine", "flower.jpg": b"mine", "digits.csv.gz": b"mine"})
    for dataset in ("photo_patches", "digits"):
        assert locate(wanted(CATALOG, dataset, "test"), [tmp_path]) is None


def test_what_is_wanted_names_no_address():
    texts = [json.dumps(wanted(CATALOG, name, split).__dict__) for name in CATALOG for split in CATALOG[name]["splits"]]
    assert len(texts) > 80
    assert not any("http" in text for text in texts)


# Verifying


def test_a_folder_gives_names_sizes_and_hashes(tmp_path):
    fill(tmp_path / "a", {**PETS, "pets/.DS_Store": b"left out", "other/3.png": b""})
    found = verify_place(SPLIT, locate(SPLIT, [tmp_path / "a"]), tmp_path / "lock.json")
    assert found == {name: (len(content), sha256(content)) for name, content in PETS.items()}


def test_only_what_is_needed_is_verified(tmp_path):
    fill(tmp_path / "a", PETS)
    cats = replace(SPLIT, needs=["pets/cat"])
    assert set(verify_place(cats, locate(cats, [tmp_path / "a"]), tmp_path / "lock.json")) == set(list(PETS)[:2])


def test_a_member_with_a_wrong_md5_is_named(tmp_path):
    members = {name: md5(content) for name, content in PETS.items()}
    split = replace(SPLIT, members=members)
    folder = fill(tmp_path / "a", PETS)
    verify_place(split, locate(split, [folder]), tmp_path / "lock.json")
    fill(folder, {"pets/cat/2.png": b"TWO"})
    with pytest.raises(
        ReproError, match=rf"{folder} holds pets/cat/2\.png of zoo with MD5 {md5(b'TWO')}, .*{md5(b'two')}"
    ):
        verify_place(split, locate(split, [folder]), tmp_path / "lock.json")


def test_what_published_hashes_vouch_for_is_not_recorded(tmp_path):
    split = replace(SPLIT, members={name: md5(content) for name, content in PETS.items()})
    read_to_the_end(split, fill(tmp_path / "a", PETS), tmp_path / "lock.json")
    assert not (tmp_path / "lock.json").exists()
    some = replace(SPLIT, members={"pets/cat/1.png": md5(b"one")})
    read_to_the_end(some, tmp_path / "a", tmp_path / "lock.json")
    assert list(json.loads((tmp_path / "lock.json").read_text())["folders"]) == ["zoo/test"]


CHANGES = {
    "added": {"pets/cat/3.png": b"more"},
    "changed": {"pets/cat/2.png": b"TWO"},
    "removed": {"pets/cat/2.png": None},
    "renamed": {"pets/cat/2.png": None, "pets/cat/4.png": b"two"},
}


def change(folder, kind):
    for name, content in CHANGES[kind].items():
        if content is None:
            (folder / name).unlink()
        else:
            fill(folder, {name: content})


@pytest.mark.parametrize("kind", CHANGES)
def test_a_folder_unlike_the_catalogs_manifest_is_refused(tmp_path, kind):
    folder, lock = fill(tmp_path / "a", PETS), tmp_path / "lock.json"
    known = manifest_sha256(verify_place(SPLIT, locate(SPLIT, [folder]), tmp_path / "other.json"))
    split = replace(SPLIT, files_sha256=known)
    read_to_the_end(split, folder, lock)
    assert not lock.exists()
    change(folder, kind)
    with pytest.raises(ReproError, match=rf"holds zoo/test as \d files with manifest .* expects {known[:12]}"):
        verify_place(split, locate(split, [folder]), lock)


@pytest.mark.parametrize("kind", CHANGES)
def test_a_folder_is_recorded_once_and_then_held_to_it(tmp_path, kind):
    folder, lock = fill(tmp_path / "a", PETS), tmp_path / "lock.json"
    verify_place(SPLIT, locate(SPLIT, [folder]), lock)
    assert not lock.exists(), "a folder that was not read to its end is no truth yet"
    found = read_to_the_end(SPLIT, folder, lock)
    assert json.loads(lock.read_text()) == {
        "folders": {"zoo/test": {"files": 3, "files_sha256": manifest_sha256(found)}}
    }
    before = lock.read_bytes()
    assert verify_place(SPLIT, locate(SPLIT, [folder]), lock) == found
    change(folder, kind)
    with pytest.raises(ReproError, match=rf"holds zoo/test as \d files, the first use had 3 and .* from {lock}"):
        verify_place(SPLIT, locate(SPLIT, [folder]), lock)
    assert lock.read_bytes() == before


def test_an_archive_is_verified_by_its_published_hash(tmp_path):
    folder = fill(tmp_path / "a", {"pets.tar.gz": ARCHIVE})
    found = verify_place(SPLIT, locate(SPLIT, [folder]), tmp_path / "lock.json")
    assert found == {"pets.tar.gz": (len(ARCHIVE), sha256(ARCHIVE))}
    for wrong, message in ((ARCHIVE[:-1], f"has {len(ARCHIVE) - 1} bytes"), (ARCHIVE[:-1] + b"x", "has md5")):
        fill(folder, {"pets.tar.gz": wrong})
        with pytest.raises(ReproError, match=rf"a/pets\.tar\.gz {message}.*: replace it, or take its folder out"):
            verify_place(SPLIT, locate(SPLIT, [folder]), tmp_path / "new.json")
        assert not (tmp_path / "new.json").exists()


def test_an_archive_without_a_published_hash_is_recorded_and_then_held_to_it(tmp_path):
    split = replace(SPLIT, files=[{"name": "pets.tar.gz"}])
    folder, lock = fill(tmp_path / "a", {"pets.tar.gz": ARCHIVE}), tmp_path / "lock.json"
    verify_place(split, locate(split, [folder]), lock)
    assert json.loads(lock.read_text())["files"]["zoo/pets.tar.gz"]["sha256"] == sha256(ARCHIVE)
    fill(folder, {"pets.tar.gz": tar_gz({"pets/1.png": b""})})
    with pytest.raises(ReproError, match=r"has sha256 .*, the lock file recorded"):
        verify_place(split, locate(split, [folder]), lock)


def test_a_page_in_the_place_of_an_archive_is_refused(tmp_path):
    split = replace(SPLIT, files=[{"name": "pets.tar.gz"}])
    folder = fill(tmp_path / "a", {"pets.tar.gz": b"<!DOCTYPE html><title>Sign in</title>"})
    with pytest.raises(ReproError, match=r"a/pets\.tar\.gz "):
        verify_place(split, locate(split, [folder]), tmp_path / "lock.json")
    assert not (tmp_path / "lock.json").exists()


def test_a_source_file_in_a_folder_is_verified_by_its_published_hash(tmp_path):
    folder = fill(tmp_path / "a", {**PETS, "list.txt": b"2.png\n1.png\n"})
    with pytest.raises(ReproError, match=r"list\.txt"):
        verify_place(LISTED, locate(LISTED, [folder]), tmp_path / "lock.json")


# Manifests, and reading what was verified


def test_manifests_are_the_same_wherever_the_files_lie(tmp_path):
    first = recorded(SPLIT, fill(tmp_path / "a", PETS), tmp_path / "data1")
    moved = {name.replace("pets/", "zoo/animals/", 1): content for name, content in PETS.items()}
    second = recorded(SPLIT, fill(tmp_path / "b", moved), tmp_path / "data2")
    assert first.read_bytes() == second.read_bytes()
    assert str(tmp_path) not in first.read_text()


@pytest.mark.parametrize("path", ["pets.tar.gz", "zoo/pets.tar.gz"])
def test_manifests_of_archives_are_the_same_wherever_they_lie(tmp_path, path):
    first = recorded(SPLIT, fill(tmp_path / "a", {"pets.tar.gz": ARCHIVE}), tmp_path / "data1")
    second = recorded(SPLIT, fill(tmp_path / "b", {path: ARCHIVE}), tmp_path / "data2")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize("files", [PETS, {"pets.tar.gz": ARCHIVE}], ids=["folder", "archive"])
def test_a_verified_split_is_read_in_place_wherever_it_lies_now(tmp_path, files):
    manifest = recorded(SPLIT, fill(tmp_path / "a", files), tmp_path / "data")
    (tmp_path / "a").rename(tmp_path / "b")
    assert all_of(open_source(manifest, [tmp_path / "a", tmp_path / "b"])) == PETS


def test_a_file_added_to_a_verified_folder_is_refused_before_it_is_read(tmp_path):
    folder = fill(tmp_path / "a", PETS)
    manifest = recorded(SPLIT, folder, tmp_path / "data")
    change(folder, "added")
    with pytest.raises(ReproError, match=rf"1 files more and 0 fewer .* as pets/cat/3\.png: .* delete {manifest}"):
        open_source(manifest, [folder])


def test_a_file_changed_or_removed_since_is_found_when_it_is_read(tmp_path):
    folder = fill(tmp_path / "a", PETS)
    manifest = recorded(SPLIT, folder, tmp_path / "data")
    change(folder, "changed")
    tree = open_source(manifest, [folder])
    assert dict(tree.read(["pets/dog/1.png"])) == {"pets/dog/1.png": b"three"}
    with pytest.raises(ReproError, match=r"pets/cat/2\.png .* was changed since it was verified \(it has sha256"):
        all_of(tree)
    change(folder, "removed")
    with pytest.raises(ReproError, match=rf"0 files more and 1 fewer .* as pets/cat/2\.png: .* delete {manifest}"):
        open_source(manifest, [folder])


def test_an_archive_changed_since_is_refused_before_it_is_read(tmp_path):
    folder = fill(tmp_path / "a", {"pets.tar.gz": ARCHIVE})
    manifest = recorded(SPLIT, folder, tmp_path / "data")
    fill(folder, {"pets.tar.gz": tar_gz({"pets/1.png": b""})})
    with pytest.raises(ReproError, match=rf"pets\.tar\.gz was changed since it was verified: delete {manifest}"):
        open_source(manifest, [folder])


@pytest.mark.parametrize(("before", "after"), [(PETS, {"pets.tar.gz": ARCHIVE}), ({"pets.tar.gz": ARCHIVE}, PETS)])
def test_a_split_that_lies_here_no_longer_as_it_was_verified_is_refused(tmp_path, before, after):
    manifest = recorded(SPLIT, fill(tmp_path / "a", before), tmp_path / "data")
    message = rf"zoo/test was verified in a folder of data\.sources that no longer holds it: .* delete {manifest}"
    with pytest.raises(ReproError, match=message):
        open_source(manifest, [tmp_path / "none"])
    with pytest.raises(ReproError, match=message):
        open_source(manifest, [fill(tmp_path / "b", after)])


def test_a_file_that_was_fetched_beside_a_folder_is_read_with_it(tmp_path):
    folder, fetched = fill(tmp_path / "a", PETS), fill(tmp_path / "fetched", {"list.txt": NAME_LIST})
    manifest = recorded(LISTED, folder, tmp_path / "data")
    assert all_of(open_source(manifest, [folder], [fetched / "list.txt"])) == {**PETS, "list.txt": NAME_LIST}


# Fetched, found, or not here at all


def zoo_catalog():
    """The catalog with one more set, of an archive and a list with addresses."""
    catalog = copy.deepcopy(CATALOG)
    record = {key: copy.deepcopy(CATALOG["textures"][key]) for key in ("title", "reader", "task", "classes")}
    files = [{**file, "urls": [f"https://zoo.test/{file['name']}"]} for file in LISTED.files]
    splits = {"test": {"files": ["pets.tar.gz"], "needs": ["pets"]}, "listed": {"needs": ["pets", "list.txt"]}}
    catalog["zoo"] = {**record, "files": files, "folders": LISTED.folders, "members": {}, "splits": splits}
    return catalog


ZOO_CATALOG = zoo_catalog()


def here(tmp_path, split="test"):
    """Whether the split is read from a folder, and what must be fetched for it."""
    told = (ZOO_CATALOG, "zoo", split, [str(tmp_path / "a")], tmp_path / "data")
    return in_folder(*told), files_to_have(*told)


def test_a_split_is_fetched_unless_a_folder_holds_it(tmp_path):
    assert here(tmp_path) == (False, {"pets.tar.gz": "zoo"})
    fill(tmp_path / "a", PETS)
    assert here(tmp_path) == (True, {})
    assert here(tmp_path, "listed") == (True, {"list.txt": "zoo"})


def test_a_split_verified_in_a_folder_stays_with_it(tmp_path):
    fill(manifest_path(tmp_path / "data", "zoo", "test").parent, {"test.json": b"{}"})
    assert here(tmp_path) == (True, {})
    fill(archive_path(tmp_path / "data", "zoo", "pets.tar.gz").parent, {"pets.tar.gz": ARCHIVE})
    assert here(tmp_path) == (True, {})


def test_a_split_whose_files_were_fetched_stays_with_them(tmp_path):
    fill(archive_path(tmp_path / "data", "zoo", "pets.tar.gz").parent, {"pets.tar.gz": ARCHIVE})
    fill(tmp_path / "a", PETS)
    assert here(tmp_path) == (False, {"pets.tar.gz": "zoo"})
    assert here(tmp_path, "listed") == (True, {"list.txt": "zoo"})


def test_a_file_fetched_beside_a_folder_that_is_gone_stays(tmp_path):
    fill(manifest_path(tmp_path / "data", "zoo", "listed").parent, {"listed.json": b"{}"})
    assert here(tmp_path, "listed") == (True, {})
    fill(archive_path(tmp_path / "data", "zoo", "list.txt").parent, {"list.txt": NAME_LIST})
    assert here(tmp_path, "listed") == (True, {"list.txt": "zoo"})


def test_a_file_fetched_beside_a_folder_stays_when_the_folder_gets_it_too(tmp_path):
    folder, data = fill(tmp_path / "a", PETS), tmp_path / "data"
    want = wanted(ZOO_CATALOG, "zoo", "listed")
    place, path = locate(want, [folder]), manifest_path(data, "zoo", "listed")
    write_manifest(path, want, place, verify_place(want, place, data / "lock.json"))
    fill(archive_path(data, "zoo", "list.txt").parent, {"list.txt": NAME_LIST})
    fill(folder, {"list.txt": NAME_LIST})
    fetched = [archive_path(data, owner, name) for name, owner in here(tmp_path, "listed")[1].items()]
    assert all_of(open_source(path, [folder], fetched)) == {**PETS, "list.txt": NAME_LIST}


def test_a_set_that_has_no_address_can_be_had_only_from_a_folder(tmp_path):
    told = ("voc2012_animals", "val", [str(tmp_path)], tmp_path / "data")
    assert not can_be_had(CATALOG, *told)
    fill(tmp_path, {f"voc2012_animals/{name}": b"" for name in ("val.txt", "images/1.jpg")})
    assert can_be_had(CATALOG, *told)
    shutil.rmtree(tmp_path / "voc2012_animals")
    fill(manifest_path(tmp_path / "data", "voc2012_animals", "val").parent, {"val.json": b"{}"})
    assert can_be_had(CATALOG, *told)


@pytest.mark.parametrize(
    ("dataset", "split"), [("cifar10", "train"), ("digit_mosaics", "test"), ("uniform_noise", "test")]
)
def test_a_set_with_addresses_or_made_here_can_always_be_had(tmp_path, dataset, split):
    assert can_be_had(CATALOG, dataset, split, [], tmp_path)
    assert not in_folder(CATALOG, dataset, split, [], tmp_path)


# What is said before a download


def file(name="a.zip", host="one.test", **more):
    return {"name": name, "urls": [f"https://{host}/{name}", "https://mirror.test/b"], **more}


def announced(monkeypatch, files, free=10**12, folder="nowhere/data", offline=False):
    monkeypatch.setattr("shutil.disk_usage", lambda path: SimpleNamespace(free=free))
    return downloads.announce([("pets", part) for part in files], folder, offline)


def test_nothing_is_said_when_nothing_is_missing(monkeypatch):
    assert announced(monkeypatch, []) == announced(monkeypatch, [], offline=True) == []


def test_what_is_missing_is_said_with_size_and_source(monkeypatch):
    files = [file(size=169_001_437), file("b.tar", about=2_500_000, host="two.test"), file("c", host="three.test")]
    assert announced(monkeypatch, files) == [
        "to download: 3 source files are not here yet, 172 MB and 1 of unknown size, into nowhere/data; "
        "1 TB are free there:",
        "  pets: a.zip (169 MB) from one.test",
        "  pets: b.tar (about 2.5 MB) from two.test",
        "  pets: c (size unknown) from three.test",
    ]


def test_one_missing_file_is_said_of_one_file(monkeypatch):
    assert announced(monkeypatch, [file(size=1000)])[0].startswith(
        "to download: 1 source file is not here yet, 1 kB, into"
    )


def test_offline_nothing_is_downloaded_and_what_is_missing_is_said(monkeypatch):
    assert announced(monkeypatch, [file(size=1000)], free=1, offline=True) == [
        "offline: 1 source file is not here yet, 1 kB; unset offline, or put them into a folder of data.sources:",
        "  pets: a.zip (1 kB) from one.test",
    ]


def test_a_disk_that_cannot_hold_it_is_named_with_what_is_missing(monkeypatch):
    files = [file(size=3_000_000_000), file("b", about=2_000_000_000)]
    assert announced(monkeypatch, files, free=1_000_000_000)[-1] == (
        "  not enough: free 4 GB more in nowhere/data, or set data.folder elsewhere"
    )
    assert not any("not enough" in line for line in announced(monkeypatch, files, free=5_000_000_000))


def test_room_is_looked_for_where_the_data_folder_will_be(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("shutil.disk_usage", lambda path: asked.append(path) or SimpleNamespace(free=1))
    downloads.announce([("pets", file())], tmp_path / "new" / "data", offline=False)
    assert asked == [tmp_path]


def test_a_file_of_a_package_is_named_without_size():
    assert downloads.describe(CATALOG["digits"]["files"][0]) == "digits.csv.gz"
    assert downloads.describe(CATALOG["cifar100"]["files"][0]) == "cifar-100-python.tar.gz (169 MB)"


def test_the_page_of_data_sets_has_every_set_and_all_weights():
    weights = load_weights()
    made = page(CATALOG, weights)
    assert all(f"## {name}\n" in made for name in CATALOG)
    assert all(f"* `{name}`: {record['title']}." in made for name, record in weights.items())
