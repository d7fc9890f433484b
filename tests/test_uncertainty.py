"""Intervals, ranks, open-set and calibration metrics against naive formulas, scikit-learn and SciPy."""

import time
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import roc_auc_score, roc_curve

from methods.errors import ReproError
from methods.metrics.calibration import calibration_error, expected_calibration_error
from methods.metrics.counts import count, rank
from methods.metrics.openset import oscr
from methods.metrics.ranking import auroc, detection_error, detection_metrics
from methods.metrics.ranks import average_ranks, critical_difference
from methods.metrics.seeds import spread
from methods.metrics.uncertainty import (
    STATISTICS,
    bootstrap,
    bootstrap_intervals,
    bootstrap_sets,
    exceeds_noise,
    paired_intervals,
    t_interval,
    welch_interval,
)

repeatable = settings(max_examples=60, deadline=None, derandomize=True, database=None)
tied = st.lists(st.integers(-4, 4), min_size=1, max_size=25).map(lambda values: np.array(values, dtype=float))
ID = np.array([0.5, 1, 1, 1.5, 2, 2, 2.5, 3, 3, 3.5, 4, 4, 4.5, 5, 5, 6])
OOD = np.array([-1, -0.5, 0, 0.5, 0.5, 1, 1, 1.5, 2, 2.5, 3, 4.5])


def gaussians(seed, n=137, m=111, shift=1.0, digits=1):
    """Scores on a grid, so that most are tied; the sizes leave no tie in the closest rule."""
    draw = np.random.default_rng(seed)
    return draw.normal(shift, 1, n).round(digits), draw.normal(0, 1.5, m).round(digits)


def naive(inside, outside):
    """The metrics of the bootstrap by scikit-learn's ROC curve, nothing shared with the project."""
    truth, scores = np.repeat([1, 0], [len(inside), len(outside)]), np.concatenate([inside, outside])
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=False)
    whole = int(np.argmax(tpr == 1)) + 1
    gaps = np.abs(tpr[:whole] - 0.95)
    swapped = roc_curve(1 - truth, -scores, drop_intermediate=False)
    return {
        ("auroc", ""): roc_auc_score(truth, scores),
        ("fpr95", "closest"): fpr[np.flatnonzero(gaps == gaps.min())[-1]],
        ("fpr95", "at_least"): fpr[np.argmax(tpr >= 0.95)],
        ("fpr95", "ood_positive"): swapped[0][np.argmax(swapped[1] >= 0.95)],
    }


@pytest.mark.parametrize("digits", [0, 1, 12])
def test_the_bootstrap_is_naive_resampling_with_the_same_draws(digits):
    inside, outside = gaussians(0, digits=digits)
    values, draw = bootstrap([(inside, outside)], replicates=40, seed=9), np.random.default_rng(9)
    for r in range(40):
        first, second = draw.choice(inside, len(inside)), draw.choice(outside, len(outside))
        for metric, expected in naive(first, second).items():
            assert values[metric][0, r] == pytest.approx(expected, abs=1e-12), metric


@repeatable
@given(tied, tied, st.randoms(use_true_random=False))
def test_weighted_counts_are_those_of_repeated_scores(inside, outside, random):
    weights = np.array([random.randint(0, 3) for _ in range(len(inside) + len(outside))])
    repeated = np.repeat(inside, weights[: len(inside)]), np.repeat(outside, weights[len(inside) :])
    assume(len(repeated[0]) and len(repeated[1]))
    weighted, counts = rank(inside, outside).counts(weights), count(*repeated)
    for metric, statistic in STATISTICS.items():
        assert statistic(weighted) == statistic(counts), metric
    assert detection_error(weighted) == detection_error(counts)


def test_a_thousand_replicates_of_two_large_sets_take_seconds():
    pair = gaussians(1, 10_000, 10_000, digits=12)
    start = time.process_time()
    bootstrap_intervals(pair, replicates=1000)
    assert time.process_time() - start < 10


def test_the_same_seed_gives_the_same_intervals_and_another_does_not():
    pair = gaussians(2)
    assert bootstrap_intervals(pair, replicates=50, seed=4) == bootstrap_intervals(pair, replicates=50, seed=4)
    assert bootstrap_intervals(pair, replicates=50, seed=4) != bootstrap_intervals(pair, replicates=50, seed=5)


def test_all_methods_see_the_same_images():
    first, second = gaussians(3), gaussians(4)
    together = bootstrap([first, second, first], replicates=30, seed=1)
    for metric, alone in bootstrap([second], replicates=30, seed=1).items():
        np.testing.assert_array_equal(together[metric][1], alone[0])
        np.testing.assert_array_equal(together[metric][0], together[metric][2])


