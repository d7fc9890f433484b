"""Head, tail and classes of several labels an image, against loops over images and classes; and rule evaluate."""

import json
import os
import runpy
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from methods import provenance
from methods.csv_file import read_csv
from methods.data.readers import voc
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.score_store import write_scores
from methods.features.store import KIND, READOUT_KIND, write_features, write_readout
from methods.metrics.identification import mean_average_precision
from methods.metrics.multilabel import class_rows, multilabel_rows, tail_rows
from methods.metrics.ranking import detection_metrics
from methods.metrics.tail import class_order, id_parts, without_top
from tests import golden
from tests.test_metrics import GOLDEN, closest_by_loop, pick

ROOT = Path(__file__).resolve().parents[1]
DATA = os.environ.get("OOD_REPRO_TEST_DATA")


def images_left(labels, j):
    """By the words of the specification: which images have none of the j most frequent classes."""
    positives = [sum(int(image[c]) for image in labels) for c in range(len(labels[0]))]
    top = sorted(range(len(positives)), key=lambda c: (-positives[c], c))[:j]
    return [not any(image[c] for c in top) for image in labels]


def many_ties(seed, images=60, classes=20):
    return (np.random.default_rng(seed).uniform(size=(images, classes)) < 0.1).astype(np.uint8)


def test_tail_images_have_none_of_the_most_frequent_classes():
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0]])
    assert without_top(labels, 1).tolist() == [True, False, False, True, False, True]
    assert without_top(labels, 3).tolist() == [False] * 5 + [True]


def test_of_equally_frequent_classes_the_lower_index_comes_first():
    labels = np.array([[0, 1, 0], [0, 0, 1], [1, 0, 0]], dtype=np.uint8)
    assert class_order(labels).tolist() == [0, 1, 2]
    assert without_top(labels, 1).tolist() == [True, True, False]
    assert without_top(labels, 2).tolist() == [False, True, False]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("j", [0, 1, 3, 5, 7, 19, 20])
def test_the_tail_is_that_of_the_published_analysis(seed, j):
    labels = many_ties(seed)
    assert without_top(labels, j).tolist() == images_left(labels, j)


def test_counts_of_many_positives_do_not_overflow_their_type():
    labels = np.zeros((600, 2), dtype=np.uint8)
    labels[:300, 0] = labels[:280, 1] = 1  # modulo 256: 44 and 24, then 260 for the second alone
    labels[300:, 1] = 1
    assert class_order(labels).tolist() == [1, 0]


def test_head_and_tail_share_all_images_and_steps_are_nested():
    labels = many_ties(1)
    parts = id_parts(labels, 3, [0, 3, 5])
    assert list(parts) == ["without_0", "without_3", "without_5", "head", "tail"]
    assert parts["without_0"].all()
    assert parts["tail"].tolist() == parts["without_3"].tolist() == (~parts["head"]).tolist()
    assert set(np.flatnonzero(parts["without_5"])) < set(np.flatnonzero(parts["without_3"]))
    assert list(id_parts(labels, None, [])) == []


@pytest.mark.skipif(not DATA, reason="OOD_REPRO_TEST_DATA names no folder with the official files")
def test_images_left_of_the_label_file_that_the_papers_ship():
    path = Path(DATA) / "voc12-val.mat"
    if not path.is_file():
        pytest.skip("OOD_REPRO_TEST_DATA holds no voc12-val.mat")
    _, labels = voc._mat(path.read_bytes(), path.name)
    order = [14, 11, 8, 6, 7, 2, 4, 0, 17, 10, 19, 1, 15, 18, 13, 3, 12, 5, 16, 9]
    left = {0: 5823, 1: 3591, 3: 2768, 5: 1978, 7: 1504, 9: 1160, 10: 1147, 11: 1043, 13: 869, 15: 595, 17: 324}
    assert class_order(labels).tolist() == order
    assert {j: int(without_top(labels, j).sum()) for j in (*left, 19)} == left | {19: 123}


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_the_tail_equal_loops_over_pairs_and_thresholds(seed):
    draw = np.random.default_rng(seed)
    labels = many_ties(seed, images=151)
    inside, outside = draw.normal(1, 1, 151).round(1), draw.normal(0, 1, 83).round(1)
    for j in (0, 2, 5):
        rows = tail_rows(id_parts(labels, None, [j]), {"s": inside}, {"o": {"s": outside}}, {})
        found = {(row["metric"], row["rule"]): row["value"] for row in pick(rows, target=f"without_{j}:set:o")}
        kept = [score for score, left in zip(inside, images_left(labels, j), strict=True) if left]
        wins = sum((a > b) + (a == b) / 2 for a in kept for b in outside)
        assert found["auroc", ""] == pytest.approx(wins / len(kept) / len(outside), abs=1e-12)
        if len(kept) % 10:  # else two thresholds can be equally close, and rounding decides
            assert found["fpr95", "closest"] == closest_by_loop(kept, outside)
        assert set(found) == set(GOLDEN)


