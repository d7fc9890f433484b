"""Claims about data: frozen lists, the catalog, which images make a split, and prepared splits."""

import copy
import tempfile
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits

from methods.data import embedded, frozen, subsets
from methods.data.catalog import SPLITS, file_record, load_catalog, load_weights, source_files, split_entries
from methods.data.fetch import fetch
from methods.data.images import ImageSet, read_images
from methods.data.overlap import share_images, shared_classes
from methods.data.pictures import Pictures
from methods.data.prepare import prepare
from methods.data.selection import ids_sha256, select
from methods.data.sources import open_files
from methods.data.subsets import Lists, read_list, read_lists, write_list
from methods.errors import ReproError
from methods.files import atomic, write_text
from methods.settings.steps import prepare_settings
from methods.settings.study import Study

CATALOG = load_catalog()
TARGET = load_digits().target
LISTS = embedded.all_lists(TARGET)
DIGITS = {name: set(map(int, LISTS[f"digits/{name}"])) for name in ("train", "validation", "test")}


def comes_with_a_package(dataset):
    files = CATALOG[CATALOG[dataset].get("files_of", dataset)]["files"]
    return dataset == "uniform_noise" or (bool(files) and all("package" in file for file in files))


EMBEDDED = [(name, split) for name in CATALOG if comes_with_a_package(name) for split in CATALOG[name]["splits"]]


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """A function of data set and split, with changes to the step's settings, that gives the images of the store."""
    folder = tmp_path_factory.mktemp("data")

    def make(dataset, split, **changes):
        files = {name: folder / owner / name for name, owner in source_files(CATALOG, dataset, split).items()}
        for name, owner in source_files(CATALOG, dataset, split).items():
            if not files[name].is_file():
                fetch(owner, file_record(CATALOG, owner, name), files[name])
        render = {"size": CATALOG[dataset]["image_size"][0], "resize": "native"}
        chosen = {**prepare_settings(Study({}, CATALOG), dataset, split, render), **changes}
        path, record = folder / "images" / f"{dataset}-{split}.h5", {"kind": "images", "settings": chosen}
        count = prepare(path, chosen, open_files(list(files.values())), read_lists(chosen), record)
        data = read_images(path, dataset, split)
        assert count == len(data)
        path.unlink()
        return data

    make.folder = folder / "images"
    return make


def source(count, labels=None, kind=ImageSet, ids=None):
    """Images or pictures, each of its own colour, named a00000, a00001, ..."""
    ids = tuple(ids or (f"a{number:05d}" for number in range(count)))
    labels = np.full(count, -1) if labels is None else np.asarray(labels)
    classes = tuple(f"class{number}" for number in range(labels.max(initial=-1) + 1))
    if kind is Pictures:
        return Pictures(tuple(f"{name}.jpg" for name in ids), labels, ids, classes)
    colours = np.arange(count, dtype=np.uint32).view(np.uint8).reshape(count, 1, 1, 4)[..., :3]
    return ImageSet(colours, labels, ids, classes)


def chosen(data, rule=None, entries=(), excluded=(), **changes):
    """Positions of the images that make the split; each kept its own pixels or file, label and name."""
    told = {**({"select": rule} if rule else {}), **changes}
    found = select(data, told, entries, excluded, "pets/test")
    index = [data.sample_ids.index(name) for name in found.sample_ids]
    expected = data.take(index)
    assert found.labels.tolist() == expected.labels.tolist()
    assert getattr(found, "members", None) == getattr(expected, "members", None)
    assert not isinstance(data, ImageSet) or np.array_equal(found.images, expected.images)
    return index


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
    assert len(data) == record["splits"][split]["count"]
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
    plain, scrambled = prepared("digits", "test").pixels, prepared("digits_scrambled", "test").pixels
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
    with pytest.raises(
        ReproError, match=r"^digits/test was read from .* with count 376, the catalog has 375: the files are incomplete"
    ):
        prepared("digits", "test", count=375)
    with pytest.raises(
        ReproError, match=r"^digits/test was read from .* with classes \['0', .*\], the catalog has \['0'\]:"
    ):
        prepared("digits", "test", classes=["0"])
    assert list(prepared.folder.iterdir()) == []


def test_long_classes_are_cut_in_the_message(prepared):
    with pytest.raises(ReproError, match=r"the catalog has \['class0', .* \.\.\. \(200 of them\): the files"):
        prepared("digits", "test", classes=[f"class{number}" for number in range(200)])


