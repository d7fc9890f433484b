"""Metrics against the specification's golden vectors, scikit-learn, a slow loop, and what must not change them."""

import statistics
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sklearn.metrics import auc, average_precision_score, precision_recall_curve, roc_auc_score

from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.metrics.calibration import expected_calibration_error
from methods.metrics.counts import Counts, average_precision, count, trapezoid_precision
from methods.metrics.evaluation import evaluation_rows
from methods.metrics.identification import accuracy, mean_average_precision, nearest_class_mean, nearest_prototype
from methods.metrics.openset import oscr
from methods.metrics.ranking import FPR_RULES, auroc, detection_metrics, fpr_at_least, fpr_closest
from methods.metrics.seeds import spread
from methods.metrics.uncertainty import bootstrap_intervals
from methods.metrics.vectors import unit_rows
from tests import golden

ID = np.array([0.5, 1, 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4, 4, 4.5, 5, 5, 6])
OOD = np.array([-1, -0.5, 0, 0.5, 0.5, 1, 1, 1.5, 2, 2.5, 3, 4.5])
DETECTION_ERROR = min((np.mean(t > ID) + np.mean(t <= OOD)) / 2 for t in [*ID, *OOD])
GOLDEN = {
    ("auroc", ""): 0.7890625,
    ("fpr95", "closest"): 0.5833333333333334,
    ("fpr95", "at_least"): 0.75,
    ("fpr95", "ood_positive"): 0.8125,
    ("fpr95", "percentile"): 0.5833333333333334,
    ("aupr_in", "average_precision"): 0.8137961691086691,
    ("aupr_out", "average_precision"): 0.7459640522875818,
    ("aupr_in", "trapezoid"): 0.8268996108058608,
    ("aupr_out", "trapezoid"): 0.7771415885194659,
    ("detection_error", ""): DETECTION_ERROR,
}

repeatable = settings(max_examples=60, deadline=None, derandomize=True, database=None)
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=30).map(lambda values: np.array(values, dtype=float))


def metrics(inside, outside):
    return {(metric, rule): value for metric, rule, value in detection_metrics(inside, outside)}


def joined(inside, outside):
    """Truth (1 = ID) and scores in one array, as scikit-learn wants them."""
    return np.repeat([1, 0], [len(inside), len(outside)]), np.concatenate([inside, outside])


def random_scores(seed):
    """Some hundred scores on a coarse grid, so that most of them are tied."""
    draw = np.random.default_rng(seed)
    n, m = draw.integers(5, 400, size=2)
    return draw.normal(1, 1, n).round(1), draw.normal(0, 1.5, m).round(1)


def rates(inside, outside, threshold):
    """Exact TPR and FPR at a threshold."""
    tpr = Fraction(sum(s >= threshold for s in inside), len(inside))
    return tpr, Fraction(sum(s >= threshold for s in outside), len(outside))


def closest_by_loop(inside, outside):
    """From the highest threshold with TPR 1 upward, FPR where TPR is closest to 0.95, the first of equals."""
    best = None
    for threshold in sorted({*inside, *outside}):
        tpr, fpr = rates(inside, outside, threshold)
        if tpr == 1:
            best = None
        if best is None or abs(tpr - Fraction(95, 100)) < best[0]:
            best = abs(tpr - Fraction(95, 100)), fpr
    return float(best[1])


@pytest.mark.parametrize(("metric", "rule"), GOLDEN)
def test_metrics_match_the_golden_values(metric, rule):
    assert metrics(ID, OOD)[metric, rule] == pytest.approx(GOLDEN[metric, rule], abs=1e-15)


def test_closest_rule_with_ood_positive_matches_the_golden_value():
    assert fpr_closest(count(-OOD, -ID)) == 0.75


def test_every_metric_has_its_golden_value():
    assert set(metrics(ID, OOD)) == set(GOLDEN)


@pytest.mark.parametrize(
    ("rule", "per_class", "mean"),
    [
        ("trapezoid", [0.29166666666666663, 0.6333333333333333, 0.2875, 0.6625], 0.46875),
        ("average_precision", [0.41666666666666663, 0.6666666666666666, 0.45, 0.7], 0.5583333333333333),
    ],
)
def test_map_matches_the_golden_values(rule, per_class, mean):
    logits, labels, _ = (part.numpy() for part in golden.multi_label())
    probabilities = 1 / (1 + np.exp(-logits))
    found = [mean_average_precision(probabilities[:, [c]], labels[:, [c]], rule) for c in range(4)]
    np.testing.assert_allclose(found, per_class, rtol=0, atol=1e-15)
    assert mean_average_precision(probabilities, labels, rule) == pytest.approx(mean, abs=1e-15)
    assert mean_average_precision(logits, labels, rule) == pytest.approx(mean, abs=1e-15)