@repeatable
@given(tied, tied, st.sampled_from([np.arctan, np.exp, lambda s: s**3 + s, lambda s: 1e-3 * s - 7]))
def test_the_bootstrap_ignores_strictly_monotone_maps(inside, outside, transform):
    mapped = bootstrap([(transform(inside), transform(outside))], 5)
    for metric, values in bootstrap([(inside, outside)], 5).items():
        np.testing.assert_array_equal(mapped[metric], values)


def test_an_interval_holds_its_estimate_and_grows_with_the_level():
    found = bootstrap_intervals(gaussians(5), replicates=400)
    wider = bootstrap_intervals(gaussians(5), level=0.99, replicates=400)
    exact = {(metric, rule): value for metric, rule, value in detection_metrics(*gaussians(5))}
    for metric, interval in found.items():
        assert interval.estimate == exact[metric]
        assert wider[metric].low <= interval.low < interval.estimate < interval.high <= wider[metric].high
        assert (interval.level, wider[metric].level) == (0.95, 0.99)


def test_perfect_separation_has_no_spread():
    found = bootstrap_intervals((np.arange(5.0) + 10, np.arange(7.0)), replicates=20)
    assert {(i.estimate, i.low, i.high) for i in found.values()} == {(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)}


def test_intervals_of_the_auroc_cover_the_truth_about_as_often_as_they_say():
    draw, hits = np.random.default_rng(6), 0
    truth = stats.norm.cdf(1 / np.sqrt(2))
    for seed in range(150):
        pair = draw.normal(1, 1, 60), draw.normal(0, 1, 60)
        interval = bootstrap_intervals(pair, level=0.9, replicates=150, seed=seed)["auroc", ""]
        hits += interval.low <= truth <= interval.high
    assert 0.82 < hits / 150 < 0.97


def test_a_method_does_not_differ_from_itself_or_from_a_monotone_map_of_it():
    inside, outside = gaussians(7)
    for interval in paired_intervals((inside, outside), (np.exp(inside), np.exp(outside)), replicates=30).values():
        assert (interval.estimate, interval.low, interval.high) == (0, 0, 0)


def test_differences_change_sign_with_the_order_of_the_methods():
    first, second = gaussians(8), gaussians(9, shift=2)
    one, other = paired_intervals(first, second, replicates=60), paired_intervals(second, first, replicates=60)
    for metric, interval in one.items():
        swapped = [-other[metric].estimate, -other[metric].high, -other[metric].low]
        np.testing.assert_allclose([interval.estimate, interval.low, interval.high], swapped, atol=1e-15)


def test_pairing_sees_a_small_difference_that_two_intervals_do_not():
    draw, (inside, outside) = np.random.default_rng(10), gaussians(10, 800, 800, digits=12)
    noisy = inside + draw.normal(0, 0.5, 800), outside + draw.normal(0, 0.5, 800)
    paired = paired_intervals((inside, outside), noisy, replicates=300)["auroc", ""]
    alone = [bootstrap_intervals(pair, replicates=300)["auroc", ""] for pair in ((inside, outside), noisy)]
    assert paired.low > 0
    assert alone[0].low < alone[1].high
    assert paired.high - paired.low < alone[0].high - alone[0].low


def test_all_sets_see_the_same_id_images_of_a_replicate():
    """With OOD scores below all ID scores but one image, AUROC says how often that image was drawn."""
    inside = [np.array([0.0, *range(10, 29)])]
    below, twice = np.full(30, 5.0), np.full(50, 5.0)
    found = bootstrap_sets(inside, {"one": [below], "two": [twice]}, replicates=40)
    np.testing.assert_allclose(found["one"]["auroc", ""], found["two"]["auroc", ""])
    assert len(np.unique(found["one"]["auroc", ""])) > 2
    alone = bootstrap_sets(inside, {"two": [twice]}, replicates=40)["two"]
    assert all(np.array_equal(alone[metric], found["two"][metric]) for metric in STATISTICS)


def test_methods_share_the_images_of_a_replicate_and_sets_do_not():
    (inside, outside), other = gaussians(12), np.random.default_rng(13).normal(0, 1.5, 111).round(1)
    found = bootstrap_sets([inside, inside], {"one": [outside, outside], "two": [other, outside]}, replicates=20)
    for values in found["one"].values():
        np.testing.assert_array_equal(*values)
    assert not np.array_equal(found["one"]["auroc", ""][1], found["two"]["auroc", ""][1])


