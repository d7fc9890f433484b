"""Scores on logits and several labels: golden vectors, slow formulas, hostile numbers, and their page in the docs."""

import math
import re
from decimal import Decimal, localcontext

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import LocalOutlierFactor

from methods import registry
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.rows import BLOCK, Rows
from methods.features.score_store import DETECTORS, read_detectors, write_detectors
from methods.reporting.score_page import formula, page
from methods.scores import joint_energy
from methods.scores.base import fit_instances, score_instances
from methods.settings.parts import complete_part, part_problems
from tests import golden

RECORDS = registry.records("scores")
INSTANCES = {
    "msp": {"score": "msp"},
    "msp_warm": {"score": "msp", "temperature": 2.5},
    "energy": {"score": "energy"},
    "energy_warm": {"score": "energy", "temperature": 2.5},
    "entropy": {"score": "entropy"},
    "gen": {"score": "gen"},
    "gen_three": {"score": "gen", "gamma": 0.5, "top_classes": 3},
    "kl": {"score": "kl_matching"},
    "maxlogit": {"score": "maxlogit"},
    "joint": {"score": "joint_energy"},
    "joint_max": {"score": "joint_energy", "aggregate": "max"},
    "joint_top": {"score": "joint_energy", "aggregate": "topk", "k": 2},
    "sumlogit": {"score": "sumlogit"},
    "max_prob": {"score": "sigmoid_probability"},
    "sum_prob": {"score": "sigmoid_probability", "aggregate": "sum"},
    "maha_max": {"score": "mahalanobis_multilabel"},
    "maha_sum": {"score": "mahalanobis_multilabel", "aggregate": "sum"},
    "lof": {"score": "lof"},
    "lof5": {"score": "lof", "neighbours": 5},
    "forest": {"score": "isolation_forest"},
    "forest_small": {"score": "isolation_forest", "trees": 7, "images_per_tree": 16, "seed": 3},
}
INSTANCES = {name: complete_part("scores", "score", part) for name, part in INSTANCES.items()}
MAHALANOBIS = ("maha_max", "maha_sum")
SOFTMAX = ("msp", "msp_warm", "entropy", "gen", "gen_three", "kl")
ON_LOGITS = tuple(name for name in INSTANCES if name not in MAHALANOBIS)
LEARNT = ("kl", "lof", "lof5", "forest", "forest_small", *MAHALANOBIS)
FREE = tuple(name for name in INSTANCES if name not in LEARNT)  # functions of one row of logits
INCREASING = (
    "energy",
    "energy_warm",
    "maxlogit",
    "joint",
    "joint_max",
    "joint_top",
    "sumlogit",
    "max_prob",
    "sum_prob",
)
GOLDEN = {
    "energy": [2.332184833152005, 1.0153889136185372, 0.09796551809854667, 0.9392839263422617],
    "maxlogit": [1.2985229469157498, 0.7321827183491161, -0.5153588575402994, 0.4910311288603493],
    "msp": [0.35570203240143305, 0.7533644316614524, 0.5415475657715504, 0.6387431909499932],
    "maha_max": [-1.7772764975120217, -1.8992313432868428, -2.2455315217203284, -1.9211648335982814],
    "maha_sum": [-6.265732093054885, -7.898284923090776, -7.9833042745522755, -7.695005888793771],
}

repeatable = settings(max_examples=40, deadline=None, derandomize=True, database=None)
logit_arrays = arrays(np.float64, (6, 4), elements=st.floats(-30, 30, width=32))


def images(logits=None, embedding=None, labels=None, pooled=None):
    count = len(embedding if logits is None else logits)
    embedding = np.ones((count, 1)) if embedding is None else embedding
    labels = np.zeros(count, dtype=np.int64) if labels is None else labels
    return Features(embedding, labels, tuple(f"image{i}" for i in range(count)), pooled, logits)


def scored(name, queries, train):
    """Scores of one instance, through fitting."""
    chosen = {name: INSTANCES[name]}
    return score_instances(chosen, queries, fit_instances(chosen, train, Readout()), train)[name]


def of_logits(name, logits, train=None):
    return scored(name, images(logits), images(logits if train is None else train))


@pytest.fixture
def random_sets():
    """80 training images of 5 classes with multi-hot labels and 25 queries; logits on a grid, so that many are tied."""
    draw = np.random.default_rng(1)
    labels = (draw.random((80, 5)) < 0.3).astype(np.uint8)
    train = draw.normal(size=(80, 6)) * [3, 1, 1, 0.5, 0.1, 1] + labels @ draw.normal(size=(5, 6))
    logits = [(4 * draw.normal(size=(n, 5))).round() / 2 for n in (80, 25)]
    return images(logits[0], train, labels), images(logits[1], 2 * draw.normal(size=(25, 6)))


