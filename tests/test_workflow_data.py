"""Data through Snakemake: fetched from a faulty server, taken from folders, missing, offline."""

import copy
import io
import re
import zipfile

import numpy as np
import pytest
import yaml
from PIL import Image

from methods.csv_file import read_csv
from methods.data.images import Ragged, read_images
from methods.files import sha256_bytes
from tests import http_server
from tests.workflow import PAPER, ROOT, TABLE, copy_project, snakemake, write_inputs

pytestmark = pytest.mark.workflow

PETS = "data/images/pets/test@8px-short_side_crop.h5"


def picture(seed, kind, size=(12, 9)):
    pixels = np.random.RandomState(seed).randint(0, 256, (*size, 3)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind)
    return buffer.getvalue()


def zipped(**more):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for number in range(40):
            name = f"pets/{'cat' if number % 2 else 'dog'}/{number}.png"
            archive.writestr(zipfile.ZipInfo(name), picture(number, "PNG"))  # no time in it: same bytes each time
        for name, content in more.items():
            archive.writestr(zipfile.ZipInfo(f"pets/cat/{name}.png"), content)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def server():
    with http_server.running() as running:
        yield running


@pytest.fixture
def project(tmp_path_factory, server):
    """A copy of the project with three more sets: `pets` on the server, `my_scenes` of the docs, `lost` nowhere."""
    root, content = copy_project(tmp_path_factory.mktemp("copy") / "project"), zipped()
    server.asked.clear()
    server.routes = {
        "/gone.zip": http_server.answer(404),
        "/pets.zip": http_server.in_turn(http_server.whole(content, stop=1000), http_server.whole(content)),
        "/broken.zip": http_server.whole(zipped(broken=b"no picture", cut=picture(3, "PNG")[:60])),
    }
    catalog = root / "resources/datasets.yaml"
    document = yaml.safe_load(catalog.read_text())
    example = re.search(r"```yaml\n(  my_scenes:.*?)```", (ROOT / "docs/data.md").read_text(), re.DOTALL).group(1)
    document["datasets"] |= yaml.safe_load(example)
    document["datasets"]["pets"] = {
        "title": "Pets",
        "files": [
            {
                "name": "pets.zip",
                "urls": [server.url("/gone.zip"), server.url("/pets.zip")],
                "size": len(content),
                "sha256": sha256_bytes(content),
            }
        ],
        "reader": {"name": "pictures", "under": "pets", "classes": "folders"},
        "task": "single_label",
        "classes": ["cat", "dog"],
        "splits": {"test": {"count": 40}},
    }
    document["datasets"]["lost"] = {
        "title": "Lost",
        "bring": "ask the owner and list the folder that holds lost/ under data.sources",
        "folders": [{"path": "lost", "as": "lost"}],
        "reader": {"name": "pictures"},
        "task": "none",
        "splits": {"test": {}},
    }
    catalog.write_text(yaml.safe_dump(document, sort_keys=False))
    return root


@pytest.fixture
def scenes(tmp_path_factory):
    """A folder of the user's with pictures of two classes."""
    folder = tmp_path_factory.mktemp("mine")
    for number in range(30):
        path = folder / "my_scenes" / ("beach" if number % 3 else "forest") / f"{number}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(100 + number, "JPEG", (20, 31)))
    return folder


def paper(*ood):
    changed = copy.deepcopy(PAPER)
    changed["benchmarks"]["digits"]["ood"] = {name: {"groups": ["far"]} for name in ood}
    changed["benchmarks"]["digits"]["render"] = {"size": 8, "resize": "short_side_crop"}
    changed["tables"]["main"]["groups"] = ["far"]
    return changed