def test_a_digit_without_a_class_is_refused(prepared):
    with pytest.raises(ReproError, match=r"show the digits \[8\], which the reader's classes"):
        prepared(
            "digits",
            "test",
            reader={"name": "digits", "digits": [0, 2, 3, 4, 5, 6], "multi_label": False, "scramble": False},
        )


def test_names_unlike_the_catalog_are_refused(prepared):
    names = prepared("digits", "test").sample_ids
    prepared("digits", "test", ids_sha256=ids_sha256(names))
    said = rf"^digits/test has 376 images whose names hash to {ids_sha256(names)[:12]}, the catalog expects 0{{12}}:"
    with pytest.raises(ReproError, match=said):
        prepared("digits", "test", ids_sha256="0" * 64)
    assert list(prepared.folder.iterdir()) == []


def test_content_unlike_the_catalog_is_refused(prepared):
    with pytest.raises(ReproError, match=r"digits/test was read as content e21b627915ba, the catalog expects 000000"):
        prepared("digits", "test", content_sha256="0" * 64)


def test_render_of_another_size_is_refused_when_it_may_not_resize(prepared):
    with pytest.raises(ReproError, match=r"digits/test has an image of 8x8 pixels, .* asks for 32x32 without resizing"):
        prepared("digits", "test", render={"size": 32, "resize": "native"})


def test_split_is_verified_at_native_size_and_then_resized(prepared):
    data = prepared("digits", "test", render={"size": 12, "resize": "square"})
    assert data.pixels.shape == (376, 12, 12, 3)
    assert data.content_sha256() != CATALOG["digits"]["splits"]["test"]["content_sha256"]


KINDS = pytest.mark.parametrize("kind", [ImageSet, Pictures])


@KINDS
def test_a_frozen_list_decides_which_images_and_their_order(kind):
    data = source(6, [0, 1, 2, 0, 1, 2], kind)
    assert chosen(data, entries=["a00004", "a00000", "a00005"]) == [4, 0, 5]


@KINDS
def test_without_a_list_or_rule_all_images_are_kept_in_their_order(kind):
    assert chosen(source(4, kind=kind)) == [0, 1, 2, 3]


@KINDS
def test_excluded_images_are_left_out(kind):
    assert chosen(source(5, kind=kind), excluded=["a00003", "a00000", "a00003"]) == [1, 2, 4]


@pytest.mark.parametrize("what", ["entries", "excluded"])
def test_a_list_that_names_images_which_are_not_there_is_refused(what):
    who = {"entries": "its frozen list", "excluded": "the list of images to leave out"}[what]
    said = rf"^pets/test: {who} names 4 images that the set does not hold, such as p, q, r: the list or the set is"
    with pytest.raises(ReproError, match=said):
        chosen(source(3), **{what: ["a00001", "p", "q", "r", "s"]})


def test_a_list_and_an_exclusion_hold_together():
    assert chosen(source(4), entries=["a00003", "a00001"], excluded=["a00000"]) == [3, 1]


def test_a_rule_works_on_what_an_exclusion_leaves():
    rule = {"rule": "first_per_class", "per_class": 1}
    assert chosen(source(4, [0, 0, 1, 1]), rule, excluded=["a00000"]) == [1, 2]


def test_the_names_of_a_split_are_verified_with_their_order():
    data = source(3)
    names = ids_sha256(["a00002", "a00000"])
    assert chosen(data, entries=["a00002", "a00000"], ids_sha256=names) == [2, 0]
    with pytest.raises(ReproError, match=rf"has 2 images whose names hash to [0-9a-f]{{12}}, .* expects {names[:12]}:"):
        chosen(data, entries=["a00000", "a00002"], ids_sha256=names)


def test_names_are_hashed_one_a_line():
    assert ids_sha256(["ab", "c"]) != ids_sha256(["a", "bc"]) != ids_sha256(["abc"])
    assert ids_sha256(["é", "b"]) == subsets.sha256_bytes("é\nb\n".encode())


@KINDS
def test_the_first_images_of_every_class_come_in_file_order(kind):
    data = source(8, [2, 0, 0, 1, 2, 0, 1, 2], kind)
    assert chosen(data, {"rule": "first_per_class", "per_class": 2}) == [0, 1, 2, 3, 4, 6]


