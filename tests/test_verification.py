"""Claims about the far end of the chain and the small parts of verifying and comparing, without a workflow."""

import hashlib
from types import SimpleNamespace

import pandas as pd
import pytest

from methods.data.lock import record_once
from methods.data.places import locate, wanted
from methods.data.sources import verify_place, write_manifest
from workflow_scripts.verification import origins
from workflow_scripts.verification.compare import compare_csv, distance
from workflow_scripts.verification.hashes import hash_files
from workflow_scripts.verification.judge import differences
from workflow_scripts.verification.layout import KINDS, place_of

PETS = {"pets/cat/1.png": b"one", "pets/dog/1.png": b"two"}
MANIFEST = place_of("data/sources/zoo/test.json")


def zoo(tmp_path, files=()):
    """A study whose one set lies unpacked in a folder of the user's, or as the archives ``files``."""
    record = {
        "files": [{"urls": ["https://localhost/x"], **file} for file in files],
        "folders": [{"path": "pets", "as": "pets"}],
        "members": {},
        "splits": {"test": {"needs": ["pets"]}},
    }
    config = {"data": {"sources": [str(tmp_path / "mine")], "folder": str(tmp_path / "data")}}
    return SimpleNamespace(config=config, catalog={"zoo": record}, weights={})


def verified_source(study, tmp_path):
    """The manifest of what lies in the folder."""
    want, path = wanted(study.catalog, "zoo", "test"), tmp_path / "data/sources/zoo/test.json"
    place = locate(want, study.config["data"]["sources"])
    write_manifest(path, want, place, verify_place(want, place, tmp_path / "data/datasets.lock.json"))
    return path


@pytest.fixture
def unpacked(tmp_path):
    for name, content in PETS.items():
        (tmp_path / "mine" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "mine" / name).write_bytes(content)
    study = zoo(tmp_path)
    return study, verified_source(study, tmp_path)


def test_an_unpacked_folder_is_read_to_its_last_byte(unpacked, tmp_path):
    study, manifest = unpacked
    assert origins.source_flaw(study, MANIFEST, manifest) is None
    (tmp_path / "mine/pets/dog/1.png").write_bytes(b"twp")
    kind, says = origins.source_flaw(study, MANIFEST, manifest)
    assert kind == "changed"
    assert "pets/dog/1.png" in says


def test_a_folder_with_a_file_too_many_does_not_fit_its_manifest(unpacked, tmp_path):
    study, manifest = unpacked
    (tmp_path / "mine/pets/dog/2.png").write_bytes(b"new")
    assert origins.source_flaw(study, MANIFEST, manifest)[0] == "changed"


def test_a_folder_that_is_gone_and_a_damaged_manifest_are_told_apart(unpacked, tmp_path):
    study, manifest = unpacked
    (tmp_path / "mine/pets").rename(tmp_path / "away")
    assert origins.source_flaw(study, MANIFEST, manifest)[0] == "missing"
    manifest.write_text("{")
    assert origins.source_flaw(study, MANIFEST, manifest)[0] == "unreadable"


def test_an_archive_in_a_folder_is_hashed_again(tmp_path):
    content = b"packed"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pets.bin").write_bytes(content)
    study = zoo(tmp_path, [{"name": "pets.bin", "md5": hashlib.md5(content).hexdigest()}])
    manifest = verified_source(study, tmp_path)
    assert origins.source_flaw(study, MANIFEST, manifest) is None
    (tmp_path / "mine/pets.bin").write_bytes(b"pucked")
    kind, says = origins.source_flaw(study, MANIFEST, manifest)
    assert kind == "changed"
    assert "was changed since it was verified" in says