@pytest.fixture
def golden_sets():
    """Training features and queries of the specification, with the logits of its classifier."""
    c, d = np.ogrid[:3, :4]
    weight, bias = np.sin(0.4 + 0.8 * c + 0.6 * d), np.array([0.1, -0.2, 0.3])
    i, label = np.ogrid[:20, :3]
    labels = np.tile(((i + 2 * label) % 3 == 0) | (i % 5 == label), (2, 1)).astype(np.uint8)
    assert labels.sum(axis=0).tolist() == [18, 18, 16]
    f, t = golden.view_major(golden.embeddings(20, 2, 4)).numpy(), golden.prototypes(4, 4).numpy()
    return images(f @ weight.T + bias, f, labels), images(t @ weight.T + bias, t)


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_match_the_golden_vectors(name, golden_sets):
    train, queries = golden_sets
    np.testing.assert_allclose(scored(name, queries, train), GOLDEN[name], rtol=0, atol=1e-10)


def test_joint_energy_matches_its_golden_vector():
    found = of_logits("joint", golden.multi_label()[0].numpy())
    np.testing.assert_allclose(found, golden.ID_ENERGY, rtol=0, atol=1e-12)


def slow_softmax(row, temperature=1):
    with localcontext(prec=60):
        powers = [(Decimal(float(z)) / Decimal(temperature)).exp() for z in row]
        return [power / sum(powers) for power in powers]


def slow_msp(row, train, parameters):
    return max(slow_softmax(row, parameters["temperature"]))


def slow_energy(row, train, parameters):
    t = Decimal(parameters["temperature"])
    return t * sum((Decimal(float(z)) / t).exp() for z in row).ln()


def slow_entropy(row, train, parameters):
    return sum(p * p.ln() for p in slow_softmax(row))


def slow_gen(row, train, parameters):
    gamma, p = Decimal(parameters["gamma"]), sorted(slow_softmax(row), reverse=True)
    rest = [sum(p[:i] + p[i + 1 :]) for i in range(len(p))]
    return -sum((a * b) ** gamma for a, b in list(zip(p, rest, strict=True))[: parameters["top_classes"]])


def slow_kl(row, train, parameters):
    p, divergences = slow_softmax(row), []
    for k in range(len(row)):
        of_class = [slow_softmax(z) for z in train.logits if list(z).index(max(z)) == k]
        if of_class:
            mean = [sum(column) / len(of_class) for column in zip(*of_class, strict=True)]
            divergences.append(sum(a * (a / b).ln() for a, b in zip(p, mean, strict=True)))
    return -min(divergences)


def slow_maxlogit(row, train, parameters):
    return sorted(row)[-1]


def slow_joint(row, train, parameters):
    energies = sorted(((1 + Decimal(float(z)).exp()).ln() for z in row), reverse=True)
    return sum(energies[: {"sum": len(row), "max": 1, "topk": parameters.get("k")}[parameters["aggregate"]]])


def slow_sumlogit(row, train, parameters):
    return sum(Decimal(float(z)) for z in row)


def slow_sigmoid(row, train, parameters):
    p = [1 / (1 + (-Decimal(float(z))).exp()) for z in row]
    return max(p) if parameters["aggregate"] == "max" else sum(p)


def slow_lof(row, train, parameters):
    points, k = train.logits, parameters["neighbours"]

    def neighbourhood(z, left_out):
        gaps = sorted((float(np.linalg.norm(z - o)), i) for i, o in enumerate(points) if i != left_out)
        return [gap for gap, _ in gaps[:k]], [i for _, i in gaps[:k]]

    def density(z, left_out=None):
        gaps, near = neighbourhood(z, left_out)
        reach = [max(gap, neighbourhood(points[i], i)[0][-1]) for gap, i in zip(gaps, near, strict=True)]
        return 1 / (sum(reach) / k)

    near = neighbourhood(row, None)[1]
    return -sum(density(points[i], i) for i in near) / k / density(row)