@given(st.integers(1, 4), st.integers(1, 4), st.randoms(use_true_random=False))
def test_first_per_class_takes_equally_many_and_none_before_a_taken_one(classes, wanted, chance):
    labels = [label for label in range(classes) for _ in range(wanted + chance.randint(0, 3))]
    chance.shuffle(labels)
    index = chosen(source(len(labels), labels), {"rule": "first_per_class", "per_class": wanted})
    assert index == sorted(index)
    assert Counter(labels[n] for n in index) == dict.fromkeys(range(classes), wanted)
    assert all(labels[:n].count(labels[n]) < wanted for n in index)


def test_a_class_with_too_few_images_is_refused():
    said = r"^pets/test: the rule first_per_class asks for 2 images a class, one has 1\.$"
    with pytest.raises(ReproError, match=said):
        chosen(source(5, [0, 0, 1, 0, 0]), {"rule": "first_per_class", "per_class": 2})


def test_first_per_class_needs_one_class_an_image():
    data = replace(source(2), labels=np.eye(2, dtype=np.uint8), classes=("a", "b"))
    with pytest.raises(ReproError, match=r"^pets/test: the rule first_per_class needs one class an image\.$"):
        chosen(data, {"rule": "first_per_class", "per_class": 1})


@given(st.integers(1, 60), st.data(), st.integers(0, 2**32 - 1), st.sampled_from([ImageSet, Pictures]))
def test_a_draw_and_its_rest_are_all_images_without_a_common_one(count, data, seed, kind):
    drawn = {"rule": "drawn", "count": data.draw(st.integers(1, count)), "seed": seed}
    images = source(count, kind=kind)
    draw, rest = chosen(images, drawn), chosen(images, {**drawn, "rest": True})
    assert len(draw) == drawn["count"]
    assert (draw, rest) == (sorted(draw), sorted(rest))
    assert sorted(draw + rest) == list(range(count))
    assert chosen(images, {**drawn, "rest": False}) == draw


def test_a_draw_follows_from_its_seed_for_good():
    rule = {"rule": "drawn", "count": 5, "seed": 25100}
    assert chosen(source(20), rule) == chosen(source(20), rule) == [3, 5, 7, 10, 15]
    assert chosen(source(20), rule) != chosen(source(20), {**rule, "seed": 25101})


@pytest.mark.parametrize("rest", [False, True])
def test_a_draw_of_more_images_than_there_are_is_refused(rest):
    with pytest.raises(ReproError, match=r"^pets/test: the rule drawn asks for 6 images, there are 5\.$"):
        chosen(source(5), {"rule": "drawn", "count": 6, "seed": 0, "rest": rest})


def test_a_split_of_which_nothing_is_left_is_refused(tmp_path):
    told = {"dataset": "pets", "split": "rest", "reader": {"name": "uniform_noise", "count": 4, "size": 8, "seed": 0}}
    told |= {"render": {"size": 8, "resize": "native"}}
    told |= {"select": {"rule": "drawn", "count": 4, "seed": 0, "rest": True}}
    with pytest.raises(ReproError, match=r"^pets/rest has no image: a split needs at least one\.$"):
        prepare(tmp_path / "set.h5", told, open_files([]), Lists(), {"kind": "images", "settings": {}})
    assert list(tmp_path.iterdir()) == []


HALVES = [
    (name, split)
    for name, record in CATALOG.items()
    for split, part in record["splits"].items()
    if "without" in part or part.get("select", {}).get("rest")
]


def the_whole(dataset, split):
    """The split of which ``split`` is a part, read by the same rule."""
    splits = CATALOG[dataset]["splits"]
    same = [name for name in splits if splits[name]["reader"] == splits[split]["reader"]]
    (whole,) = [name for name in same if splits[name].keys().isdisjoint({"list", "without", "select"})]
    return splits[whole]


def ids_of_part(dataset, split, data):
    told = prepare_settings(Study({}, CATALOG), dataset, split, {})
    lists = read_lists(told)
    return set(select(data, told, lists.entries, lists.excluded, f"{dataset}/{split}").sample_ids)