def same_as_scikit_learn(inside, outside):
    truth, scores = joined(inside, outside)
    found = metrics(inside, outside)
    precision, recall, _ = precision_recall_curve(truth, scores)
    precision_out, recall_out, _ = precision_recall_curve(1 - truth, -scores)
    expected = {
        ("auroc", ""): roc_auc_score(truth, scores),
        ("aupr_in", "average_precision"): average_precision_score(truth, scores),
        ("aupr_out", "average_precision"): average_precision_score(1 - truth, -scores),
        ("aupr_in", "trapezoid"): auc(recall, precision),
        ("aupr_out", "trapezoid"): auc(recall_out, precision_out),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=0, abs=1e-12), name


@repeatable
@given(tied, tied)
def test_areas_equal_scikit_learn_on_ties(inside, outside):
    same_as_scikit_learn(inside, outside)


@pytest.mark.parametrize("seed", range(10))
def test_areas_equal_scikit_learn_on_random_data(seed):
    same_as_scikit_learn(*random_scores(seed))


@repeatable
@given(tied, tied)
def test_closest_rule_equals_a_slow_loop(inside, outside):
    assume(len(inside) % 10)  # with a multiple of ten two thresholds can be equally close, and rounding decides
    assert fpr_closest(count(inside, outside)) == closest_by_loop(inside, outside)


@pytest.mark.parametrize("seed", range(10))
def test_closest_rule_equals_a_slow_loop_on_random_data(seed):
    inside, outside = random_scores(seed)
    inside = inside[: len(inside) - (len(inside) % 10 == 0)]
    assert fpr_closest(count(inside, outside)) == closest_by_loop(inside, outside)


@repeatable
@given(tied, tied)
def test_at_least_rule_is_the_lowest_fpr_that_keeps_95_percent(inside, outside):
    kept = [rates(inside, outside, t) for t in {*inside, *outside}]
    assert fpr_at_least(count(inside, outside)) == float(min(fpr for tpr, fpr in kept if 20 * tpr >= 19))


def test_at_least_rule_counts_exactly_95_percent_as_enough():
    inside = np.arange(20.0)
    assert fpr_at_least(count(inside, np.array([0.0, 0.5, 1.0, 9.0]))) == 0.5


def counted(inside, outside):
    """All metrics but the one rule that interpolates between scores instead of counting."""
    return [row for row in detection_metrics(inside, outside) if row[1] != "percentile"]


@repeatable
@given(tied, tied, st.sampled_from([np.arctan, np.exp, lambda s: s**3 + s, lambda s: 1e-3 * s - 7]))
def test_every_metric_ignores_strictly_monotone_maps(inside, outside, transform):
    assert counted(transform(inside), transform(outside)) == counted(inside, outside)


@repeatable
@given(tied, tied, st.randoms(use_true_random=False))
def test_every_metric_ignores_order(inside, outside, random):
    shuffled = [np.array(random.sample(list(scores), len(scores))) for scores in (inside, outside)]
    assert detection_metrics(*shuffled) == detection_metrics(inside, outside)


@repeatable
@given(tied, tied)
def test_every_metric_ignores_duplication_of_all_samples(inside, outside):
    assert counted(np.repeat(inside, 2), np.tile(outside, 2)) == counted(inside, outside)


@repeatable
@given(tied, tied)
def test_exchanging_the_classes_gives_one_minus_auroc(inside, outside):
    assert auroc(count(outside, inside)) == pytest.approx(1 - auroc(count(inside, outside)), abs=1e-12)


@repeatable
@given(tied, tied)
def test_swapped_counts_are_those_of_negated_scores(inside, outside):
    swapped, direct = count(inside, outside).swapped(), count(-outside, -inside)
    np.testing.assert_array_equal(swapped.positives, direct.positives)
    np.testing.assert_array_equal(swapped.negatives, direct.negatives)


def test_perfect_separation_is_perfect_by_every_metric():
    for (metric, _), value in metrics(np.arange(5.0) + 10, np.arange(7.0)).items():
        assert value == (0 if metric in ("fpr95", "detection_error") else 1)


def test_constant_scores_are_worth_nothing():
    counts = count(np.ones(3), np.ones(9))
    assert auroc(counts) == 0.5
    assert {rule(counts) for rule in FPR_RULES.values()} == {1.0}
    assert average_precision(counts) == 0.25


