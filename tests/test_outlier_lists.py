"""Claims about the lists of outliers and OOD pictures that show no VOC class, or no object of MiniPlaces."""

import csv
from collections import Counter

import numpy as np
import pytest

from methods.data import frozen
from methods.data.catalog import load_catalog, split_entries
from methods.data.frozen import Rule, draw, folder_of, left_out_classes
from methods.data.overlap import shared_classes
from methods.data.places import locate, wanted
from methods.data.prepare import read_source
from methods.data.sources import open_unpacked
from methods.data.subsets import SPLITS, read_lists
from methods.settings.steps import prepare_settings
from methods.settings.study import Study

CATALOG = load_catalog()
VOC = set(CATALOG["voc2012"]["classes"])
PLACES = set(CATALOG["miniplaces_objects"]["classes"])
COCO = set(CATALOG["coco2014"]["classes"])
SHOWN = {
    "voc_classes.csv": VOC,
    "miniplaces_classes.csv": PLACES | {"animal"},  # animals are tested on beside PLACES
    "coco_classes.csv": COCO,
}
ANIMALS = {"bird", "cat", "cow", "dog", "horse", "sheep"}
TABLES = {rule.leaves_out for rule in frozen.RULES.values() if rule.leaves_out}
WHY = {"kind", "relative", "part", "name", "seen", "scene"}
# Words that show a VOC class wherever they stand alone in the name of an ImageNet class
# fmt: off
WORDS = {
    "aeroplane", "airliner", "airplane", "bicycle", "bike", "bird", "boat", "bottle", "bus", "cab", "car", "cat",
    "cattle", "chair", "couch", "cow", "dog", "flowerpot", "groom", "horse", "hound", "laptop", "locomotive",
    "man", "monitor", "moped", "motorbike", "ox", "person", "plane", "plant", "ram", "screen", "sheep", "ship",
    "sofa", "spaniel", "television", "terrier", "train", "tv", "van",
}
# fmt: on
HARMLESS = {"window_screen"}  # against insects


def kept(split="without_voc"):
    """Wnid -> class name of the pictures that are left."""
    entries = split_entries(CATALOG, "imagenet_1000", split)
    return {entry.split("/")[0]: entry.split("/")[1].split("_", 1)[1].rsplit(".", 1)[0] for entry in entries}


def excluded(table="voc_classes.csv"):
    with open(SPLITS / "imagenet_1000" / table, newline="") as lines:
        return {row["class"]: row["name"] for row in csv.DictReader(lines)}


@pytest.mark.parametrize("table", sorted(TABLES))
def test_a_table_names_a_class_of_the_id_set_and_a_reason_for_everything_left_out(table):
    rows = left_out_classes(table)
    assert {holds for holds, _ in rows.values()} <= SHOWN[table.split("/")[1]]
    assert {why for _, why in rows.values()} <= WHY
    with open(SPLITS / table, newline="") as lines:
        assert len(list(csv.DictReader(lines))) == len(rows)


@pytest.mark.parametrize("name", [name for name, rule in frozen.RULES.items() if rule.leaves_out])
def test_the_catalog_says_what_a_list_lacks(name):
    dataset, split = name.split("/")
    lacks = set(CATALOG[dataset]["splits"][split]["lacks"])
    named = {holds for holds, _ in left_out_classes(frozen.RULES[name].leaves_out).values()}
    # What is drawn from a list that lacks most already
    assert lacks == (COCO if split == "without_coco" else named)
    assert named <= lacks


@pytest.mark.parametrize(
    ("split", "table", "count"),
    [("without_voc", "voc_classes.csv", 508), ("without_miniplaces", "miniplaces_classes.csv", 97)],
)
def test_every_imagenet_class_is_kept_or_left_out(split, table, count):
    assert len(kept(split)) == count
    assert kept(split).keys().isdisjoint(excluded(table))
    assert len(kept(split)) + len(excluded(table)) == 1000