def tail_case():
    """Six images and three classes; nothing is left without the two most frequent ones; one group lacks a set."""
    labels = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [1, 0, 0], [0, 1, 1], [1, 0, 0]], dtype=np.uint8)
    draw = np.random.default_rng(3)
    inside = {name: draw.normal(1, 1, 6) for name in ("energy", "logit")}
    outside = {name: {score: draw.normal(0, 1, 9) for score in inside} for name in ("a", "b")}
    return labels, inside, outside, {"far": ["a", "b"], "lost": ["b", "gone"]}


def test_tail_rows_are_the_metrics_of_every_part_on_sets_and_groups():
    labels, inside, outside, groups = tail_case()
    rows = tail_rows(id_parts(labels, 1, [0, 1]), inside, outside, groups)
    assert {row["level"] for row in rows} == {"tail"}
    for part, left in {
        "without_0": [True] * 6,
        "without_1": images_left(labels, 1),
        "tail": images_left(labels, 1),
    }.items():
        for score, scores in inside.items():
            values = {}
            for name in outside:
                expected = detection_metrics(scores[left], outside[name][score])
                found = pick(rows, score=score, target=f"{part}:set:{name}")
                assert [(row["metric"], row["rule"], row["value"]) for row in found] == expected
                values[name] = {(metric, rule): value for metric, rule, value in expected}
            for row in pick(rows, score=score, target=f"{part}:group:far"):
                metric = row["metric"], row["rule"]
                assert row["value"] == (values["a"][metric] + values["b"][metric]) / 2
            lost = pick(rows, score=score, target=f"{part}:group:lost")
            assert {(row["value"], row["complete"]) for row in lost} == {("", "1 of 2")}
            assert len(lost) == len(GOLDEN)


def test_a_part_without_images_says_so_and_has_no_metric():
    labels, inside, outside, groups = tail_case()
    rows = tail_rows(id_parts(labels, 2, [0, 1, 2]), inside, outside, groups)
    counts = {row["target"]: row["value"] for row in pick(rows, metric="id_images", rule="counted", score="")}
    assert counts == {"without_0": 6, "without_1": 2, "without_2": 0, "head": 6, "tail": 0}
    assert {row["target"].split(":")[0] for row in rows if row["score"]} == {"without_0", "without_1", "head"}


def test_a_benchmark_without_steps_and_head_has_rows_of_classes_alone():
    labels, inside, outside, groups = tail_case()
    test = Features(np.zeros((6, 1)), labels, tuple("abcdef"), logits=np.arange(18.0).reshape(6, 3))
    told = {"classes": ["x", "y", "z"], "groups": groups}
    assert {row["level"] for row in multilabel_rows(told, inside, outside, test)} == {"class"}
    more = multilabel_rows({**told, "tail_steps": [1]}, inside, outside, test)
    assert {row["target"].split(":")[0] for row in pick(more, level="tail")} == {"without_1"}


def test_every_class_has_its_golden_ap_and_its_positives():
    logits, labels, _ = (part.numpy() for part in golden.multi_label())
    rows = class_rows(logits, labels, ["a", "b", "c", "d"])
    expected = {
        "trapezoid": [0.29166666666666663, 0.6333333333333333, 0.2875, 0.6625],
        "average_precision": [0.41666666666666663, 0.6666666666666666, 0.45, 0.7],
    }
    for rule, values in expected.items():
        found = pick(rows, metric="ap", rule=rule)
        assert [row["target"] for row in found] == ["a", "b", "c", "d"]
        np.testing.assert_allclose([row["value"] for row in found], values, rtol=0, atol=1e-15)
    assert [row["value"] for row in pick(rows, metric="positives")] == [2, 2, 2, 2]