def test_large_counts_do_not_overflow():
    many = Counts(np.array([10**9, 2 * 10**9]), np.array([0, 10**9]))
    assert auroc(many) == 0.75
    assert trapezoid_precision(many) == pytest.approx(0.5 + (1 + 2 / 3) / 4)


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(broken):
    with pytest.raises(ReproError, match="2 of 3 ID scores are NaN or infinite"):
        count(np.array([broken, 1, broken]), OOD)
    with pytest.raises(ReproError, match="1 of 2 OOD scores are NaN or infinite"):
        count(ID, np.array([broken, 1]))


def test_empty_sets_are_refused():
    with pytest.raises(ReproError, match="There are no ID scores"):
        detection_metrics(np.array([]), OOD)
    with pytest.raises(ReproError, match="There are no OOD scores"):
        detection_metrics(ID, np.array([]))
    with pytest.raises(ReproError, match="There are no labels"):
        accuracy(np.array([]), np.array([]))


def test_nearest_class_mean_normalises_both_sides():
    train = np.array([[100.0, 0], [0, 1], [0, 1]])
    labels = np.array([0, 0, 1])  # mean of class 0 is (.5, .5) on the sphere, but points along x without it
    queries = np.array([[3.0, 2.9], [0.1, 9], [5, 0]])
    assert nearest_class_mean(queries, train, labels).tolist() == [0, 1, 0]


def test_nearest_class_mean_returns_the_names_of_the_classes():
    assert nearest_class_mean(np.eye(2), np.eye(2), np.array([7, 3])).tolist() == [7, 3]


def test_nearest_prototype_takes_the_best_of_several_a_class():
    prototypes, classes = np.array([[1.0, 0], [-1, 0], [0, 1]]), np.array([4, 4, 9])
    assert nearest_prototype(np.array([[-0.9, 0.1], [0.9, 0.1], [0.1, 0.9]]), prototypes, classes).tolist() == [4, 4, 9]


def test_a_zero_row_stays_zero():
    np.testing.assert_array_equal(unit_rows(np.array([[0.0, 0], [3, 4]])), [[0, 0], [0.6, 0.8]])


def test_map_leaves_out_classes_without_positives_or_negatives():
    logits, labels, _ = (part.numpy() for part in golden.multi_label())
    none, every = np.zeros((6, 1)), np.ones((6, 1))
    found = mean_average_precision(np.hstack([none, logits, none]), np.hstack([none, labels, every]))
    assert found == mean_average_precision(logits, labels)


def test_map_without_a_usable_class_is_refused():
    with pytest.raises(ReproError, match="No class has positive and negative images"):
        mean_average_precision(np.eye(2), np.array([[1, 0], [1, 0]]))


def test_one_seed_has_no_deviation():
    one = spread([0.25])
    assert (one.mean, one.count) == (0.25, 1)
    assert np.isnan(one.std)


@repeatable
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.randoms(use_true_random=False))
def test_spread_is_that_of_the_statistics_module_in_any_order(values, random):
    found = spread(values)
    assert found.mean == pytest.approx(statistics.mean(values), abs=1e-15)
    assert found.std == pytest.approx(statistics.stdev(values), rel=1e-9, abs=1e-15)
    assert spread(random.sample(values, len(values))) == found


SETTINGS = {
    "task": "single_label",
    "groups": {"near": ["a"], "far": ["b", "c"], "lost": ["b", "gone"], "off": ["gone"]},
    "bootstrap": 0,
}
TRAIN = Features(np.array([[2.0, 0], [3, 0], [0, 1]]), np.array([0, 0, 1]), ("r", "s", "t"))
LABELS = np.array([0, 1, 1, 1])
TEST = Features(
    np.array([[1.0, 0.1], [0.1, 1], [1, 0.2], [0.2, 1]]),  # one of four is wrong by class mean
    LABELS,
    ("u", "v", "w", "x"),
    logits=np.eye(2)[[0, 1, 0, 0]],  # two are wrong by the classifier
    projection=np.eye(2)[[0, 1, 1, 1]],  # none by the nearest prototype
)
READOUT = Readout(prototypes=np.eye(2), prototype_classes=np.array([0, 1]))


def rows_of(test=TEST, readout=READOUT, task="single_label"):
    draw = np.random.default_rng(0)
    inside = {"msp": draw.normal(1, 1, len(LABELS)), "knn": draw.normal(2, 1, len(LABELS))}
    sets = {name: {"msp": draw.normal(0, 1, 17), "knn": draw.normal(0, 1, 17)} for name in "abc"}
    return evaluation_rows({**SETTINGS, "task": task}, inside, sets, TRAIN, test, readout), inside, sets