def test_an_archive_is_held_against_catalog_and_lock_file(tmp_path):
    content, lock = b"bytes", tmp_path / "datasets.lock.json"
    path, place = tmp_path / "a.bin", place_of("data/archives/zoo/a.bin")
    path.write_bytes(content)
    sha256 = hashlib.sha256(content).hexdigest()
    study = zoo(tmp_path, [{"name": "a.bin", "hash": "unknown"}])
    assert origins.archive_flaw(study, place, path, sha256, lock) is None
    assert origins.published(study, place, lock) == {}
    record_once(lock, "files", "zoo/a.bin", {"sha256": "0" * 64, "size": 5, "url": "x"})
    assert "the lock file recorded 000000000000" in origins.archive_flaw(study, place, path, sha256, lock)
    assert origins.published(study, place, lock) == {lock.name: "0" * 64}
    lock.unlink()
    for key, value in {"sha256": "1" * 64, "md5": "2" * 32, "size": 4, "sha256_prefix": "3" * 8}.items():
        assert "expects" in origins.archive_flaw(
            zoo(tmp_path, [{"name": "a.bin", key: value}]), place, path, sha256, lock
        )


def test_the_decoded_content_of_a_packaged_file_counts(tmp_path):
    path, place = tmp_path / "a.csv", place_of("data/archives/zoo/a.csv")
    path.write_bytes(b"1,2\n")
    package = {"decoded": "bytes", "decoded_sha256": hashlib.sha256(b"1,2\n").hexdigest()}
    study = zoo(tmp_path, [{"name": "a.csv", "package": package}])
    assert origins.archive_flaw(study, place, path, "", tmp_path / "lock") is None
    path.write_bytes(b"1,3\n")
    assert "decodes to sha256" in origins.archive_flaw(study, place, path, "", tmp_path / "lock")


def test_every_kind_has_a_place_of_its_own():
    names = {"paper": "p", "name": "n", "benchmark": "b", "method": "m", "protocol": "corrected", "seed": "3"}
    names |= {"evaluation": "corrected", "dataset": "d", "split": "s", "render": "8px-native", "file": "x@1.tar.gz"}
    for kind, (pattern, _) in KINDS.items():
        assert place_of(pattern.format(**names)).kind == kind
    assert place_of("results/notes.txt") is None
    assert place_of("results/papers/p/tables/n.csv.provenance.json") is None


def test_many_files_are_hashed_like_one(tmp_path):
    contents = {str(size): bytes(size) for size in (0, 1, 1 << 20, (1 << 20) + 1)}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    told = []
    found = hash_files({name: tmp_path / name for name in contents}, told.append)
    assert found == {name: hashlib.sha256(content).hexdigest() for name, content in contents.items()}
    assert list(found) == list(contents)
    assert sum(told) == sum(map(len, contents.values()))


def test_differences_name_the_place_and_both_values():
    have = {"settings": {"a": {"b": 1}, "c": [1, 2]}, "seed": 0}
    want = {"settings": {"a": {"b": 2}, "c": [1, 2], "d": 0.5}, "seed": 0}
    assert differences(have, want) == ["a.b is 1, expected 2", "d is nothing, expected 0.5"]
    assert differences(want, want) == []


@pytest.mark.parametrize(
    ("one", "two", "size"),
    [("0.5", "0.5", 0), ("0.5", "0.25", 0.25), ("", "0.5", float("inf")), ("1 of 2", "2 of 2", float("inf"))],
)
def test_the_distance_of_two_cells(one, two, size):
    assert distance(one, two) == size


def test_nan_equals_itself_and_nothing_else():
    assert distance("nan", "nan") == 0
    assert distance("nan", "0.5") == float("inf")


def frame(**columns):
    return pd.DataFrame({name.replace("__", ":"): values for name, values in columns.items()}, dtype=str)


def test_rows_are_found_by_their_labels_whatever_their_order():
    one = frame(method=["A", "B"], x__mean=["0.1", "0.2"])
    two = frame(x__mean=["0.2", "0.1"], method=["B", "A"])
    assert compare_csv(one, two, "table", 0.0).lines == []
    assert compare_csv(one, two, "table", 0.0).cells == 2


def test_rows_of_equal_labels_are_compared_in_their_order():
    one = frame(method=["A", "A"], x__mean=["0.1", "0.2"])
    two = frame(method=["A", "A"], x__mean=["0.1", "0.3"])
    assert compare_csv(one, two, "table", 0.05).lines == ["A / no. 2, x:mean: 0.2 against 0.3, difference 0.1"]