def test_a_table_over_a_fetched_a_brought_and_a_missing_set(project, scenes, server, tmp_path):
    write_inputs(tmp_path, paper("pets", "my_scenes", "lost"), data={"sources": [str(scenes)]})
    done = snakemake(tmp_path, TABLE, root=project)
    assert done.returncode == 0, done.stdout
    assert "the OOD set lost of digits is not available here: ask the owner and list the folder" in done.stdout
    assert [asked.path for asked in server.asked] == ["/gone.zip", "/pets.zip", "/pets.zip"]
    assert server.asked[-1].range == "bytes=1000-"
    (first, *_) = read_csv(tmp_path / TABLE)
    assert 0 <= float(first["set:pets:auroc:mean"]) <= 1
    assert 0 <= float(first["set:my_scenes:auroc:mean"]) <= 1
    assert first["set:lost:auroc:mean"] == "n/a"
    assert first["group:far:auroc:mean"] == "2 of 3"
    found = read_images(tmp_path / "data/images/my_scenes/test@8px-short_side_crop.h5")
    assert found.classes == ("beach", "forest")
    assert found.sample_ids[0] == "beach/1.jpg"

    (scenes / "my_scenes").rename(scenes / "moved")
    again = snakemake(tmp_path, TABLE, root=project)
    assert "Nothing to be done" in again.stdout


def test_a_changed_file_of_a_verified_folder_is_named(project, scenes, tmp_path):
    write_inputs(tmp_path, paper("my_scenes"), data={"sources": [str(scenes)]})
    store = "data/images/my_scenes/test@8px-short_side_crop.h5"
    assert snakemake(tmp_path, store, root=project).returncode == 0
    (scenes / "my_scenes/beach/1.jpg").write_bytes(picture(7, "JPEG"))
    refused = snakemake(tmp_path, "data/images/my_scenes/test@6px-square.h5", root=project)
    assert refused.returncode != 0
    assert "my_scenes/beach/1.jpg" in refused.stdout
    assert "was changed since it was verified" in refused.stdout
    assert not (tmp_path / "data/images/my_scenes/test@6px-square.h5").exists()


def test_what_is_missing_is_listed_before_the_start(project, tmp_path):
    write_inputs(tmp_path, paper("pets", "svhn"))
    listed = snakemake(tmp_path, "datasets", "-n", root=project).stdout
    assert re.search(r"to download: 2 source files are not here yet, 64.3 MB, into data; .* are free there:", listed)
    assert "svhn: test_32x32.mat (64.3 MB) from ufldl.stanford.edu" in listed
    assert "fetch test_32x32.mat (64.3 MB) of svhn and verify it" in listed


def test_offline_asks_nothing_and_says_what_is_missing(project, server, tmp_path):
    write_inputs(tmp_path, paper("pets"), offline=True)
    done = snakemake(tmp_path, TABLE, root=project)
    assert done.returncode != 0
    assert "offline: 1 source file is not here yet" in done.stdout
    assert "`offline` forbids to download it" in done.stdout
    assert server.asked == []
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/pets.zip").write_bytes(zipped())
    write_inputs(tmp_path, paper("pets"), offline=True, data={"sources": ["mine"]})
    done = snakemake(tmp_path, PETS, root=project)
    assert done.returncode == 0, done.stdout
    assert len(read_images(tmp_path / PETS)) == 40
    assert server.asked == []


def test_a_dead_link_says_how_to_go_on_and_that_works(project, server, tmp_path):
    server.routes["/pets.zip"] = http_server.answer(410)
    write_inputs(tmp_path, paper("pets", "uniform_noise"))
    done = snakemake(tmp_path, TABLE, root=project)
    assert done.returncode != 0
    assert "No source of pets gave pets.zip" in done.stdout
    line = next(line for line in done.stdout.splitlines() if "unavailable" in line)
    write_inputs(tmp_path, paper("pets", "uniform_noise"), **yaml.safe_load(line))
    done = snakemake(tmp_path, TABLE, root=project)
    assert done.returncode == 0, done.stdout
    assert read_csv(tmp_path / TABLE)[0]["set:pets:auroc:mean"] == "n/a"


