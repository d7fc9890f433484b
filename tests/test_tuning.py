"""Tuning of scores on validation images: the choice itself, what a paper may ask for, and how tables say it."""

import copy
import csv
import io
import itertools
import json

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import IsolationForest
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors

from methods import source_digest
from methods.csv_file import csv_text, read_csv
from methods.data.catalog import load_catalog
from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.extract import extract
from methods.features.network_scores import network_scores
from methods.features.network_tuning import through_network
from methods.features.score_store import TUNED, read_tuned, write_tuned
from methods.metrics.evaluation import tuned_rows
from methods.metrics.ranking import detection_metrics, fpr_percentile
from methods.reporting.latex import to_latex
from methods.reporting.layout import to_csv, to_html, to_markdown
from methods.reporting.tables.main import make as main_table
from methods.reporting.tables.ranks import make as ranks_table
from methods.scores.base import fit_instances, score_instances
from methods.scores.tuning import candidates, on_features, resolved, tune
from methods.settings import digests, outputs, steps, tuning
from methods.settings.load import load_study
from methods.settings.parts import complete_part
from methods.settings.study import Run
from tests.test_network_scores import Network
from tests.workflow import PAPER

CATALOG = load_catalog()
CPU = torch.device("cpu")
NORMALISATION = {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.25, 0.3]}
GRID = {"tune": {"temperature": [1, 2, 3, 4]}, "tune_by": "auroc"}


def instance(score, tuned_by="auroc", grid=None, **parameters):
    """A complete score instance, tuned over ``grid`` if there is one."""
    part = complete_part("scores", "score", {"score": score, **parameters})
    return {**part, "tune": grid, "tune_by": tuned_by} if grid else part


def features(seed, count=40, width=6, shift=0.0):
    """Random features whose logits are linear in the embedding."""
    draw = np.random.RandomState(seed)
    embedding = (draw.randn(count, width) + shift).astype(np.float32)
    logits = embedding @ np.random.RandomState(99).randn(width, 4).astype(np.float32)
    return Features(embedding, draw.randint(0, 4, count), tuple(f"i{n}" for n in range(count)), logits=logits)


TRAIN, INSIDE = features(1, count=60), features(2)
OUTSIDE = (features(3, count=25, shift=0.6), features(4, count=70, shift=-0.4))
SETS = (INSIDE, *OUTSIDE)
READOUT = Readout(np.random.RandomState(5).randn(4, 6), np.random.RandomState(6).randn(4))


def area(inside, outside):
    labels = np.repeat([1, 0], [len(inside), len(outside)])
    return roc_auc_score(labels, np.concatenate([inside, outside]))


def false_positives(inside, outside):
    """FPR at the threshold whose TPR is closest to 95 %; of equally close ones the lowest that still tells ID apart."""
    thresholds = [t for t in np.concatenate([inside, outside]) if t >= min(inside)]
    rates = [(abs(np.mean(inside >= t) - 0.95), t) for t in thresholds]
    return np.mean(outside >= min(rates)[1])


def measured(values):
    """A measure that gives, for the n-th combination, the n-th scores of each set."""
    return lambda instances: [{key: one[n] for n, key in enumerate(instances)} for one in values]


# Grids


def test_combinations_stand_in_product_order_of_alphabetical_parameters():
    found = candidates({"score": "odin", "tune": {"temperature": [10, 1], "noise": [0.2, 0, 0.1]}})
    assert found == [{"noise": n, "temperature": t} for n in (0.2, 0, 0.1) for t in (10, 1)]
    assert [list(part) for part in found] == [["noise", "temperature"]] * 6


def test_values_of_one_parameter_keep_their_order():
    assert candidates({"tune": {"k": [30, 1, 10]}}) == [{"k": 30}, {"k": 1}, {"k": 10}]


def test_a_choice_takes_the_place_of_tune_and_leaves_other_instances_alone():
    instances = {"knn": instance("knn", k=10, grid={"k": [1, 3]}), "msp": instance("msp")}
    found = resolved(instances, {"knn": {"chosen": {"k": 3}, "by": "auroc", "tried": []}})
    assert found == {"knn": {"score": "knn", "k": 3}, "msp": {"score": "msp", "temperature": 1.0}}
    assert instances["knn"]["tune"] == {"k": [1, 3]}


# The choice


LEVELS = st.integers(0, 6).map(float)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_the_chosen_value_is_the_first_of_the_best_of_those_tried(data):
    sizes = data.draw(st.lists(st.integers(1, 12), min_size=2, max_size=4))
    values = [np.array(data.draw(st.lists(LEVELS, min_size=4 * n, max_size=4 * n))).reshape(4, n) for n in sizes]
    by = data.draw(st.sampled_from(["auroc", "fpr95"]))
    found = tune({"one": {"score": "msp", **GRID, "tune_by": by}}, measured(values))["one"]
    inside, *outside = values
    areas = [np.mean([area(inside[n], one[n]) for one in outside]) for n in range(4)]
    rates = [np.mean([false_positives(inside[n], one[n]) for one in outside]) for n in range(4)]
    assert [part["temperature"] for part in found["tried"]] == [1, 2, 3, 4]
    assert [part["auroc"] for part in found["tried"]] == pytest.approx(areas)
    assert [part["fpr95"] for part in found["tried"]] == pytest.approx(rates)
    tried = [part[by] for part in found["tried"]]
    best = tried.index(max(tried) if by == "auroc" else min(tried))
    assert found["chosen"] == {"temperature": best + 1}
    assert found["by"] == by