def slow_forest(row, train, parameters):
    n = min(parameters["images_per_tree"], len(train.logits))
    forest = IsolationForest(n_estimators=parameters["trees"], max_samples=n, random_state=parameters["seed"])
    depths = []
    for tree in (estimator.tree_ for estimator in forest.fit(train.logits).estimators_):
        node, depth = 0, 0
        while tree.children_left[node] >= 0:
            left = np.float32(row[tree.feature[node]]) <= tree.threshold[node]
            node, depth = (tree.children_left if left else tree.children_right)[node], depth + 1
        depths.append(depth + mean_depth(tree.n_node_samples[node]))
    return -(2 ** (-sum(depths) / len(depths) / mean_depth(n)))


def mean_depth(n):
    return {1: 0, 2: 1}.get(n) if n < 3 else 2 * (np.log(n - 1) + np.euler_gamma) - 2 * (n - 1) / n


SLOW = {
    "msp": slow_msp,
    "energy": slow_energy,
    "entropy": slow_entropy,
    "gen": slow_gen,
    "kl_matching": slow_kl,
    "maxlogit": slow_maxlogit,
    "joint_energy": slow_joint,
    "sumlogit": slow_sumlogit,
    "sigmoid_probability": slow_sigmoid,
    "lof": slow_lof,
    "isolation_forest": slow_forest,
}


def slowly(name, logits, train):
    return [float(SLOW[INSTANCES[name]["score"]](row, train, INSTANCES[name])) for row in logits]


@pytest.mark.parametrize("name", [name for name in ON_LOGITS if not name.startswith("lof")])
def test_scores_equal_a_slow_formula(name, random_sets):
    train, queries = random_sets
    np.testing.assert_allclose(
        scored(name, queries, train), slowly(name, queries.logits, train), rtol=1e-12, atol=1e-13
    )


@pytest.mark.parametrize("name", ["lof", "lof5"])
def test_lof_equals_a_slow_formula(name):
    draw = np.random.default_rng(0)  # without ties, which leave open who is a neighbour
    train, queries = images(draw.normal(size=(40, 3))), draw.normal(size=(5, 3))
    found = scored(name, images(queries), train)
    np.testing.assert_allclose(found, slowly(name, queries, train), rtol=1e-8)


@pytest.mark.parametrize("name", ["lof", "lof5"])
def test_lof_is_that_of_scikit_learn_also_on_ties_and_duplicates(name, random_sets):
    train, queries = random_sets
    several = images(np.tile(train.logits, (2, 1)))
    reference = LocalOutlierFactor(n_neighbors=INSTANCES[name]["neighbours"], novelty=True).fit(several.logits)
    np.testing.assert_allclose(scored(name, queries, several), reference.score_samples(queries.logits), rtol=1e-12)


def test_defaults_of_the_forest_are_those_of_scikit_learn(random_sets):
    train, queries = random_sets
    for logits in (train.logits, np.random.default_rng(0).normal(size=(400, 5))):
        expected = IsolationForest(random_state=42).fit(logits).score_samples(queries.logits)
        np.testing.assert_array_equal(scored("forest", queries, images(logits)), expected)


@pytest.mark.parametrize(("name", "aggregate"), [("maha_max", max), ("maha_sum", sum)])
def test_multi_label_mahalanobis_equals_a_slow_formula(name, aggregate, random_sets):
    train, queries = random_sets
    pairs = [(f, c) for f, y in zip(train.embedding, train.labels, strict=True) for c in range(5) if y[c]]
    means = [np.mean([f for f, label in pairs if label == c], axis=0) for c in range(5)]
    covariance = sum(np.outer(f - means[c], f - means[c]) for f, c in pairs) / len(pairs)
    precision = np.linalg.inv(covariance)
    expected = [aggregate(-(f - m) @ precision @ (f - m) / 2 for m in means) for f in queries.embedding]
    np.testing.assert_allclose(scored(name, queries, train), expected, rtol=1e-10)


HUGE = np.array([[1e4, -1e4, 0], [1e4, 1e4, -1e4], [-1e4, -1e4, -1e4], [1e4, 9990, 9980], [-1e4, -1e4, 1e4]])