def test_damaged_pictures_are_counted_and_can_be_excluded(project, server, tmp_path):
    catalog = project / "resources/datasets.yaml"
    document = yaml.safe_load(catalog.read_text())
    document["datasets"]["pets"]["files"] = [
        {"name": "pets.zip", "urls": [server.url("/broken.zip")], "hash": "unknown"}
    ]
    document["datasets"]["pets"]["splits"]["test"].pop("count")
    catalog.write_text(yaml.safe_dump(document, sort_keys=False))
    write_inputs(tmp_path, paper("pets"))
    refused = snakemake(tmp_path, PETS, root=project)
    assert "2 of 42 pictures cannot be decoded: pets/cat/broken.png" in refused.stdout
    assert not (tmp_path / PETS).exists()
    document["datasets"]["pets"]["splits"]["test"]["exclude"] = ["cat/broken.png", "cat/cut.png"]
    catalog.write_text(yaml.safe_dump(document, sort_keys=False))
    done = snakemake(tmp_path, PETS, root=project)
    assert done.returncode == 0, done.stdout
    assert len(read_images(tmp_path / PETS)) == 40
    assert "pets/pets.zip" in (tmp_path / "data/datasets.lock.json").read_text()


def test_an_id_set_that_cannot_be_had_leaves_the_other_benchmark_alone(tmp_path):
    changed = copy.deepcopy(PAPER)
    lost = copy.deepcopy(changed["benchmarks"]["digits"]) | {"in_distribution": {"dataset": "nuswide"}}
    changed["benchmarks"]["lost"] = lost | {"task": "multi_label", "render": {"size": 8, "resize": "square"}}
    changed["recipes"]["bce"] = changed["recipes"]["plain"] | {"objective": {"name": "bce"}, "label": "BCE"}
    changed["scores"]["joint"] = {"score": "joint_energy"}
    changed["evaluate"]["lost"] = {"bce": ["joint"]}
    changed["tables"]["lost"] = {"kind": "main", "benchmark": "lost", "caption": "Lost"}
    write_inputs(tmp_path, changed)
    listed = snakemake(tmp_path, "micro", "-n").stdout
    assert (
        "benchmark lost is left out, its ID set nuswide is not available here: ask for the images by the form" in listed
    )
    assert "table main of micro" in listed
    assert "table lost of micro" not in listed


def test_real_sets_in_a_folder_end_in_stores(real_data, tmp_path):
    changed = copy.deepcopy(PAPER)
    benchmark = changed["benchmarks"]["digits"]
    benchmark["in_distribution"] = {"dataset": "voc2012_animals", "train": "train_part", "test": "val"}
    benchmark |= {"task": "multi_label", "render": {"size": 64, "resize": "square"}}
    benchmark["ood"] = {"coco_mini": {}, "dtd_128": {}, "cifar10": {}}
    changed["recipes"]["plain"]["objective"] = {"name": "bce"}
    changed["scores"] = {"joint": {"score": "joint_energy"}}
    changed["evaluate"]["digits"]["plain"] = ["joint"]
    changed["tables"]["main"].pop("groups")
    write_inputs(tmp_path, changed, data={"sources": [str(real_data)]})
    ragged = "data/images/voc2012_animals/val@96px-short_side.h5"
    done = snakemake(tmp_path, "datasets", ragged)
    assert done.returncode == 0, done.stdout
    counts = {
        path.parent.name: len(read_images(path)) for path in sorted(tmp_path.glob("data/images/*/*@64px-square.h5"))
    }
    assert counts == {"cifar10": 10000, "coco_mini": 386, "dtd_128": 1200, "voc2012_animals": 1826}
    found = read_images(tmp_path / ragged)
    assert isinstance(found.images, Ragged)
    assert {min(shape) for shape in found.images.shapes.tolist()} <= set(range(1, 97))
    assert not list(tmp_path.glob("data/archives/*"))