def test_equally_good_values_go_to_the_first_in_order():
    inside, outside = np.array([[2.0, 3.0]] * 4), np.array([[0.0, 1.0]] * 4)
    for order in ([1, 2, 3, 4], [4, 3, 2, 1]):
        part = {"score": "msp", "tune": {"temperature": order}, "tune_by": "auroc"}
        assert tune({"one": part}, measured([inside, outside]))["one"]["chosen"] == {"temperature": order[0]}


def test_fpr95_is_minimised_where_auroc_says_otherwise():
    inside = np.tile(np.arange(20.0), (2, 1))
    outside = np.array([np.full(10, 1.5), np.repeat([-1.0, 19.5], [7, 3])])
    part = {"score": "msp", "tune": {"temperature": [1, 2]}}
    found = {
        by: tune({"one": {**part, "tune_by": by}}, measured([inside, outside]))["one"] for by in ("auroc", "fpr95")
    }
    assert found["auroc"]["tried"] == found["fpr95"]["tried"]
    assert [tried["auroc"] for tried in found["auroc"]["tried"]] == pytest.approx([0.9, 0.7])
    assert [tried["fpr95"] for tried in found["auroc"]["tried"]] == pytest.approx([1.0, 0.3])
    assert [part["chosen"] for part in found.values()] == [{"temperature": 1}, {"temperature": 2}]


def test_ood_validation_sets_count_alike_whatever_their_size():
    inside = np.array([[5.0], [5.0]])
    small, large = np.array([[0.0], [9.0]]), np.array([[9.0, 9.0, 9.0], [9.0, 9.0, 0.0]])
    found = tune(
        {"one": {"score": "msp", "tune": {"temperature": [1, 2]}, "tune_by": "auroc"}}, measured([inside, small, large])
    )
    assert [part["auroc"] for part in found["one"]["tried"]] == pytest.approx([1 / 2, 1 / 6])
    assert found["one"]["chosen"] == {"temperature": 1}


def test_each_instance_is_chosen_for_itself():
    instances = {
        "near": instance("knn", k=2, grid={"k": [1, 5, 40]}),
        "far": instance("knn", k=2, grid={"k": [60, 7]}, tuned_by="fpr95"),
        "warm": instance("energy", grid={"temperature": [0.5, 5.0]}),
    }
    found = tune(instances, on_features(TRAIN, READOUT, SETS))
    assert list(found) == list(instances)
    for name, part in instances.items():
        assert found[name] == tune({name: part}, on_features(TRAIN, READOUT, SETS))[name]


@pytest.mark.parametrize("by", ["auroc", "fpr95"])
def test_the_k_of_knn_is_that_of_a_search_by_hand(by):
    found = tune({"knn": instance("knn", by, {"k": [1, 3, 10, 60]}, k=5)}, on_features(TRAIN, READOUT, SETS))["knn"]

    def unit(x):
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    search = NearestNeighbors(n_neighbors=60).fit(unit(TRAIN.embedding))
    distances = [np.sort(search.kneighbors(unit(one.embedding))[0], axis=1) for one in SETS]
    for part in found["tried"]:
        inside, *outside = (-d[:, part["k"] - 1] for d in distances)
        assert part["auroc"] == pytest.approx(np.mean([area(inside, one) for one in outside]), abs=2e-3)
    values = {part["k"]: part[by] for part in found["tried"]}
    assert found["chosen"]["k"] == (max if by == "auroc" else min)(values, key=values.get)


def test_a_tuned_score_is_the_score_with_the_chosen_values():
    part = instance("react", grid={"percentile": [40, 95], "variant": ["zero", "clip"]})
    found = tune({"react": part}, on_features(TRAIN, READOUT, SETS))["react"]
    alone = {"react": instance("react", **found["chosen"])}
    assert resolved({"react": part}, {"react": found}) == alone
    inside, *outside = (
        score_instances(alone, one, fit_instances(alone, TRAIN, READOUT), TRAIN)["react"] for one in SETS
    )
    best = next(t for t in found["tried"] if t.items() >= found["chosen"].items())
    assert best["auroc"] == pytest.approx(np.mean([area(inside, one) for one in outside]))
    assert best["auroc"] == max(t["auroc"] for t in found["tried"])


def test_a_neighbour_beyond_the_training_set_names_the_instance_and_the_grid():
    with pytest.raises(ReproError) as found:
        tune({"knn_far": instance("knn", k=5, grid={"k": [1, 61]})}, on_features(TRAIN, READOUT, SETS))
    assert str(found.value).startswith("knn_far cannot be tuned over {'k': [1, 61]}: ")
    assert "neighbour 61 of 60 training images" in str(found.value)


def test_a_score_without_its_classifier_cannot_be_tuned():
    with pytest.raises(ReproError, match=r"^react cannot be tuned over .*needs a classifier"):
        tune({"react": instance("react", grid={"percentile": [1, 2]})}, on_features(TRAIN, Readout(), SETS))


def test_scores_that_are_not_finite_name_the_instance_and_the_grid():
    broken = Features(INSIDE.embedding, INSIDE.labels, INSIDE.sample_ids, logits=np.full((40, 4), np.nan))
    with pytest.raises(ReproError, match=r"^msp cannot be tuned over \{'temperature': \[1, 2\]\}: .*NaN or infinite"):
        tune({"msp": instance("msp", grid={"temperature": [1, 2]})}, on_features(TRAIN, READOUT, [broken, *OUTSIDE]))


def test_an_empty_ood_validation_set_is_refused():
    with pytest.raises(ReproError, match="There are no OOD scores"):
        tune({"one": {"score": "msp", **GRID}}, measured([np.ones((4, 3)), np.ones((4, 0))]))


# Fitted on validation