def test_outliers_without_coco_are_those_without_miniplaces_but_for_what_coco_labels():
    before, left = kept("without_miniplaces"), kept("without_coco")
    assert {wnid: before[wnid] for wnid in before if wnid not in left} == excluded("coco_classes.csv")
    assert left.items() <= before.items()
    assert len(left) == 80
    words = {word for name in COCO for word in name.split()}
    assert not {name for name in left.values() if set(name.lower().replace("-", "_").split("_")) & words}
    assert shared_classes(CATALOG, "coco_mini", "imagenet_1000", "without_coco") == []
    # Animals, crockery and cars are gone by the first list, by the words of MiniPlaces and not by those of COCO
    assert {"animal", "cup", "car", "person"} <= set(CATALOG["imagenet_1000"]["splits"]["without_miniplaces"]["lacks"])
    assert {"zebra", "cup", "airplane"} <= set(shared_classes(CATALOG, "coco_mini", "imagenet_1000", "all"))


def test_no_kept_imagenet_class_is_named_after_a_voc_class():
    shown = {name for name in kept().values() if set(name.lower().replace("-", "_").split("_")) & WORDS}
    assert shown == HARMLESS


def test_no_kept_imagenet_class_is_named_after_an_object_of_miniplaces():
    words = {name.removesuffix("s") for name in PLACES if "_" not in name} | {"grass", "glass", "bus"}
    names = kept("without_miniplaces").values()
    shown = {name for name in names if set(name.lower().replace("-", "_").split("_")) & words}
    assert shown == {"can_opener"}  # opens one


def test_all_imagenet_classes_of_animals_are_left_out_beside_miniplaces():
    rows = left_out_classes("imagenet_1000/miniplaces_classes.csv")
    kinds = {wnid for wnid, row in rows.items() if row == ("animal", "kind")}
    first = {wnid for wnid in {*rows, *kept("without_miniplaces")} if wnid < "n02666196"}  # then follows the abacus
    assert len(first) == 398
    assert kinds == first | {"n09256479"}  # a coral reef


@pytest.mark.parametrize(
    ("wnid", "holds", "why"),
    [
        ("n04344873", "sofa", "kind"),
        ("n04522168", "vase", "kind"),
        ("n04467665", "truck", "kind"),
        ("n11939491", "flowers", "kind"),
        ("n09428293", "sand_beach", "kind"),
        ("n07875152", "sink", "seen"),
        ("n04562935", "sky", "seen"),
        ("n03530642", "animal", "seen"),
        ("n07615774", "person", "seen"),
        ("n03272562", "bus", "relative"),
    ],
)
def test_things_and_stuff_of_miniplaces_are_left_out(wnid, holds, why):
    assert left_out_classes("imagenet_1000/miniplaces_classes.csv")[wnid] == (holds, why)


def test_animals_alone_are_what_voc_labels_as_animals_and_nothing_else():
    rows = left_out_classes("voc2012_animals/miniplaces_classes.csv")
    assert rows.keys() == VOC - ANIMALS
    parts = ("animals_alone", "ood_validation")
    tested, tuned = (set(split_entries(CATALOG, "voc2012_animals", name)) for name in parts)
    assert tested.isdisjoint(tuned)


@pytest.mark.parametrize(
    ("wnid", "name", "holds"),
    [
        ("n02123045", "tabby", "cat"),
        ("n02129165", "lion", "cat"),
        ("n02113978", "Mexican_hairless", "dog"),
        ("n02119789", "kit_fox", "dog"),
        ("n01514668", "cock", "bird"),
        ("n02058221", "albatross", "bird"),
        ("n02389026", "sorrel", "horse"),
        ("n02391049", "zebra", "horse"),
        ("n02403003", "ox", "cow"),
        ("n02412080", "ram", "sheep"),
        ("n02690373", "airliner", "aeroplane"),
        ("n03792782", "mountain_bike", "bicycle"),
        ("n03791053", "motor_scooter", "motorbike"),
        ("n04487081", "trolleybus", "bus"),
        ("n03991062", "pot", "pottedplant"),
        ("n04344873", "studio_couch", "sofa"),
        ("n10148035", "groom", "person"),
        ("n04152593", "screen", "tvmonitor"),
    ],
)
def test_classes_that_are_of_voc_are_left_out(wnid, name, holds):
    assert excluded()[wnid] == name
    assert left_out_classes("imagenet_1000/voc_classes.csv")[wnid][0] == holds


def test_dogs_cats_and_birds_are_all_left_out():
    shown = Counter(holds for holds, why in left_out_classes("imagenet_1000/voc_classes.csv").values() if why == "kind")
    assert (shown["dog"], shown["cat"], shown["bird"]) == (118, 5, 59)