@pytest.mark.parametrize(("dataset", "split"), HALVES)
def test_a_set_is_parted_without_a_gap_and_without_an_overlap(dataset, split):
    splits, whole = CATALOG[dataset]["splits"], the_whole(dataset, split)
    drawn = {**splits[split].get("select", {}), "rest": False}
    others = splits[split].get("without") or [
        name for name in splits if {**splits[name].get("select", {}), "rest": False} == drawn and name != split
    ]
    assert [splits[name].get("files") for name in others] == [whole.get("files")] * len(others)
    assert len(others) == 1
    listed = [entry for name in others for entry in split_entries(CATALOG, dataset, name)]
    ids = [*listed, *(f"other {number}" for number in range(whole["count"] - len(listed)))]
    data = source(len(ids), kind=Pictures, ids=ids)
    parts = [ids_of_part(dataset, name, data) for name in (split, *others)]
    assert [len(part) for part in parts] == [splits[name]["count"] for name in (split, *others)]
    assert set.union(*parts) == set(ids)
    assert sum(map(len, parts)) == len(ids)
    assert not any(share_images(CATALOG, (dataset, split), (dataset, name)) for name in others)


FROZEN = {name: CATALOG[name.split("/")[0]]["splits"][name.split("/")[1]] for name in frozen.RULES}


@pytest.mark.parametrize("name", frozen.KNOWN_IDS)
def test_a_drawn_list_equals_its_seeded_rule(name):
    dataset, split = name.split("/")
    entries = frozen.draw(frozen.RULES[name], frozen.KNOWN_IDS[name])
    assert entries == split_entries(CATALOG, dataset, split)
    assert [frozen.KNOWN_IDS[name].index(entry) for entry in entries[:50]] == sorted(
        frozen.KNOWN_IDS[name].index(entry) for entry in entries[:50]
    )


@pytest.mark.parametrize("name", frozen.RULES)
def test_a_drawn_list_has_as_many_different_names_as_its_rule_and_the_catalog_say(name):
    dataset, split = name.split("/")
    entries, rule = split_entries(CATALOG, dataset, split), frozen.RULES[name]
    assert FROZEN[name]["list"] == f"{name}.txt"
    assert len(set(entries)) == len(entries) == rule.count == FROZEN[name]["count"]
    assert rule.of in CATALOG[dataset]["splits"]