@repeatable
@given(*[st.lists(st.floats(0, 1), min_size=2, max_size=6)] * 2, st.sampled_from([0.9, 0.95]))
def test_the_interval_of_a_difference_over_seeds_is_welchs(first, second, level):
    assume(np.var(first) > 1e-9 and np.var(second) > 1e-9)
    found = welch_interval(spread(first), spread(second), level)
    expected = stats.ttest_ind(first, second, equal_var=False).confidence_interval(level)
    np.testing.assert_allclose([found.low, found.high], [expected.low, expected.high], rtol=1e-7, atol=1e-12)
    assert welch_interval(spread(first[:1]), spread(second), level) is None


@pytest.mark.parametrize("broken", [np.nan, np.inf, -np.inf])
def test_scores_that_are_not_finite_are_refused(broken):
    spoilt = np.array([1, broken, 2])
    for pair, name in (((spoilt, OOD), "ID"), ((ID, spoilt), "OOD")):
        with pytest.raises(ReproError, match=f"1 of 3 {name} scores are NaN or infinite"):
            bootstrap_intervals(pair)
        with pytest.raises(ReproError, match=f"1 of 3 {name} scores are NaN or infinite"):
            paired_intervals(pair, pair)
    with pytest.raises(ReproError, match="1 of 3 ID scores are NaN or infinite"):
        oscr(spoilt, np.ones(3), np.ones(3), OOD)


@pytest.mark.parametrize(("pair", "name"), [((ID, OOD[:0]), "OOD"), ((ID[:0], OOD), "ID")])
def test_one_class_alone_is_refused(pair, name):
    with pytest.raises(ReproError, match=f"There are no {name} scores"):
        bootstrap_intervals(pair)
    with pytest.raises(ReproError, match=f"There are no {name} scores"):
        oscr(pair[0], pair[0], pair[0], pair[1])


def test_a_bootstrap_that_makes_no_sense_is_refused():
    with pytest.raises(ReproError, match="0 replicates are asked for"):
        bootstrap([(ID, OOD)], replicates=0)
    with pytest.raises(ReproError, match=r"sizes \[\(15, 12\), \(16, 12\)\]: expected the same images a method"):
        paired_intervals((ID, OOD), (ID[1:], OOD))
    with pytest.raises(ReproError, match=r"sizes \[\]"):
        bootstrap([])
    for level in (0, 1, 95, np.nan):
        with pytest.raises(ReproError, match="expected a number between 0 and 1"):
            bootstrap_intervals((ID, OOD), level=level, replicates=2)