def test_candidates_and_tests_share_no_scene_and_no_texture():
    for dataset in ("miniplaces_objects", "dtd_128"):
        outliers = {folder_of(entry) for entry in split_entries(CATALOG, dataset, "outliers")}
        if dataset == "dtd_128":
            tested = set(CATALOG[dataset]["classes"]) - outliers
        else:
            tested = {folder_of(entry) for entry in split_entries(CATALOG, dataset, "test")}
        assert outliers.isdisjoint(tested)
        assert (len(outliers), len(tested)) == ((25, 36) if dataset == "miniplaces_objects" else (3, 7))


IDS = ["train/b/bar/1.jpg", "train/b/bar/2.jpg", "train/d/dam/1.jpg", "train/p/pier/1.jpg", "train/p/pier/2.jpg"]


def test_images_with_a_class_or_folder_that_is_left_out_are_not_drawn():
    labels = np.array([[1, 0], [0, 0], [0, 1], [0, 0], [1, 1]])
    rule, classes = Rule("train", 0), ("cup", "cat")
    assert draw(rule, IDS, labels, classes) == IDS
    assert draw(rule, IDS, labels, classes, {"cat"}) == [IDS[0], IDS[1], IDS[3]]
    assert draw(rule, IDS, labels, classes, {"cat", "b/bar"}) == [IDS[3]]
    assert draw(rule, IDS, np.array([0, 0, 1, 1, 0]), classes, {"cat"}) == [IDS[0], IDS[1], IDS[4]]


@pytest.mark.parametrize("seed", range(5))
def test_whole_folders_are_drawn_and_the_rest_is_what_is_left(seed):
    drawn = draw(Rule("train", 0, seed=seed, folders=1), IDS)
    rest = draw(Rule("train", 0, seed=seed, folders=1, rest=True), IDS)
    assert sorted(drawn + rest) == IDS
    assert len({folder_of(entry) for entry in drawn}) == 1
    assert {folder_of(entry) for entry in drawn}.isdisjoint(map(folder_of, rest))


def test_the_folder_of_a_picture_is_told_without_its_part():
    assert [folder_of(name) for name in ("train/b/bar/1.jpg", "banded/1.jpg", "val/1.jpg")] == [
        "b/bar",
        "banded",
        "val",
    ]


def real(real_data, dataset, split):
    want = wanted(CATALOG, dataset, split)
    place = locate(want, [real_data])
    if place is None:
        pytest.skip(f"{real_data} does not hold {dataset}")
    told = prepare_settings(Study({}, CATALOG), dataset, split, {})
    return read_source(told, open_unpacked(want, place), read_lists(told), split)


@pytest.mark.parametrize("split", ["outliers", "test", "ood_validation"])
def test_no_picture_of_miniplaces_without_voc_has_a_voc_label(real_data, split):
    source = real(real_data, "miniplaces_objects", split)
    left_out = left_out_classes("miniplaces_objects/voc_classes.csv")
    columns = [index for index, name in enumerate(source.classes) if name in left_out]
    assert len(columns) == sum("/" not in name for name in left_out)
    assert source.labels[:, columns].sum() == 0
    assert len(source) == CATALOG["miniplaces_objects"]["splits"][split]["count"]


@pytest.mark.parametrize(("split", "whole"), [("animals_alone", "val"), ("ood_validation", "train")])
def test_animals_alone_have_an_animal_and_no_other_label_and_all_such_pictures_are_there(real_data, split, whole):
    source, every = real(real_data, "voc2012_animals", split), real(real_data, "voc2012_animals", whole)
    others = [index for index, name in enumerate(source.classes) if name not in ANIMALS]
    assert source.labels[:, others].sum() == 0
    assert source.labels.any(axis=1).all()
    assert len(source) == (~every.labels[:, others].any(axis=1)).sum()


@pytest.mark.parametrize("table", ["voc_classes.csv", "miniplaces_classes.csv"])
def test_the_tables_of_imagenet_name_classes_of_the_real_set(real_data, table):
    source = real(real_data, "imagenet_1000", "all")
    names = {entry.split("/")[0]: entry.split("/")[1].split("_", 1)[1].rsplit(".", 1)[0] for entry in source.sample_ids}
    left = kept("without_voc" if table == "voc_classes.csv" else "without_miniplaces")
    assert names == left | excluded(table)