@pytest.mark.parametrize("name", [name for name, rule in frozen.RULES.items() if rule.by_class])
def test_a_list_drawn_by_class_has_equally_many_of_each_class(name):
    dataset, split = name.split("/")
    entries, classes = split_entries(CATALOG, dataset, split), CATALOG[dataset]["classes"]
    assert frozen.RULES[name].count % len(classes) == 0
    if CATALOG[dataset]["reader"].get("classes") == "folders":
        shown = Counter(entry.split("/")[0] for entry in entries)
        assert shown == dict.fromkeys(classes, len(entries) // len(classes))


def test_no_two_seeded_rules_use_one_seed():
    seeds = [rule.seed for rule in frozen.RULES.values() if rule.seed is not None and not rule.rest]
    assert len(set(seeds)) == len(seeds)


@given(st.integers(1, 4), st.integers(1, 5), st.randoms(use_true_random=False), st.integers(0, 99))
def test_a_draw_by_class_takes_equally_many_of_each_in_file_order(classes, each, chance, seed):
    labels = [label for label in range(classes) for _ in range(each + chance.randint(0, 3))]
    chance.shuffle(labels)
    ids = [f"{number:03d}" for number in range(len(labels))]
    rule = frozen.Rule("train", classes * each, seed, by_class=True)
    entries = frozen.draw(rule, ids, np.array(labels))
    assert entries == sorted(set(entries))
    assert Counter(labels[int(entry)] for entry in entries) == dict.fromkeys(range(classes), each)


OVERLAP = {
    "cifar": {
        "splits": {
            "train": {"reader": {"name": "cifar", "batches": ["a"]}},
            "validation": {"reader": {"name": "cifar", "batches": ["a"]}, "list": "v"},
            "tuning": {"reader": {"name": "cifar", "batches": ["a"]}, "list": "t"},
            "spare": {"reader": {"name": "cifar", "batches": ["a"]}, "list": "s"},
            "train_part": {"reader": {"name": "cifar", "batches": ["a"]}, "without": ["validation"]},
            "draw": {"reader": {"name": "cifar", "batches": ["a"]}, "select": {"rule": "drawn", "count": 5, "seed": 1}},
            "rest": {
                "reader": {"name": "cifar", "batches": ["a"]},
                "select": {"rule": "drawn", "count": 5, "seed": 1, "rest": True},
            },
            "rest_of_another": {
                "reader": {"name": "cifar", "batches": ["a"]},
                "select": {"rule": "drawn", "count": 5, "seed": 2, "rest": True},
            },
            "first": {
                "reader": {"name": "cifar", "batches": ["a"]},
                "select": {"rule": "first_per_class", "per_class": 5},
            },
            "test": {"reader": {"name": "cifar", "batches": ["b"]}},
        }
    },
    "cropped": {
        "files_of": "cifar",
        "splits": {
            "all": {"reader": {"name": "cifar", "batches": ["a"]}},
            "validation": {"reader": {"name": "cifar", "batches": ["a"]}, "list": "v"},
        },
    },
    "svhn": {"splits": {"train": {"reader": {"name": "cifar", "batches": ["a"]}}}},
}
ENTRIES = {"validation": ["1", "2"], "tuning": ["2", "3"], "spare": ["4"]}


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("cifar/train", "cifar/train", True),
        ("cifar/train", "cifar/test", False),
        ("cifar/train", "svhn/train", False),
        ("cifar/train", "cropped/all", True),
        ("cifar/test", "cropped/all", False),
        ("cifar/train", "cifar/validation", True),
        ("cifar/train", "cifar/train_part", True),
        ("cifar/train_part", "cifar/validation", False),
        ("cifar/train_part", "cropped/validation", True),
        ("cifar/validation", "cropped/validation", True),
        ("cifar/spare", "cropped/validation", False),
        ("cifar/train_part", "cifar/tuning", True),
        ("cifar/validation", "cifar/validation", True),
        ("cifar/validation", "cifar/tuning", True),
        ("cifar/validation", "cifar/spare", False),
        ("cifar/draw", "cifar/rest", False),
        ("cifar/draw", "cifar/draw", True),
        ("cifar/rest", "cifar/rest", True),
        ("cifar/draw", "cifar/rest_of_another", True),
        ("cifar/draw", "cifar/train", True),
        ("cifar/rest", "cifar/train", True),
        ("cifar/first", "cifar/train", True),
        ("cifar/first", "cifar/draw", True),
    ],
)
def test_splits_of_one_set_share_images_unless_they_are_kept_apart(monkeypatch, first, second, shared):
    monkeypatch.setattr("methods.data.overlap.split_entries", lambda _, dataset, split: ENTRIES[split])
    one, two = (tuple(part.split("/")) for part in (first, second))
    assert share_images(OVERLAP, one, two) == share_images(OVERLAP, two, one) == shared


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        (["cat", "dog"], ["dog", "horse"], ["dog"]),
        (["cat", "dog"], ["Cat", "DOGS"], ["cat", "dog"]),
        (["cats", "Dogs"], ["cat", "dog"], ["cats", "Dogs"]),
        (["palm_tree"], ["palm tree"], ["palm_tree"]),
        (["polka-dotted", "dining table"], ["polka dotted", "diningtable"], ["polka-dotted", "dining table"]),
        (["glass", "bus", "gas"], ["glas", "bu", "ga"], []),
        (["sofa"], ["couch"], []),
        (["car"], ["streetcar", "card", "racing_car"], []),
        (["cat"], [], []),
        ([], ["cat"], []),
        ([], [], []),
    ],
)
def test_shared_classes_are_found_by_name(first, second, shared):
    catalog = {"pets": {"classes": first}, "farm": {"classes": second}}
    assert shared_classes(catalog, "pets", "farm") == shared


def test_what_a_set_holds_is_shared_and_what_a_list_lacks_is_not():
    splits = {"all": {}, "tame": {"lacks": ["Lions", "cat"]}}
    catalog = {
        "pets": {"classes": ["cat", "dog", "lion"]},
        "zoo": {"classes": ["lion", "bear"], "holds": ["cats", "dog"], "splits": splits},
    }
    assert shared_classes(catalog, "pets", "zoo") == ["cat", "dog", "lion"]
    assert shared_classes(catalog, "pets", "zoo", "all") == ["cat", "dog", "lion"]
    assert shared_classes(catalog, "pets", "zoo", "tame") == ["dog"]


FORMS = {
    "large": {"splits": {"all": {"reader": {}}, "a": {"reader": {}, "list": "a"}}},
    "small": {
        "same_pictures_as": "large",
        "relation": {"of": "whole", "kind": "subset"},
        "splits": {
            "all": {"reader": {}},
            "a": {"reader": {}, "list": "small_a"},
            "b": {"reader": {}, "list": "small_b"},
        },
    },
    "whole": {"splits": {"all": {"reader": {}}}},
    "anew": {"relation": {"of": "whole", "kind": "rederived"}, "splits": {"all": {"reader": {}}}},
    "instead": {"relation": {"of": "whole", "kind": "substitute"}, "splits": {"all": {"reader": {}}}},
}
NAMES = {"a": ["x/1.png", "x/2.png"], "small_a": ["x/2.jpg"], "small_b": ["x/1.jpeg.jpg", "y/2.jpg"]}