def test_lof_fitted_on_validation_is_that_of_scikit_learn():
    part = {"lof": instance("lof", neighbours=7, fit_on="validation")}
    fitted = fit_instances(part, TRAIN, READOUT, INSIDE)
    oracle = LocalOutlierFactor(n_neighbors=7, novelty=True).fit(INSIDE.logits.astype(np.float64))
    found = score_instances(part, OUTSIDE[0], fitted, None)["lof"]
    assert np.allclose(found, oracle.score_samples(OUTSIDE[0].logits.astype(np.float64)))
    assert fitted["lof"]["logits"].shape == INSIDE.logits.shape


def test_an_isolation_forest_fitted_on_validation_is_that_of_scikit_learn():
    part = {"forest": instance("isolation_forest", trees=9, fit_on="validation")}
    oracle = IsolationForest(n_estimators=9, max_samples=len(INSIDE.logits), random_state=42).fit(INSIDE.logits)
    found = score_instances(part, OUTSIDE[0], fit_instances(part, TRAIN, READOUT, INSIDE), None)["forest"]
    assert np.allclose(found, oracle.score_samples(OUTSIDE[0].logits))


@pytest.mark.parametrize(("where", "source"), [("train", TRAIN), ("validation", INSIDE)])
def test_react_cuts_at_the_percentile_of_the_split_it_is_fitted_on(where, source):
    part = {"react": instance("react", percentile=85, fit_on=where)}
    found = fit_instances(part, TRAIN, READOUT, INSIDE)["react"]["threshold"]
    assert found == pytest.approx([np.percentile(source.embedding.astype(np.float64), 85)])
    assert np.percentile(TRAIN.embedding, 85) != pytest.approx(np.percentile(INSIDE.embedding, 85))


def test_instances_side_by_side_are_fitted_each_on_its_own_split():
    parts = {where: instance("lof", neighbours=3, fit_on=where) for where in ("train", "validation")}
    fitted = fit_instances(parts, TRAIN, READOUT, INSIDE)
    assert np.array_equal(fitted["train"]["logits"], TRAIN.logits)
    assert np.array_equal(fitted["validation"]["logits"], INSIDE.logits)


def test_a_fit_on_validation_without_validation_features_is_refused():
    with pytest.raises(ReproError, match=r"'lof' is fitted on ID validation features, which are not given"):
        fit_instances({"lof": instance("lof", fit_on="validation")}, TRAIN, READOUT)


# Through the network


def images(count, seed, low=0):
    pixels = np.random.RandomState(seed).randint(low, 256, (count, 4, 4, 3)).astype(np.uint8)
    return ImageSet(pixels, np.arange(count) % 4, tuple(f"i{n}" for n in range(count)), tuple("abcd"))


@pytest.mark.parametrize(
    "part",
    [
        instance("odin", grid={"temperature": [1, 100.0], "noise": [0, 0.01]}),
        instance("mahalanobis_perturbed", "fpr95", {"normalise": [False, True], "noise": [0, 0.02]}),
    ],
    ids=["odin", "mahalanobis_perturbed"],
)
def test_network_scores_are_tuned_by_their_own_values(part):
    network = Network().eval()
    train = extract(network, images(80, 1), NORMALISATION, CPU, 80)
    sets = [images(20, 2), images(15, 3, low=90), images(30, 4, low=150)]
    measure = through_network(network, train, Readout(), sets, NORMALISATION, CPU, 7)
    found = tune({"one": part}, measure)["one"]
    assert [{k: v for k, v in t.items() if k not in ("auroc", "fpr95")} for t in found["tried"]] == candidates(part)
    for tried in found["tried"]:
        alone = resolved({"one": part}, {"one": {"chosen": {key: tried[key] for key in part["tune"]}}})
        fitted = fit_instances(alone, train, Readout())
        inside, *outside = (network_scores(alone, network, s, fitted, NORMALISATION, CPU, 7)["one"] for s in sets)
        assert tried["auroc"] == pytest.approx(np.mean([area(inside, one) for one in outside]))
        assert tried["fpr95"] == pytest.approx(np.mean([false_positives(inside, one) for one in outside]))
    by, sign = part["tune_by"], 1 if part["tune_by"] == "auroc" else -1
    values = [sign * tried[by] for tried in found["tried"]]
    assert found["chosen"] == candidates(part)[values.index(max(values))]


# Files and rows


CHOICES = {
    "knn": {"chosen": {"k": 3}, "by": "auroc", "tried": [{"k": 3, "auroc": 0.75, "fpr95": 0.5}]},
    "odin": {"chosen": {"noise": 0.0014, "temperature": 1}, "by": "fpr95", "tried": []},
}
ORIGIN = {"format": 1, "kind": TUNED, "settings": {}, "seed": 3, "parents": {"train": "0" * 64}}


def test_choices_and_their_record_come_back(tmp_path):
    write_tuned(tmp_path / "tuned.json", CHOICES, ORIGIN)
    found, origin = read_tuned(tmp_path / "tuned.json")
    assert found == CHOICES
    assert origin.items() >= ORIGIN.items()