def test_classes_that_no_or_every_image_has_are_undefined_and_not_in_the_mean():
    draw = np.random.default_rng(2)
    logits, labels = draw.normal(size=(30, 4)).round(1), (draw.uniform(size=(30, 4)) < 0.3).astype(np.uint8)
    labels[:, 1], labels[:, 2] = 0, 1
    rows = class_rows(logits, labels, list("abcd"))
    for rule in ("average_precision", "trapezoid"):
        found = {row["target"]: row for row in pick(rows, metric="ap", rule=rule)}
        assert [(found[c]["value"], found[c]["complete"]) for c in "bc"] == [("", "undefined")] * 2
        mean = (found["a"]["value"] + found["d"]["value"]) / 2
        assert mean == pytest.approx(mean_average_precision(logits, labels, rule), abs=1e-15)
    assert [row["value"] for row in pick(rows, metric="positives")][1:3] == [0, 30]


def test_class_names_that_do_not_fit_the_labels_are_refused():
    with pytest.raises(ReproError, match="The ID set lists 2 classes, its labels have 3"):
        class_rows(np.zeros((4, 3)), np.eye(4, 3), ["a", "b"])


# --- rule evaluate, without the workflow ---


def evaluate(folder, monkeypatch, told, labels, classes):
    """Rows of metrics.csv by the script itself, from files as the steps before write them."""
    draw, count = np.random.default_rng(0), len(labels)
    images = Features(
        draw.normal(size=(count, 3)), labels, tuple(map(str, range(count))), logits=draw.normal(size=(count, classes))
    )
    paths = {name: folder / f"{name}.h5" for name in ("model", "train", "test", "readout", "detectors", "in", "out")}
    for name in ("model", "detectors"):
        paths[name].write_bytes(name.encode())

    def record(kind, **parents):
        return provenance.record(kind, {}, "", {role: paths[name] for role, name in parents.items()}, 0)

    for name in ("train", "test"):
        write_features(paths[name], images, record(KIND, model="model"))
    write_readout(paths["readout"], Readout(), record(READOUT_KIND, model="model"))
    for name in ("in", "out"):
        scores = {"energy": draw.normal(size=count)}
        write_scores(paths[name], scores, images, record("scores", features="test", detectors="detectors"))
    source = {name: str(paths[name]) for name in ("train", "test", "readout")}
    source |= {"id_scores": str(paths["in"]), "ood_scores": [str(paths["out"])]}
    told = {"sets": ["far_set"], "groups": {"far": ["far_set"]}, "bootstrap": 0, **told}
    snakemake = SimpleNamespace(
        params=SimpleNamespace(settings=json.dumps(told), digest=""),
        input=type("Input", (dict,), {"__getattr__": dict.__getitem__})(source),
        output=SimpleNamespace(metrics=str(folder / "metrics.csv")),
    )
    monkeypatch.setattr("workflow_scripts.job.run_job", lambda main, given: main(given))
    runpy.run_path(str(ROOT / "workflow_scripts/evaluate.py"), {"snakemake": snakemake})
    return read_csv(folder / "metrics.csv")


def test_evaluate_writes_classes_and_tail_of_several_labels(tmp_path, monkeypatch):
    labels = tail_case()[0]
    told = {"task": "multi_label", "classes": ["x", "y", "z"], "head_classes": 1, "tail_steps": [0, 2]}
    rows = evaluate(tmp_path, monkeypatch, told, labels, 3)
    assert {row["level"] for row in rows} == {"set", "group", "id", "class", "tail"}
    assert [row["value"] for row in pick(rows, metric="positives")] == ["4", "3", "1"]
    whole = {(r["metric"], r["rule"]): r["value"] for r in pick(rows, level="set")}
    assert {(r["metric"], r["rule"]): r["value"] for r in pick(rows, target="without_0:set:far_set")} == whole
    assert [row["value"] for row in pick(rows, target="without_2")] == ["0"]
    assert not pick(rows, target="without_2:set:far_set")


def test_evaluate_writes_nothing_of_the_kind_for_one_label(tmp_path, monkeypatch):
    rows = evaluate(tmp_path, monkeypatch, {"task": "single_label"}, np.array([0, 1, 1, 0, 2, 2]), 3)
    assert {row["level"] for row in rows} == {"set", "group", "id"}
    assert not pick(rows, metric="ap")