@pytest.mark.parametrize(
    ("first", "second", "shared"),
    [
        ("large/all", "small/all", True),
        ("large/a", "small/all", True),
        ("large/a", "small/a", True),
        ("large/a", "small/b", False),
        ("whole/all", "small/b", True),
        ("whole/all", "anew/all", True),
        ("anew/all", "small/a", True),
        ("whole/all", "instead/all", False),
        ("instead/all", "anew/all", False),
        ("large/all", "whole/all", False),
    ],
)
def test_forms_and_parts_of_one_set_share_images(monkeypatch, first, second, shared):
    monkeypatch.setattr(
        "methods.data.overlap.split_entries", lambda _, dataset, split: NAMES[FORMS[dataset]["splits"][split]["list"]]
    )
    one, two = (tuple(part.split("/")) for part in (first, second))
    assert share_images(FORMS, one, two) == share_images(FORMS, two, one) == shared


def test_known_overlaps_of_the_catalog_are_found():
    assert shared_classes(CATALOG, "cifar10", "cifar100") == []
    assert shared_classes(CATALOG, "digits", "svhn") == CATALOG["digits"]["classes"]
    assert "person" in shared_classes(CATALOG, "voc2012", "coco2014")
    assert share_images(CATALOG, ("cifar10", "train"), ("cifar10", "validation"))
    assert not share_images(CATALOG, ("cifar10", "train"), ("cifar10", "test"))


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


@given(st.lists(st.text(st.characters(categories=("L", "N", "P", "Zs")), min_size=1), min_size=1, max_size=20))
def test_any_printable_names_come_back_from_a_list(entries):
    with tempfile.TemporaryDirectory() as folder:
        digest = write_list(f"{folder}/list.txt", entries)
        assert read_list(f"{folder}/list.txt", digest) == entries


def test_the_lists_of_a_split_are_its_own_those_of_the_splits_it_leaves_out_and_its_exclusions(tmp_path, monkeypatch):
    monkeypatch.setattr(subsets, "SPLITS", tmp_path)
    lists = {"own": ["3", "1"], "v": ["7", "5"], "t": ["5", "6"]}
    hashes = {name: write_list(tmp_path / name, entries) for name, entries in lists.items()}
    own = {"list": "own", "list_sha256": hashes["own"]}
    without = {"without": [["v", hashes["v"]], ["t", hashes["t"]]]}
    assert read_lists({}) == Lists([], [])
    assert read_lists(own) == Lists(["3", "1"], [])
    assert read_lists({**without, "exclude": ["9"]}) == Lists([], ["7", "5", "5", "6", "9"])
    with pytest.raises(ReproError, match=r"The split list .*/t has sha256 [0-9a-f]{12}, the catalog expects 0{12}:"):
        read_lists({"without": [["v", hashes["v"]], ["t", "0" * 64]]})


def test_a_split_is_told_the_lists_of_the_splits_it_leaves_out():
    validation = CATALOG["cifar10"]["splits"]["validation"]
    told = prepare_settings(Study({}, CATALOG), "cifar10", "train_part", {"size": 32, "resize": "native"})
    assert told["without"] == [[validation["list"], validation["list_sha256"]]]
    assert "list" not in told
    lists = read_lists(told)
    assert (len(lists.entries), len(lists.excluded)) == (0, 5000)


RECORD = {
    "title": "Pets",
    "reader": {"name": "uniform_noise"},
    "task": "none",
    "image_size": [4, 4],
    "splits": {"test": {"count": 2}},
}


FILE = {"name": "a.zip", "urls": ["http://x"], "sha256": "0" * 64}
WEIGHTS = {"title": "A network", "files": [{"name": "w.pth", "urls": ["http://x"], "hash": "unknown"}]}
HASHES = "pets.files.0 needs exactly one of: package or urls with sha256 or urls with md5 or urls with sha256_prefix"


def write_catalog(folder, datasets, **others):
    write_text(folder / "datasets.yaml", yaml.safe_dump(copy.deepcopy({"datasets": datasets, **others})))
    return folder / "datasets.yaml"