def test_equal_choices_make_equal_files(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write_tuned(tmp_path / name / "tuned.json", CHOICES, ORIGIN)
    for name in ("tuned.json", "tuned.json.provenance.json"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


def test_edited_choices_are_refused(tmp_path):
    path = tmp_path / "tuned.json"
    write_tuned(path, CHOICES, ORIGIN)
    path.write_text(path.read_text().replace('"k": 3', '"k": 4'))
    with pytest.raises(ReproError, match=r"tuned\.json was changed after it was made"):
        read_tuned(path)


def test_choices_without_a_record_are_refused(tmp_path):
    path = tmp_path / "tuned.json"
    path.write_text(json.dumps(CHOICES))
    with pytest.raises(ReproError, match="no record of its origin"):
        read_tuned(path)


def test_a_tuned_parameter_is_one_row(tmp_path):
    path = tmp_path / "metrics.csv"
    path.write_text(csv_text(tuned_rows(CHOICES)))
    rows = [(r["score"], r["level"], r["target"], r["metric"], r["rule"], r["value"]) for r in read_csv(path)]
    assert rows == [
        ("knn", "tuned", "k", "chosen", "auroc", "3"),
        ("odin", "tuned", "noise", "chosen", "fpr95", "0.0014"),
        ("odin", "tuned", "temperature", "chosen", "fpr95", "1"),
    ]
    assert tuned_rows({}) == []


# FPR by percentile


ID_SCORES = [0.5, 1, 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4, 4, 4.5, 5, 5, 6]
OOD_SCORES = [-1, -0.5, 0, 0.5, 0.5, 1, 1, 1.5, 2, 2.5, 3, 4.5]


def test_fpr_by_percentile_of_the_golden_scores():
    found = fpr_percentile(np.array(ID_SCORES), np.array(OOD_SCORES))
    assert np.percentile(ID_SCORES, 5) == 0.875
    assert found == 0.5833333333333334


def test_the_percentile_lies_between_two_id_scores():
    assert fpr_percentile(np.array(ID_SCORES), np.array([0.51, 0.87, 0.88, 0.99])) == 0.5


def test_ood_scores_at_the_percentile_are_not_counted():
    inside = np.repeat([0.875, 4.0], [3, 13])  # the percentile falls among equal scores
    assert fpr_percentile(inside, np.array([0.875, 0.875, 0.876, 0.874])) == 0.25


@given(st.lists(LEVELS, min_size=1, max_size=45), st.lists(LEVELS, min_size=1, max_size=20))
def test_fpr_by_percentile_is_that_of_a_threshold_by_hand(inside, outside):
    ranked = sorted(inside)
    place, rest = divmod(5 * (len(ranked) - 1), 100)  # of 5/100 in whole numbers
    following = ranked[min(place + 1, len(ranked) - 1)]
    # 100 * threshold and scores are whole numbers
    threshold = 100 * ranked[place] + rest * (following - ranked[place])
    expected = sum(100 * value > threshold for value in outside) / len(outside)
    assert fpr_percentile(np.array(inside), np.array(outside)) == pytest.approx(expected)


def test_fpr_by_percentile_is_among_the_metrics_of_a_set():
    rows = detection_metrics(np.array(ID_SCORES), np.array(OOD_SCORES))
    assert rows.count(("fpr95", "percentile", 0.5833333333333334)) == 1
    assert len({(metric, rule) for metric, rule, _ in rows}) == len(rows)


# What a paper may ask for


@pytest.fixture(autouse=True)
def known_catalog(monkeypatch):
    """The real catalog, checked once instead of once a study."""
    monkeypatch.setattr("methods.settings.load.load_catalogs", lambda: (copy.deepcopy(CATALOG), {}))


DIGITS = Run("digits", "plain", "corrected", 0)
KNN = {"score": "knn", "k": 5, "label": "KNN", "tune": {"k": [1, 5, 20]}}
ODIN = {"score": "odin", "tune": {"temperature": [1, 1000.0]}, "tune_by": "fpr95"}
BLENDED = {"digits_blended": {}}


def paper(scores, ood_validation=BLENDED, **benchmark):
    """The micro paper with other scores, tuned on blended digits."""
    found = copy.deepcopy(PAPER)
    found["scores"], found["evaluate"] = copy.deepcopy(scores), {"digits": {"plain": list(scores)}}
    found["benchmarks"]["digits"] |= {"ood_validation": ood_validation, **benchmark}
    return found


def study_of(folder, *papers, **config):
    paths = []
    for document in papers:
        path = folder / f"{document['name']}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
        paths.append(str(path))
    return load_study({"papers": paths, "seeds": [0, 1], **config})


def refusal(folder, *papers, **config):
    with pytest.raises(ReproError) as found:
        study_of(folder, *papers, **config)
    return str(found.value)


def tuning_of_table(study, name="micro", table="main"):
    return outputs.table_settings(study, name, study.papers[name]["tables"][table])["tuning"]


def test_a_tuned_instance_reaches_the_steps_with_its_values(tmp_path):
    study = study_of(tmp_path, paper({"knn": KNN, "odin": ODIN, "msp": {"score": "msp"}}))
    knn = {"score": "knn", "tune": {"k": [1, 5, 20]}, "tune_by": "auroc"}
    odin = {"score": "odin", "noise": 0.0014, "tune": ODIN["tune"], "tune_by": "fpr95"}
    msp = {"score": "msp", "temperature": 1.0}
    assert steps.score_settings(study, DIGITS) == {"knn": knn, "odin": odin, "msp": msp}
    found = steps.tune_settings(study, DIGITS)
    assert (found["arrays"], found["network"]) == ({"knn": knn}, {"odin": odin})
    assert found["parts"] == [["digits", "validation"], ["digits_blended", "validation"]]
    assert found["training"] == steps.network_score_settings(study, DIGITS)["training"]
    assert steps.tuned(study, DIGITS)
    assert steps.validation_parts(study, DIGITS) == [("digits", "validation"), ("digits_blended", "validation")]


def test_tuning_from_features_knows_nothing_of_the_network(tmp_path):
    found = steps.tune_settings(study_of(tmp_path, paper({"knn": KNN})), DIGITS)
    assert set(found) == {"arrays", "network", "parts"}
    assert found["network"] == {}


def test_a_metric_that_is_written_out_changes_nothing(tmp_path):
    plain = study_of(tmp_path, paper({"knn": KNN}))
    same = study_of(tmp_path, paper({"knn": {**KNN, "tune_by": "auroc", "label": "Other"}}))
    assert steps.tune_settings(plain, DIGITS) == steps.tune_settings(same, DIGITS)
    other = study_of(tmp_path, paper({"knn": {**KNN, "tune_by": "fpr95"}}))
    assert steps.tune_settings(plain, DIGITS) != steps.tune_settings(other, DIGITS)


def test_ood_validation_sets_stand_in_one_order(tmp_path):
    both = {"photo_patches": {"split": "test"}, "digits_blended": {}}
    found = [
        steps.tune_settings(study_of(tmp_path, paper({"knn": KNN}, dict(order))), DIGITS)["parts"]
        for order in itertools.permutations(both.items())
    ]
    inside, blended = ["digits", "validation"], ["digits_blended", "validation"]
    assert found == [[inside, blended, ["photo_patches", "test"]]] * 2


def test_without_ood_validation_fixed_values_hold(tmp_path):
    study = study_of(tmp_path, paper({"knn": KNN, "odin": ODIN}, {}))
    assert steps.score_settings(study, DIGITS)["knn"] == {"score": "knn", "k": 5}
    assert not steps.tuned(study, DIGITS)
    assert steps.validation_parts(study, DIGITS) == []
    assert tuning_of_table(study) == {"sets": [], "untuned": [["KNN", {"k": 5}], ["odin", {"temperature": 1000.0}]]}


def test_a_fit_on_validation_asks_for_id_validation_alone(tmp_path):
    react = {"score": "react", "fit_on": "validation"}
    study = study_of(tmp_path, paper({"react": react}))
    assert steps.fits_on_validation(study, DIGITS)
    assert not steps.tuned(study, DIGITS)
    assert steps.validation_parts(study, DIGITS) == [("digits", "validation")]
    plain = study_of(tmp_path, paper({"react": {"score": "react"}}))
    assert not steps.fits_on_validation(plain, DIGITS)


@pytest.mark.parametrize(
    "part",
    [
        {"score": "react", "tune": {"fit_on": ["train", "validation"]}},
        {"score": "lof", "fit_on": "validation", "tune": {"neighbours": [1, 2]}},
    ],
)
def test_tuning_on_the_images_of_the_fit_is_refused(part):
    """A detector knows the images it was fitted on: LOF with one neighbour would always win."""
    (problem,) = tuning.grid_problems("own", part)
    assert "scores.own is fitted on the ID validation images that it would be tuned on" in problem


def test_fits_on_validation_reads_an_instance():
    assert tuning.fits_on_validation({"score": "lof", "fit_on": "validation"})
    assert tuning.fits_on_validation({"score": "lof", "fit_on": "train", "tune": {"fit_on": ["train", "validation"]}})
    assert not tuning.fits_on_validation({"score": "lof", "fit_on": "train", "tune": {"neighbours": [1, 2]}})
    assert not tuning.fits_on_validation({"score": "msp"})


def test_what_is_tuned_decides_the_code_a_tuning_depends_on(tmp_path):
    found = [
        digests.tune_digest(study_of(tmp_path, paper(scores)), DIGITS)
        for scores in ({"knn": KNN}, {"knn": KNN, "msp": {"score": "msp"}}, {"knn": KNN, "odin": ODIN})
    ]
    assert found[0] == found[1] != found[2]


def edited(monkeypatch, module):
    """From now on the code of ``module`` reads otherwise."""
    parse = source_digest._parse

    def other(name):
        code, imports = parse(name)
        return (code + "\nedited = True" if name == module else code), imports

    monkeypatch.setattr(source_digest, "_parse", other)


def test_a_tuning_depends_on_the_metrics_it_goes_by(tmp_path, monkeypatch):
    study = study_of(tmp_path, paper({"knn": KNN}))
    before = digests.tune_digest(study, DIGITS), digests.score_digest(study, DIGITS)
    edited(monkeypatch, "methods.metrics.ranking")
    after = digests.tune_digest(study, DIGITS), digests.score_digest(study, DIGITS)
    assert before[0] != after[0]
    assert before[1] == after[1]


def test_scoring_through_the_network_depends_on_no_metric(tmp_path, monkeypatch):
    study = study_of(tmp_path, paper({"odin": {"score": "odin"}}))
    before = digests.network_score_digest(study, DIGITS)
    edited(monkeypatch, "methods.metrics.ranking")
    assert digests.network_score_digest(study, DIGITS) == before


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"tune": {"kk": [1, 2]}}, "scores.knn.tune names 'kk': did you mean 'k'?"),
        ({"tune": {"score": ["knn", "msp"]}}, "scores.knn.tune names 'score': known: k"),
        ({"tune": {"label": ["a", "b"]}}, "scores.knn.tune names 'label': known: k"),
        ({"tune": {"k": [1, 0]}}, "scores.knn.tune.k.1: 0 is less than the minimum of 1"),
        ({"tune": {"k": [1, 2.5]}}, "scores.knn.tune.k.1 is 2.5, expected a whole number"),
        ({"tune": {"k": [None, 1]}}, "scores.knn.tune.k.0 is None, expected a whole number"),
        ({"tune": {"k": [1, True]}}, "scores.knn.tune.k.1 is True, expected a whole number"),
        ({"tune": {"k": [1]}}, "scores.knn.tune.k: [1] is too short"),
        ({"tune": {"k": [1, 2, 1]}}, "scores.knn.tune.k: [1, 2, 1] has non-unique elements"),
        ({"tune": {"k": 5}}, "scores.knn.tune.k is 5, expected a list"),
        ({"tune": {}}, "scores.knn.tune: {} should be non-empty"),
        ({"tune_by": "aurok"}, "scores.knn.tune_by is 'aurok': did you mean 'auroc'?"),
        ({"tune": None}, "scores.knn.tune is None, expected a mapping"),
    ],
)
def test_a_grid_that_does_not_fit_is_refused(tmp_path, change, message):
    assert message in refusal(tmp_path, paper({"knn": {**KNN, **change}}))