def pick(rows, **wanted):
    return [row for row in rows if all(row[key] == value for key, value in wanted.items())]


def test_every_score_has_every_metric_on_every_set():
    rows, inside, sets = rows_of()
    for score in inside:
        for name in sets:
            found = {(r["metric"], r["rule"]): r["value"] for r in pick(rows, score=score, level="set", target=name)}
            expected = metrics(inside[score], sets[name][score])
            for rule, classes in {"class_mean": [0, 1, 0, 1], "classifier": [0, 1, 0, 0], "prototype": LABELS}.items():
                expected["oscr", rule] = oscr(inside[score], np.array(classes), LABELS, sets[name][score])
            assert found == expected


def test_rows_are_of_three_levels_and_finite():
    rows, _, _ = rows_of()
    assert {row["level"] for row in rows} == {"set", "group", "id"}
    assert all(row["value"] == "" or np.isfinite(row["value"]) for row in rows)
    assert {row["level"] for row in rows if row["value"] == ""} == {"group"}


def test_group_averages_come_from_unrounded_values():
    rows, _, _ = rows_of()
    for metric, rule in GOLDEN:
        found = {r["target"]: r for r in pick(rows, score="knn", metric=metric, rule=rule)}
        assert found["far"]["value"] == (found["b"]["value"] + found["c"]["value"]) / 2
        assert found["near"]["value"] == found["a"]["value"]
        assert found["far"]["complete"] == "2 of 2"


@pytest.mark.parametrize(("group", "complete"), [("lost", "1 of 2"), ("off", "0 of 1")])
def test_a_group_that_lacks_a_set_is_blank_and_says_how_much_there_is(group, complete):
    found = pick(rows_of()[0], level="group", target=group)
    assert len(found) == 2 * (len(GOLDEN) + 3)  # OSCR by three ways to predict
    assert {(row["value"], row["complete"]) for row in found} == {("", complete)}


def test_id_accuracy_is_told_by_class_mean_classifier_and_prototype():
    found = pick(rows_of()[0], level="id")
    assert {(r["metric"], r["rule"]): r["value"] for r in found} == {
        ("accuracy", "class_mean"): 0.75,
        ("accuracy", "classifier"): 0.5,
        ("accuracy", "prototype"): 1.0,
        ("ece", "15_bins"): expected_calibration_error(TEST.logits, LABELS),
    }


def test_id_accuracy_leaves_out_what_a_model_does_not_have():
    bare = Features(TEST.embedding, LABELS, TEST.sample_ids)
    assert [r["rule"] for r in pick(rows_of(bare, Readout())[0], level="id")] == ["class_mean"]


def test_id_rows_of_several_labels_are_map_by_both_rules():
    several = Features(TEST.embedding, np.eye(2)[LABELS], TEST.sample_ids, logits=TEST.logits)
    found = pick(rows_of(several, Readout(), "multi_label")[0], level="id")
    expected = [
        ("map", rule, mean_average_precision(several.logits, several.labels, rule))
        for rule in ("average_precision", "trapezoid")
    ]
    assert [(r["metric"], r["rule"], r["value"]) for r in found] == [*expected, ("map_classes", "counted", 2.0)]


def test_a_broken_score_does_not_become_a_row():
    with pytest.raises(ReproError, match="NaN or infinite"):
        evaluation_rows(SETTINGS, {"msp": np.array([1, np.nan])}, {"a": {"msp": OOD}}, TRAIN, TEST, READOUT)


def test_bootstrap_intervals_are_rows_of_their_own_and_no_part_of_averages():
    draw = np.random.default_rng(4)
    inside, outside = {"msp": draw.normal(1, 1, 40)}, {"a": {"msp": draw.normal(0, 1, 50)}}
    test = Features(np.eye(2)[[0, 1] * 20], np.array([0, 1] * 20), tuple(map(str, range(40))))
    rows = evaluation_rows({**SETTINGS, "bootstrap": 200}, inside, outside, TRAIN, test, Readout())
    plain = evaluation_rows(SETTINGS, inside, outside, TRAIN, test, Readout())
    assert [row for row in rows if row["level"] != "interval"] == plain
    found = {(r["metric"], r["rule"]): r["value"] for r in pick(rows, level="interval", target="a")}
    expected = bootstrap_intervals((inside["msp"], outside["a"]["msp"]), replicates=200)
    assert found["auroc", "low95"] == expected["auroc", ""].low
    assert found["fpr95", "at_least:high95"] == expected["fpr95", "at_least"].high
    assert found["auroc", "low95"] < metrics(inside["msp"], outside["a"]["msp"])["auroc", ""] < found["auroc", "high95"]