def catalog_of(folder, **datasets):
    return load_catalog(write_catalog(folder, datasets))


def split_of(**fields):
    """A change of the record: its one split with more fields."""
    return {"splits": {"test": {"count": 2, **fields}}}


def test_a_catalog_gets_defaults_and_each_split_its_reader_options(tmp_path):
    splits = {"test": {"count": 2}, "train": {"reader": {"seed": 3}}}
    reader = {"name": "uniform_noise", "size": 4}
    pets = catalog_of(tmp_path, pets={**RECORD, "reader": reader, "splits": splits})["pets"]
    assert pets["splits"]["test"]["reader"] == {"name": "uniform_noise", "count": 500, "size": 4, "seed": 0}
    assert pets["splits"]["train"]["reader"] == {"name": "uniform_noise", "count": 500, "size": 4, "seed": 3}
    assert (pets["files"], pets["folders"], pets["members"], pets["classes"]) == ([], [], {}, [])


def test_a_split_is_made_from_its_own_files_or_from_all(tmp_path):
    files = [FILE, {**FILE, "name": "b.zip"}]
    splits = {"test": {"count": 2}, "train": {"files": ["b.zip"]}}
    dogs = {**RECORD, "files": files, "splits": splits}
    catalog = catalog_of(tmp_path, dogs=dogs, pets={**RECORD, "files_of": "dogs"})
    assert source_files(catalog, "dogs", "test") == {"a.zip": "dogs", "b.zip": "dogs"}
    assert source_files(catalog, "dogs", "train") == {"b.zip": "dogs"}
    assert source_files(catalog, "pets", "test") == {"a.zip": "dogs", "b.zip": "dogs"}
    assert file_record(catalog, "dogs", "b.zip") == files[1]


def test_weights_are_a_part_of_the_catalog_and_no_data_set(tmp_path):
    path = write_catalog(tmp_path, {"pets": RECORD}, weights={"network": WEIGHTS})
    assert list(load_catalog(path)) == ["pets"]
    assert load_weights(path) == {"network": WEIGHTS}
    assert load_weights(write_catalog(tmp_path, {"pets": RECORD})) == {}


def test_weights_with_the_name_of_a_data_set_are_refused(tmp_path):
    path = write_catalog(tmp_path, {"pets": RECORD, "dogs": RECORD}, weights={"pets": WEIGHTS})
    for load in (load_catalog, load_weights):
        with pytest.raises(ReproError, match=r"^datasets\.yaml: pets names a data set and weights: rename one"):
            load(path)