def test_a_metric_without_a_grid_is_refused(tmp_path):
    knn = {"score": "knn", "k": 5, "tune_by": "auroc"}
    assert "scores.knn has tune_by without tune" in refusal(tmp_path, paper({"knn": knn}))


def test_a_tuned_score_needs_the_value_that_holds_without_tuning(tmp_path):
    knn = {"score": "knn", "tune": {"k": [1, 2]}}
    message = refusal(tmp_path, paper({"knn": knn}))
    assert "scores.knn lacks the key 'k': the value that holds where a benchmark has no ood_validation set" in message


@pytest.mark.parametrize(
    ("sets", "message"),
    [
        ({"digits_blendet": {}}, "digits.ood_validation names 'digits_blendet': did you mean 'digits_blended'?"),
        ({"digits_blended": {"split": "tests"}}, "split of digits_blended names 'tests': known: validation"),
        ({"digits_blended": {"splits": "x"}}, "digits_blended has the unknown key 'splits': did you mean 'split'?"),
        ({"digits": {}}, "digits.ood_validation holds the ID set 'digits' itself"),
        ({"digits": {}}, "ood_validation: digits/validation shares images with digits/validation"),
        ({"digits": {"split": "train"}}, "ood_validation: digits/train shares images with digits/train"),
        ({"digits": {"split": "test"}}, "ood_validation: digits/test shares images with digits/test"),
        ({"uniform_noise": {"split": "test"}}, "uniform_noise/test shares images with uniform_noise/test"),
        ({"blended_mosaics": {}}, "asks for 8 pixels without resizing, blended_mosaics has 16x16"),
    ],
)
def test_ood_validation_that_is_unknown_or_not_apart_is_refused(tmp_path, sets, message):
    assert message in refusal(tmp_path, paper({"knn": KNN}, sets))