@pytest.mark.parametrize("name", [name for name in ON_LOGITS if not name.startswith(("lof", "forest"))])
@pytest.mark.filterwarnings("error")
def test_huge_logits_have_the_scores_of_sixty_digits(name):
    train = images(HUGE)
    np.testing.assert_allclose(of_logits(name, HUGE), slowly(name, HUGE, train), rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("name", ON_LOGITS)
@pytest.mark.filterwarnings("error")
def test_huge_float32_logits_stay_finite(name):
    logits = np.tile(HUGE, (5, 1)).astype(np.float32)
    found = of_logits(name, logits)
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


def test_gen_keeps_what_the_difference_from_one_would_lose():
    found = of_logits("gen", np.array([[50.0, 0], [200, 0], [2000, 0]]))
    np.testing.assert_allclose(found, -2 * np.exp([-5, -20, -200]), rtol=1e-12)


@pytest.mark.parametrize("name", [name for name in ON_LOGITS if name not in (*SOFTMAX, "joint_top")])
def test_a_single_column_of_logits_has_a_score(name):
    column = np.linspace(-3, 5, 30)[:, None]
    found = of_logits(name, column)
    softplus = np.logaddexp(0, column[:, 0])
    expected = {"joint": softplus, "joint_max": softplus, "max_prob": 1 / (1 + np.exp(-column[:, 0]))}
    expected["sum_prob"] = expected["max_prob"]
    assert np.isfinite(found).all()
    if name in FREE:
        np.testing.assert_allclose(found, expected.get(name, column[:, 0]), rtol=1e-14)


@pytest.mark.parametrize("name", SOFTMAX)
def test_a_softmax_over_one_class_is_refused(name):
    with pytest.raises(ReproError, match=r"softmax over 1 class is 1 for every image: choose a score on logits"):
        of_logits(name, np.ones((4, 1)))


@repeatable
@given(logit_arrays, st.permutations(range(6)), st.permutations(range(4)))
def test_scores_follow_images_and_ignore_the_order_of_classes(logits, rows, columns):
    for name in (*FREE, "kl"):
        direct = of_logits(name, logits)
        np.testing.assert_allclose(of_logits(name, logits[rows], logits), direct[rows], rtol=1e-12, atol=1e-12)
        if name != "kl" or len({*logits.argmax(axis=1), *logits[:, columns].argmax(axis=1)}) == 1:
            np.testing.assert_allclose(of_logits(name, logits[:, columns]), direct, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ["kl", "lof", "lof5"])
def test_fitted_scores_ignore_the_order_of_classes_and_of_training_images(name):
    draw = np.random.default_rng(5)
    train, queries, columns = draw.normal(size=(90, 5)), draw.normal(size=(20, 5)), [3, 0, 4, 1, 2]
    direct = of_logits(name, queries, train)
    np.testing.assert_allclose(of_logits(name, queries, train[draw.permutation(90)]), direct, rtol=1e-10)
    np.testing.assert_allclose(of_logits(name, queries[:, columns], train[:, columns]), direct, rtol=1e-10)


@repeatable
@given(logit_arrays, st.floats(-100, 100))
def test_a_constant_added_to_the_logits_does_what_it_should(logits, constant):
    shifts = dict.fromkeys(SOFTMAX, 0) | {"energy": constant, "maxlogit": constant, "sumlogit": 4 * constant}
    for name, shift in shifts.items():
        if name != "kl" or len(np.unique(logits)) == logits.size:  # the shift can round two logits to one
            moved = of_logits(name, logits + constant)
            np.testing.assert_allclose(moved, of_logits(name, logits) + shift, rtol=1e-9, atol=1e-9)


@repeatable
@given(logit_arrays, st.integers(0, 3), st.floats(0.1, 5))
def test_a_larger_logit_never_lowers_what_counts_evidence(logits, column, more):
    raised = logits.copy()
    raised[:, column] += more
    for name in INCREASING:
        assert (of_logits(name, raised) >= of_logits(name, logits) - 1e-12).all(), name


@repeatable
@given(logit_arrays)
def test_scores_stay_within_their_bounds(logits):
    assert (of_logits("msp", logits) >= 1 / 4 - 1e-15).all()
    assert (of_logits("msp", logits) <= 1).all()
    assert (of_logits("entropy", logits) >= -np.log(4) - 1e-12).all()
    assert (of_logits("entropy", logits) <= 0).all()
    assert (of_logits("gen", logits) >= -4 * (3 / 16) ** 0.1 - 1e-12).all()
    assert (of_logits("energy", logits) >= of_logits("maxlogit", logits)).all()
    assert (of_logits("kl", logits) <= 1e-12).all()
    joint_top = of_logits("joint_top", logits)
    assert (of_logits("joint", logits) >= joint_top * (1 - 1e-11)).all()
    assert (of_logits("joint_top", logits) >= of_logits("joint_max", logits)).all()


def joint(logits, **parameters):
    instance = {"joint": complete_part("scores", "score", {"score": "joint_energy", **parameters})}
    return score_instances(instance, images(logits), {"joint": {}}, None)["joint"]


@repeatable
@given(logit_arrays)
def test_top_k_goes_from_the_largest_to_the_sum(logits):
    np.testing.assert_array_equal(joint(logits, aggregate="topk", k=1), joint(logits, aggregate="max"))
    np.testing.assert_allclose(joint(logits, aggregate="topk", k=4), joint(logits), rtol=1e-11)


def test_gen_takes_all_classes_where_there_are_fewer_than_asked(random_sets):
    train, queries = random_sets
    instance = {"gen": {"score": "gen", "gamma": 0.1, "top_classes": 5}}
    five = score_instances(instance, queries, {"gen": {}}, None)["gen"]
    np.testing.assert_array_equal(scored("gen", queries, train), five)


def test_kl_of_a_typical_prediction_is_zero_and_an_unpredicted_class_has_no_typical_one():
    train = np.tile([[3.0, 1, 0], [0, 2, 1]], (4, 1))
    fitted = fit_instances({"kl": INSTANCES["kl"]}, images(train), Readout())
    assert fitted["kl"]["log_means"].shape == (2, 3)
    np.testing.assert_allclose(of_logits("kl", train, train), 0, atol=1e-15)


def test_the_forest_is_the_same_every_time(random_sets):
    train, queries = random_sets
    np.random.seed(0)
    first = scored("forest", queries, train)
    np.random.seed(1)
    np.testing.assert_array_equal(scored("forest", queries, train), first)


def test_images_without_labels_and_labels_without_images_do_not_count(random_sets):
    train, queries = random_sets
    draw = np.random.default_rng(0)
    embedding = np.vstack([draw.normal(9, 1, (3, 6)), train.embedding, draw.normal(9, 1, (3, 6))])
    labels = np.vstack([np.zeros((3, 5)), train.labels, np.zeros((3, 5))])
    labels = np.insert(labels, 2, 0, axis=1)
    for name in MAHALANOBIS:
        found = scored(name, queries, images(embedding=embedding, labels=labels))
        np.testing.assert_allclose(found, scored(name, queries, train), rtol=1e-9)


def test_mahalanobis_takes_the_pooled_map_where_it_is_not_the_embedding(random_sets):
    train, queries = random_sets
    wide = [images(embedding=np.ones((len(s.labels), 2)), labels=s.labels, pooled=s.embedding) for s in random_sets]
    np.testing.assert_array_equal(scored("maha_max", wide[1], wide[0]), scored("maha_max", queries, train))


def test_mahalanobis_far_from_the_origin_keeps_its_digits(random_sets):
    train, queries = random_sets
    far = [images(embedding=s.embedding + 1e6, labels=s.labels) for s in random_sets]
    for name in MAHALANOBIS:
        np.testing.assert_allclose(scored(name, far[1], far[0]), scored(name, queries, train), rtol=1e-5)


@pytest.fixture(scope="module")
def on_disk(tmp_path_factory):
    """More training images than one block, as arrays and as rows of a file."""
    draw = np.random.default_rng(8)
    parts = {"logits": draw.normal(size=(BLOCK + 500, 3)).astype("f4"), "embedding": draw.normal(size=(BLOCK + 500, 4))}
    path = tmp_path_factory.mktemp("features") / "train.h5"
    with h5py.File(path, "w") as file:
        for name, array in parts.items():
            file.create_dataset(name, data=array)
    labels = (draw.random((BLOCK + 500, 3)) < 0.4).astype(np.uint8)
    rows = {name: Rows(path, name, array.shape, array.dtype) for name, array in parts.items()}
    return images(**parts, labels=labels), images(**rows, labels=labels)


@pytest.mark.parametrize("name", ["kl", "lof5", "forest_small", "maha_max", "maha_sum"])
def test_training_features_left_on_the_disk_give_the_same(name, on_disk):
    whole, rows = on_disk
    queries = images(whole.logits[:50], whole.embedding[:50])
    np.testing.assert_array_equal(scored(name, queries, rows), scored(name, queries, whole))


def test_blocks_give_the_scores_of_the_whole(on_disk, monkeypatch):
    whole, _ = on_disk
    queries = images(whole.logits[:50] * 2, whole.embedding[:50] * 2)
    for name, module in (("kl", "kl_matching"), ("maha_max", "mahalanobis_multilabel")):
        in_blocks = scored(name, queries, whole)
        monkeypatch.setattr(f"methods.scores.{module}.blocks", lambda rows: [(slice(0, len(rows)), rows)])
        np.testing.assert_allclose(scored(name, queries, whole), in_blocks, rtol=1e-10)


def test_fitted_scores_come_back_from_the_file_of_detectors(random_sets, tmp_path):
    train, queries = random_sets
    chosen = {name: INSTANCES[name] for name in LEARNT}
    fitted = fit_instances(chosen, train, Readout())
    write_detectors(tmp_path / "d.h5", fitted, {"kind": DETECTORS})
    found = score_instances(chosen, queries, read_detectors(tmp_path / "d.h5", chosen)[0], None)
    for name, values in score_instances(chosen, queries, fitted, None).items():
        np.testing.assert_array_equal(found[name], values)


def test_more_labels_than_there_are_is_refused():
    with pytest.raises(ReproError, match=r"the 5 largest of 4 labels: choose k of at most 4"):
        joint(np.ones((3, 4)), aggregate="topk", k=5)


@pytest.mark.parametrize("parameters", [{"aggregate": "topk"}, {"aggregate": "sum", "k": 2}, {"k": 2}])
def test_k_goes_with_topk_and_with_nothing_else(parameters):
    with pytest.raises(ReproError, match="topk needs a k, sum and max take none"):
        joint(np.ones((3, 4)), **parameters)


def test_fewer_images_than_neighbours_are_refused(random_sets):
    train, queries = random_sets
    with pytest.raises(ReproError, match=r"LOF asks for 20 neighbours among 20 ID images to fit on: choose fewer"):
        scored("lof", queries, images(train.logits[:20]))
    assert np.isfinite(scored("lof", queries, images(train.logits[:21]))).all()


def test_a_forest_of_one_image_is_refused(random_sets):
    train, queries = random_sets
    with pytest.raises(ReproError, match="There are 1 ID images to fit on: an isolation forest needs at least two"):
        scored("forest", queries, images(train.logits[:1]))
    assert np.isfinite(scored("forest", queries, images(train.logits[:2]))).all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, y: (f, y.argmax(axis=1)), r"Labels have shape \(80,\), expected \(N, C\)"),
        (lambda f, y: (f, 0 * y), "No ID training image has a label"),
        (lambda f, y: (np.full_like(f, 0.1), y), "of the same label are all equal"),
        (lambda f, y: (np.eye(6)[y.argmax(axis=1)], np.eye(5)[y.argmax(axis=1)]), "of the same label are all equal"),
    ],
    ids=["one label an image", "no labels", "equal features", "features equal to their label's mean"],
)
def test_mahalanobis_refuses_what_has_no_covariance(change, message, random_sets):
    train, queries = random_sets
    embedding, labels = change(train.embedding, train.labels)
    with pytest.raises(ReproError, match=message):
        scored("maha_max", queries, images(embedding=embedding, labels=labels))