def test_lists_are_not_looked_for_where_they_are_about_to_be_written(tmp_path):
    record = {**RECORD, **split_of(list="no.txt", list_sha256="0" * 64)}
    assert load_catalog(write_catalog(tmp_path, {"pets": record}), check_lists=False)["pets"]["splits"]["test"]["list"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"reader": {"name": "digitss"}}, "pets.splits.test.reader.name is 'digitss': did you mean 'digits'?"),
        (
            {"reader": {"name": "digits", "digit": [1]}},
            "pets.splits.test.reader has the unknown key 'digit': did you mean 'digits'?",
        ),
        (
            {"reader": {"name": "digits", "digits": [3, 10]}},
            "pets.splits.test.reader.digits.1: 10 is greater than the maximum of 9",
        ),
        (
            {"reader": {"name": "uniform_noise", "size": 8.0}},
            "pets.splits.test.reader.size is 8.0, expected a whole number",
        ),
        ({"files_of": "dogz"}, "pets.files_of is 'dogz': did you mean 'dogs'?"),
        ({"same_pictures_as": "dogz"}, "pets.same_pictures_as is 'dogz': did you mean 'dogs'?"),
        (split_of(lacks=["cat"]), "'list' is a dependency of 'lacks'"),
        ({"files_of": "dogs"}, "pets.files_of is 'dogs', which has no files of its own"),
        ({"task": "single"}, "pets.task is 'single': did you mean 'single_label'?"),
        ({"licens": "free"}, "pets has the unknown key 'licens': did you mean 'licence'?"),
        ({"splits": {"test": {"count": 0}}}, "pets.splits.test.count: 0 is less than the minimum of 1"),
        ({"splits": {"test": {"count": 2, "list": "a.txt"}}}, "'list_sha256' is a dependency of 'list'"),
        ({"splits": {"test": {"count": 2, "list": "no.txt", "list_sha256": "0" * 64}}}, "no.txt is missing"),
        ({"files": [{"name": "a.zip", "urls": ["http://x"]}]}, HASHES),
        ({"files": [{"name": "a.zip", "sha256": "0" * 64}]}, HASHES),
        ({"files": [{**FILE, "md5": "0" * 32}]}, HASHES),
        ({"files": [{**FILE, "hash": "unknown"}]}, HASHES),
        ({"files": [{**FILE, "sha256": "xyz"}]}, "pets.files.0.sha256: 'xyz' does not match"),
        ({"files": [FILE], "bring": "ask"}, "pets has files with addresses and `bring`: remove one of the two"),
        ({"files": [FILE], "files_of": "dogs"}, "pets has files of its own and files_of: remove one of the two"),
        ({"files": [FILE], **split_of(files=["b.zip"])}, "splits.test.files names 'b.zip': did you mean 'a.zip'?"),
        (split_of(files=["a.zip"]), "splits.test.files names 'a.zip': known: none"),
        (split_of(without=["test"]), "splits.test.without names 'test': known: none"),
        (split_of(without=[]), "splits.test.without: [] should be non-empty"),
        ({"splits": {"a": {}, "test": {"without": ["a"]}}}, "splits.test.without names 'a': known: none"),
        (split_of(reader={"sed": 1}), "pets.splits.test.reader has the unknown key 'sed': did you mean 'seed'?"),
        (split_of(reader={"name": "digits"}), "pets.splits.test.reader lacks the key 'digits'"),
        (split_of(select={}), "pets.splits.test.select lacks the key 'rule'"),
        (split_of(select={"rule": "best"}), "splits.test.select.rule is 'best': known: drawn, first_per_class"),
        (split_of(select={"rule": "drawn", "count": 1}), "select needs exactly one of: per_class or count with seed"),
        (split_of(select={"rule": "first_per_class"}), "select needs exactly one of: per_class or count with seed"),
        (split_of(exclude=["a", "a"]), "splits.test.exclude: ['a', 'a'] has non-unique elements"),
        (split_of(exclude=[17]), "splits.test.exclude.0 is 17, expected text"),
        ({"splits": {}}, "pets.splits: {} should be non-empty"),
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


def test_a_split_to_leave_out_that_is_not_there_is_refused_with_the_nearest(tmp_path, monkeypatch):
    monkeypatch.setattr("methods.data.catalog.SPLITS", tmp_path)
    listed = {"count": 1, "list": "list.txt", "list_sha256": write_list(tmp_path / "list.txt", ["1"])}
    splits = {"validation": listed, "test": {"without": ["validatoin"]}}
    with pytest.raises(ReproError, match=r"splits\.test\.without names 'validatoin': did you mean 'validation'\?"):
        catalog_of(tmp_path, pets={**RECORD, "splits": splits})


def test_two_files_with_one_name_are_refused(tmp_path):
    with pytest.raises(ReproError, match=r"a\.zip"):
        catalog_of(tmp_path, pets={**RECORD, "files": [FILE, {**FILE, "sha256": "1" * 64}]})


def test_every_problem_of_a_catalog_is_listed(tmp_path):
    with pytest.raises(ReproError) as refusal:
        catalog_of(tmp_path, pets={**RECORD, "files_of": "none"}, dogs={**RECORD, "reader": {"name": "none"}})
    assert len(str(refusal.value).splitlines()) == 2


def test_a_record_without_its_keys_is_told_all_of_them(tmp_path):
    with pytest.raises(ReproError) as refusal:
        catalog_of(tmp_path, pets={})
    keys = ("title", "reader", "task", "splits")
    assert str(refusal.value).splitlines() == [f"datasets.yaml.datasets.pets lacks the key '{key}'" for key in keys]


def test_files_of_leads_to_the_owner_of_the_files():
    assert source_files(CATALOG, "held_out_mosaics", "test") == {"digits.csv.gz": "digits"}
    assert source_files(CATALOG, "uniform_noise", "test") == {}
    assert source_files(CATALOG, "svhn", "test_10000") == {"test_32x32.mat": "svhn"}


def test_every_list_of_the_catalog_lies_in_the_splits_folder():
    lists = {part["list"] for record in CATALOG.values() for part in record["splits"].values() if "list" in part}
    assert lists == {str(path.relative_to(SPLITS)) for path in SPLITS.glob("*/*.txt")}