def test_ood_validation_apart_from_an_exposure_is_asked_for(tmp_path):
    exposure = {"dataset": "photo_patches", "split": "test"}
    document = paper({"knn": KNN}, {"photo_patches": {"split": "test"}}, outlier_exposure=exposure)
    assert "ood_validation: photo_patches/test shares images with photo_patches/test" in refusal(tmp_path, document)
    assert study_of(tmp_path, paper({"knn": KNN}, outlier_exposure=exposure))


@pytest.mark.parametrize("score", [KNN, {"score": "react", "fit_on": "validation"}])
@pytest.mark.parametrize("role", ["train", "test"])
def test_id_validation_apart_from_training_and_test_is_asked_for(tmp_path, score, role):
    inside = {"dataset": "digits", "validation": role}
    message = refusal(tmp_path, paper({"one": score}, in_distribution=inside))
    assert f"one is tuned or fitted on digits/{role}, which shares images with digits/{role}" in message
    assert study_of(tmp_path, paper({"one": {"score": "msp"}}, in_distribution=inside))


def test_an_instance_that_is_not_tuned_on_a_benchmark_asks_nothing_of_its_validation_split(tmp_path):
    inside = {"dataset": "digits", "validation": "test"}
    assert study_of(tmp_path, paper({"knn": KNN}, {}, in_distribution=inside))


def test_every_problem_of_a_study_is_told_at_once(tmp_path):
    message = refusal(tmp_path, paper({"knn": {**KNN, "tune": {"kk": [1, 2]}}}, {"digits": {}}))
    assert "scores.knn.tune names 'kk'" in message
    assert "holds the ID set 'digits' itself" in message


def test_an_ood_validation_set_that_cannot_be_had_leaves_the_others(tmp_path):
    sets = {"digits_blended": {}, "photo_patches": {"split": "test"}}
    study = study_of(tmp_path, paper({"knn": KNN}, sets), datasets={"unavailable": ["digits_blended"]})
    (notice,) = study.notices
    for words in ("digits_blended", "tuned without", "not available here (config.datasets.unavailable)"):
        assert words in notice
    assert steps.tune_settings(study, DIGITS)["parts"] == [["digits", "validation"], ["photo_patches", "test"]]
    assert tuning_of_table(study) == {"sets": ["Photo patches"], "untuned": []}


def test_without_any_ood_validation_set_left_fixed_values_hold(tmp_path):
    study = study_of(tmp_path, paper({"knn": KNN}), datasets={"unavailable": ["digits_blended"]})
    assert not steps.tuned(study, DIGITS)
    assert steps.score_settings(study, DIGITS) == {"knn": {"score": "knn", "k": 5}}
    assert tuning_of_table(study) == {"sets": [], "untuned": [["KNN", {"k": 5}]]}


def test_a_notice_on_the_last_ood_validation_set_does_not_say_that_scores_are_tuned(tmp_path):
    (notice,) = study_of(tmp_path, paper({"knn": KNN}), datasets={"unavailable": ["digits_blended"]}).notices
    assert "tuned without" not in notice


def test_a_score_left_out_is_neither_tuned_nor_noted(tmp_path):
    document = paper({"msp": {"score": "msp", "tune": {"temperature": [1, 2]}}, "knn": {"score": "knn", "k": 5}})
    recipe = document["recipes"]["plain"]
    document["recipes"]["plain"] = {**recipe, "objective": {"name": "adapt", "top_k": 2}, "projector": {}}
    del document["recipes"]["plain"]["head"]
    study = study_of(tmp_path, document)
    assert study.left_out_scores["digits", "plain"].keys() == {"msp"}
    assert not steps.tuned(study, DIGITS)
    assert steps.validation_parts(study, DIGITS) == []
    document["benchmarks"]["digits"]["ood_validation"] = {}
    assert tuning_of_table(study_of(tmp_path, document)) == {"sets": [], "untuned": []}