@repeatable
@given(st.lists(st.floats(0, 1), min_size=2, max_size=8), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_the_interval_over_seeds_is_that_of_scipy(values, level):
    found = t_interval(values, level)
    scale = np.std(values, ddof=1) / np.sqrt(len(values))
    low, high = stats.t.interval(level, len(values) - 1, np.mean(values), scale) if scale else [np.mean(values)] * 2
    np.testing.assert_allclose([found.low, found.high], [low, high], rtol=1e-9, atol=1e-12)
    assert found.estimate == pytest.approx(np.mean(values), abs=1e-15)


def test_intervals_of_three_seeds_cover_the_truth_as_often_as_they_say():
    draw = np.random.default_rng(11).normal(90, 2, (1500, 3))
    found = [t_interval(values) for values in draw]
    assert 0.93 < np.mean([i.low <= 90 <= i.high for i in found]) < 0.97


def test_an_interval_of_one_seed_or_of_nothing_finite_is_refused():
    with pytest.raises(ReproError, match="There are 1 seeds: an interval over seeds needs at least two"):
        t_interval([0.5])
    with pytest.raises(ReproError, match="There are 0 seeds"):
        t_interval([])
    with pytest.raises(ReproError, match="NaN or infinite"):
        t_interval([0.5, np.nan])
    with pytest.raises(ReproError, match="level of an interval is 95"):
        t_interval([0.5, 0.6], 95)


def slow_detection_error(inside, outside):
    rates = (
        (Fraction(sum(inside < t), len(inside)), Fraction(sum(outside >= t), len(outside))) for t in {*inside, *outside}
    )
    return float(min((missed + accepted) / 2 for missed, accepted in rates))


@repeatable
@given(tied, tied)
def test_the_detection_error_is_the_least_over_all_thresholds(inside, outside):
    found = detection_error(count(inside, outside))
    assert found == pytest.approx(slow_detection_error(inside, outside), abs=1e-15)
    assert found <= 0.5
    assert found == detection_error(count(inside, outside).swapped()) == detection_error(count(-outside, -inside))
    assert found == detection_error(count(np.repeat(inside, 3), np.tile(outside, 2)))
    assert found == detection_error(count(np.exp(inside), np.exp(outside)))


@pytest.mark.parametrize("seed", range(5))
def test_the_detection_error_is_that_of_scikit_learns_roc_curve(seed):
    inside, outside = gaussians(seed)
    truth = np.repeat([1, 0], [len(inside), len(outside)])
    fpr, tpr, _ = roc_curve(truth, np.concatenate([inside, outside]))
    assert detection_error(count(inside, outside)) == pytest.approx(((1 - tpr + fpr) / 2).min(), abs=1e-12)


def test_detection_errors_by_hand():
    assert detection_error(count(np.array([2.0, 3]), np.array([0.0, 1]))) == 0
    assert detection_error(count(np.ones(3), np.ones(2))) == 0.5
    assert detection_error(count(np.array([1.0, 3]), np.array([0.0, 2]))) == 0.25


def slow_oscr(inside, right, outside):
    """Area under correct classification over false positives, by trapezoids over exact fractions."""
    curve = [(Fraction(0), Fraction(0))]
    for t in sorted({*inside, *outside}, reverse=True):
        correct = sum(1 for s, r in zip(inside, right, strict=True) if r and s >= t)
        curve.append((Fraction(sum(outside >= t), len(outside)), Fraction(int(correct), len(inside))))
    return float(sum((b[0] - a[0]) * (a[1] + b[1]) / 2 for a, b in pairwise(curve)))


@repeatable
@given(tied, tied, st.randoms(use_true_random=False))
def test_oscr_is_the_area_under_its_curve(inside, outside, random):
    labels, predicted = (np.array([random.randint(0, 2) for _ in inside]) for _ in range(2))
    found = oscr(inside, predicted, labels, outside)
    assert found == pytest.approx(slow_oscr(inside, predicted == labels, outside), abs=1e-12)
    assert 0 <= found <= (predicted == labels).mean()
    assert found == pytest.approx(oscr(np.exp(inside), predicted, labels, np.exp(outside)), abs=1e-15)
    assert found == pytest.approx(oscr(*(np.tile(a, 2) for a in (inside, predicted, labels, outside))), abs=1e-15)
    order = random.sample(range(len(inside)), len(inside))
    assert found == pytest.approx(oscr(inside[order], predicted[order], labels[order], outside[::-1]), abs=1e-15)


def test_oscr_of_a_perfect_classifier_is_the_auroc_and_of_a_hopeless_one_zero():
    labels = np.arange(16) % 3
    assert oscr(ID, labels, labels, OOD) == auroc(count(ID, OOD)) == 0.7890625
    assert oscr(ID, labels + 1, labels, OOD) == 0
    assert oscr(OOD + 99, labels[:12], labels[:12] + (np.arange(12) < 3), OOD) == 0.75


def test_oscr_of_unequal_lengths_is_refused():
    with pytest.raises(ReproError, match=r"lengths \(16, 16, 15\): expected one length"):
        oscr(ID, np.ones(16), np.ones(15), OOD)


def slow_calibration_error(confidence, right, bins):
    total = 0.0
    for b in range(bins):
        low, high = np.linspace(0, 1, bins + 1)[b : b + 2]
        inside = [i for i, c in enumerate(confidence) if low < c <= high or (b == 0 and c == 0)]
        if inside:
            gap = np.mean([float(right[i]) for i in inside]) - np.mean([confidence[i] for i in inside])
            total += len(inside) / len(confidence) * abs(gap)
    return total


@repeatable
@given(
    st.lists(st.tuples(st.integers(0, 60).map(lambda i: i / 60), st.booleans()), min_size=1, max_size=40),
    st.integers(1, 20),
)
def test_the_calibration_error_is_the_mean_gap_of_the_bins(predictions, bins):
    confidence, right = (np.array(part) for part in zip(*predictions, strict=True))
    found = calibration_error(confidence, right, bins)
    assert found == pytest.approx(slow_calibration_error(confidence, right, bins), abs=1e-12)
    assert calibration_error(np.tile(confidence, 3), np.tile(right, 3), bins) == pytest.approx(found, abs=1e-12)
    assert calibration_error(confidence[::-1], right[::-1], bins) == pytest.approx(found, abs=1e-12)


def test_calibration_errors_by_hand():
    assert calibration_error(np.array([0.8, 0.8, 0.8, 0.8]), np.array([1, 1, 1, 0])) == pytest.approx(0.05)
    assert calibration_error(np.array([1.0, 0.0]), np.array([1, 0])) == 0
    assert calibration_error(np.array([0.61, 0.69]), np.array([0, 1]), bins=2) == pytest.approx(0.15)
    logits = np.log([[0.8, 0.2], [0.8, 0.2], [0.2, 0.8], [0.2, 0.8]]) + 1e4
    assert expected_calibration_error(logits, np.array([0, 0, 1, 0])) == pytest.approx(0.05)


def test_calibration_of_nothing_or_of_broken_numbers_is_refused():
    with pytest.raises(ReproError, match="There are no predictions"):
        calibration_error(np.array([]), np.array([]))
    with pytest.raises(ReproError, match="0 bins are asked for"):
        calibration_error(np.array([0.5]), np.array([1]), bins=0)
    with pytest.raises(ReproError, match="There are 2 confidences but 1 predictions"):
        calibration_error(np.array([0.5, 0.5]), np.array([1]))
    with pytest.raises(ReproError, match="2 of 3 confidences are NaN or not between 0 and 1"):
        calibration_error(np.array([0.5, np.nan, 1.5]), np.ones(3))
    with pytest.raises(ReproError, match="Logits of 1 of 2 images are NaN or infinite"):
        expected_calibration_error(np.array([[0, np.inf], [1, 2]]), np.zeros(2))


def test_average_ranks_share_ties():
    values = np.array([[0.9, 0.8, 0.7], [0.9, 0.9, 0.1], [0.5, 0.6, 0.7]])
    np.testing.assert_allclose(average_ranks(values), [(1 + 1.5 + 3) / 3, (2 + 1.5 + 2) / 3, (3 + 3 + 1) / 3])
    np.testing.assert_allclose(average_ranks(-values, direction=-1), average_ranks(values))


@repeatable
@given(st.lists(st.lists(st.integers(0, 5), min_size=4, max_size=4), min_size=3, max_size=8), st.permutations(range(4)))
def test_ranks_follow_the_methods_and_ignore_monotone_maps(rows, order):
    values = np.array(rows, dtype=float)
    found = average_ranks(values)
    assert found.sum() == pytest.approx(10)
    np.testing.assert_allclose(average_ranks(values[::-1, order]), found[order])
    np.testing.assert_allclose(average_ranks(np.exp(values)), found)
    np.testing.assert_allclose(average_ranks(values, direction=-1), 5 - found)


@pytest.mark.parametrize(("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)])
def test_the_critical_difference_has_the_q_of_demsars_table(methods, q):
    found = critical_difference(methods, 14)
    assert found == pytest.approx(q * np.sqrt(methods * (methods + 1) / (6 * 14)), rel=4e-4)
    assert critical_difference(methods, 14, level=0.1) < found


def test_comparisons_by_ranks_of_too_little_are_refused():
    with pytest.raises(ReproError, match="There are 2 OOD sets or seeds: a comparison by ranks needs at least 3"):
        average_ranks(np.ones((2, 4)))
    with pytest.raises(ReproError, match="There are 2 OOD sets or seeds"):
        critical_difference(4, 2)
    with pytest.raises(ReproError, match="There are 1 methods"):
        critical_difference(1, 5)
    with pytest.raises(ReproError, match="The level is 5"):
        critical_difference(4, 5, level=5)
    with pytest.raises(ReproError, match="A value is missing, NaN or infinite"):
        average_ranks(np.array([[1, 2], [3, np.nan], [5, 6]]))


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ([0.90, 0.91, 0.92], [0.88, 0.885, 0.89]),
        ([0.90, 0.91, 0.92], [0.85, 0.95, 0.90]),
        ([0.5, 0.6], [0.1, 0.2]),
        ([0.5, 0.501], [0.1, 0.2, 0.3, 0.15]),
    ],
)
def test_a_difference_exceeds_the_noise_where_welchs_test_says_so(first, second):
    p = stats.ttest_ind(first, second, equal_var=False).pvalue
    assert exceeds_noise(spread(first), spread(second)) == (p < 0.05)
    assert exceeds_noise(spread(second), spread(first)) == (p < 0.05)


def test_one_seed_never_exceeds_the_noise_and_no_noise_is_always_exceeded():
    assert not exceeds_noise(spread([0.9]), spread([0.1, 0.1]))
    assert exceeds_noise(spread([0.9, 0.9]), spread([0.1, 0.1]))
    assert not exceeds_noise(spread([0.9, 0.9]), spread([0.9, 0.9]))