@pytest.mark.parametrize(
    ("part", "problem"),
    [
        ({"score": "msp", "temperature": 0}, "temperature"),
        ({"score": "gen", "gamma": 1.5}, "gamma"),
        ({"score": "lof", "fit_on": "test"}, "fit_on is 'test'.*train, validation"),
        ({"score": "joint_energy", "aggregate": "mean"}, "aggregate is 'mean'"),
        ({"score": "isolation_forest", "images_per_tree": 1}, "images_per_tree"),
        ({"score": "sumlogit", "k": 1}, "unknown key 'k'"),
    ],
)
def test_parameters_out_of_range_are_refused_by_the_records(part, problem):
    assert re.search(problem, " ".join(part_problems("scores", "score", part, "scores.x")))


@pytest.mark.parametrize("name", RECORDS)
def test_the_page_has_a_row_and_the_formula_of_every_score(name):
    text = page()
    rows = [line for line in text.splitlines() if line.startswith(f"| [{name}](#{name}) |")]
    assert len(rows) == 1
    assert len(re.split(r"(?<!\\)\|", rows[0])) == 6
    assert formula(name).startswith("(N,)")
    assert "Raises" not in formula(name)
    assert f"## {name}\n" in text


@pytest.mark.parametrize("labels", [1, 20, 80, 1500])
@pytest.mark.parametrize("centre", [-700.0, -40.0, -8.0, -2.0, 0.0, 5.0, 800.0])
def test_joint_energy_is_the_sum_of_its_terms_to_the_last_digits(centre, labels):
    z = np.random.default_rng(0).normal(centre, 3, (50, labels))
    expected = [math.fsum(np.logaddexp(0, row)) for row in z]
    np.testing.assert_allclose(joint_energy.total_energy(z), expected, rtol=1e-11, atol=0)