def test_a_paper_that_uses_a_benchmark_tunes_on_its_sets(tmp_path):
    first, second = paper({"msp": {"score": "msp"}}), paper({"knn": KNN})
    second |= {
        "name": "other",
        "benchmarks": {"digits": {"use": "micro"}},
        "recipes": {"mine": PAPER["recipes"]["plain"]},
    }
    second["evaluate"] = {"digits": {"mine": ["knn"]}}
    study = study_of(tmp_path, first, second)
    assert not steps.tuned(study, DIGITS)
    assert steps.tuned(study, Run("digits", "mine", "corrected", 0))
    assert tuning_of_table(study, "other")["sets"] == ["Blended digits"]


def test_one_instance_with_two_grids_in_two_papers_is_refused(tmp_path):
    first, second = paper({"knn": KNN}), paper({"knn": {**KNN, "tune": {"k": [1, 5]}}})
    second |= {
        "name": "other",
        "benchmarks": {"digits": {"use": "micro"}},
        "recipes": {"mine": PAPER["recipes"]["plain"]},
    }
    second["evaluate"] = {"digits": {"mine": ["knn"]}}
    assert "'knn' of other is defined otherwise by another paper" in refusal(tmp_path, first, second)


# Tables


TABLE = {
    "kind": "main",
    "caption": "Tuned",
    "task": "single_label",
    "metrics": ["fpr95", "auroc"],
    "fpr_rule": "closest",
    "aupr_rule": "average_precision",
    "groups": [],
    "left_out": [],
    "left_out_scores": [],
    "runs": [["plain", "corrected", 0], ["plain", "corrected", 1]],
    "methods": [["plain", "Plain"]],
    "scores": [["msp", "MSP"], ["knn", "KNN"]],
    "sets": [
        {"name": "tin", "title": "Tiny", "groups": [], "relation": None, "shared_classes": [], "available": True},
        {"name": "lsun", "title": "LSUN", "groups": [], "relation": None, "shared_classes": [], "available": True},
    ],
    "run_scores": {"plain": ["msp", "knn"]},
    "tuning": {"sets": ["Blended digits"], "untuned": []},
    "imported": [],
    "seeds": [0, 1],
    "precision": "fp32",
}
RULES = {
    "fpr95": ("closest", "at_least", "percentile", "ood_positive"),
    "aupr_in": ("average_precision", "trapezoid"),
    "aupr_out": ("average_precision", "trapezoid"),
    "auroc": ("",),
}


def row(score, level, target, metric, rule, value):
    keys = ("score", "level", "target", "metric", "rule", "value", "complete")
    return dict(zip(keys, (score, level, target, metric, rule, str(value), "1 of 1"), strict=True))


def value_of(metric, rule):
    """A value of its own for every metric and rule."""
    pairs = [(m, r) for m, rules in RULES.items() for r in rules]
    return (pairs.index((metric, rule)) + 1) / 100


def metric_rows(score):
    return [
        row(score, "set", target, metric, rule, value_of(metric, rule))
        for target in ("tin", "lsun")
        for metric, rules in RULES.items()
        for rule in rules
    ]


def run_rows(*chosen):
    """Rows of one run; ``chosen`` are (score, parameter, value) or with the metric as the fourth."""
    more = [row(c[0], "tuned", c[1], "chosen", c[3] if len(c) > 3 else "auroc", c[2]) for c in chosen]
    return [*metric_rows("msp"), *metric_rows("knn"), *more]


def table_of(*rows, method="plain", **changes):
    """A table of one run a seed."""
    runs = [((method, "corrected", seed), part) for seed, part in enumerate(rows)]
    return main_table({**TABLE, **changes}, runs)


def test_a_tuned_score_has_a_mark_and_a_note():
    found = table_of(run_rows(("knn", "k", "3")), run_rows(("knn", "k", "3")))
    assert found.rows == [("Plain", "MSP"), ("Plain", "KNN†")]
    assert found.notes == ["† KNN, Plain: k = 3, chosen by mean AUROC of ID validation against Blended digits."]


def test_a_table_without_tuned_scores_has_neither():
    found = table_of(run_rows(), run_rows())
    assert found.rows == [("Plain", "MSP"), ("Plain", "KNN")]
    assert found.notes == []


def test_seeds_that_chose_otherwise_are_told_apart():
    found = table_of(run_rows(("knn", "k", "3", "fpr95")), run_rows(("knn", "k", "10", "fpr95")))
    assert found.notes == [
        "† KNN, Plain: k = 3 (seed 0); k = 10 (seed 1), chosen by mean FPR95 of ID validation against Blended digits."
    ]


def test_a_note_names_every_parameter_and_every_set():
    rows = run_rows(("msp", "noise", "0.0"), ("msp", "temperature", "10"))
    (note,) = table_of(rows, tuning={"sets": ["Blended digits", "Photo patches"], "untuned": []}).notes
    assert "MSP, Plain: noise = 0.0, temperature = 10, chosen" in note
    assert note.endswith("against Blended digits and Photo patches.")


def test_protocols_of_a_method_have_a_note_each():
    runs = [(("plain", p, 0), run_rows(("knn", "k", k))) for p, k in (("corrected", "1"), ("released", "9"))]
    found = main_table({**TABLE, "runs": [["plain", p, 0] for p in ("corrected", "released")]}, runs)
    assert [note.split(",")[1] for note in found.notes] == [" Plain (corrected): k = 1", " Plain (released): k = 9"]


def test_a_score_that_could_not_be_tuned_is_noted_with_its_values():
    untuned = [["KNN", {"k": 5}], ["ODIN", {"noise": 0.0014, "temperature": 1000.0}]]
    found = table_of(run_rows(), tuning={"sets": [], "untuned": untuned})
    assert found.rows == [("Plain", "MSP"), ("Plain", "KNN")]
    assert found.notes == [
        "KNN is not tuned, there is no OOD validation set: k = 5.",
        "ODIN is not tuned, there is no OOD validation set: noise = 0.0014, temperature = 1000.0.",
    ]


def test_marks_and_notes_are_in_every_form():
    scores, methods = [["knn", "K|N*N & <b>_50%"]], [["plain", "P_l & <i>"]]
    chosen = ("knn", "images_per_tree", "3")
    found = table_of(run_rows(chosen), run_rows(chosen), scores=scores, methods=methods)
    label = next(csv.DictReader(io.StringIO(to_csv(found))))["score"]
    assert label == "K|N*N & <b>_50%†"
    markdown = to_markdown(found)
    assert r"| P_l & <i> | K\|N\*N & <b>_50%† |" in markdown
    assert markdown.rstrip().splitlines()[-1].startswith(r"† K\|N\*N & <b>_50%, P_l & <i>: images_per_tree = 3, chosen")
    latex = to_latex(found, "main")
    assert r"K|N*N \& \textless{}b\textgreater{}\_50\%\textdagger{} &" in latex
    assert r"\textdagger{} K|N*N \& \textless{}b\textgreater{}\_50\%, P\_l" in latex
    assert r"images\_per\_tree = 3, chosen by mean AUROC" in latex
    assert "†" not in latex
    page = to_html(found)
    assert "<th>K|N*N &amp; &lt;b&gt;_50%†</th>" in page
    assert "<p>† K|N*N &amp; &lt;b&gt;_50%, P_l &amp; &lt;i&gt;: images_per_tree = 3, chosen by" in page


def test_a_table_of_ranks_keeps_marks_and_notes():
    changes = {"kind": "ranks", "metrics": ["auroc"], "seeds": [0, 1, 2]}
    changes["sets"] = [{**TABLE["sets"][0], "name": name, "title": name} for name in ("a", "b", "c")]

    def rows(value):
        sets = [row(s, "set", t, "auroc", "", value) for s in ("msp", "knn") for t in "abc"]
        return [*sets, row("knn", "tuned", "k", "chosen", "auroc", 3)]

    runs = [(("plain", "corrected", seed), rows(0.5 + seed / 10)) for seed in range(3)]
    found = ranks_table({**TABLE, **changes}, runs)
    assert [label for _, label in found.rows] == ["MSP", "KNN†"]
    assert found.notes[0].startswith("† KNN, Plain: k = 3, chosen by mean AUROC")


@pytest.mark.parametrize("rule", RULES["fpr95"])
def test_a_table_shows_fpr_by_its_rule(rule):
    found = table_of(run_rows(), fpr_rule=rule, metrics=["fpr95"])
    assert [cell.mean for cell in found.cells[0][1:]] == [value_of("fpr95", rule)] * 2
    words = {
        "percentile": "FPR strictly above the interpolated 5th percentile of ID scores, ID positive",
        "ood_positive": "OOD positive",
    }
    assert words.get(rule, "ID positive") in found.caption


@pytest.mark.parametrize("rule", RULES["aupr_in"])
def test_a_table_shows_aupr_by_its_rule(rule):
    found = table_of(run_rows(), aupr_rule=rule, metrics=["fpr95", "aupr_in", "aupr_out"])
    closest, values = value_of("fpr95", "closest"), [value_of(metric, rule) for metric in ("aupr_in", "aupr_out")]
    assert [cell.mean for cell in found.cells[0][1:]] == [closest, *values] * 2
    words = {
        "average_precision": "AUPR: average precision.",
        "trapezoid": "AUPR: area under the precision-recall curve by trapezoids.",
    }
    for name, text in words.items():
        assert (text in found.caption) == (name == rule)
    assert "FPR95: FPR at the threshold whose TPR is closest to 95 %" in found.caption


def test_rules_of_a_table_are_read_from_the_paper(tmp_path):
    document = paper({"msp": {"score": "msp"}})
    document["tables"]["main"] |= {"fpr_rule": "percentile", "aupr_rule": "trapezoid"}
    study = study_of(tmp_path, document)
    found = outputs.table_settings(study, "micro", study.papers["micro"]["tables"]["main"])
    assert (found["fpr_rule"], found["aupr_rule"]) == ("percentile", "trapezoid")
    document["tables"]["main"] |= {"fpr_rule": "percentil"}
    assert "fpr_rule is 'percentil': did you mean 'percentile'?" in refusal(tmp_path, document)
    document["tables"]["main"] |= {"fpr_rule": "percentile", "aupr_rule": "trapez"}
    assert "aupr_rule is 'trapez': did you mean 'trapezoid'?" in refusal(tmp_path, document)
    plain = study_of(tmp_path, paper({"msp": {"score": "msp"}})).papers["micro"]["tables"]["main"]
    assert (plain["fpr_rule"], plain["aupr_rule"]) == ("closest", "average_precision")


def test_a_tuned_score_without_any_ood_set_has_no_row():
    rows = [row("knn", "tuned", "k", "chosen", "auroc", 3)]
    with pytest.raises(ReproError, match="has no row"):
        table_of(rows, sets=[{**part, "available": False} for part in TABLE["sets"]])


def test_a_chosen_null_is_a_word_in_the_note(tmp_path):
    path = tmp_path / "metrics.csv"
    rows = tuned_rows({"knn": {"chosen": {"threshold": None}, "by": "auroc", "tried": []}})
    path.write_text(csv_text([*run_rows(), *rows]))
    (note,) = table_of(read_csv(path)).notes
    assert "threshold = null, chosen" in note
