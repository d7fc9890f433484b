"""Scores against the specification's golden vectors, slow formulas in float64, and what must not change them."""

import inspect
import math
import time

import numpy as np
import pytest

from methods import registry
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.rows import Rows
from methods.features.score_store import DETECTORS, SCORES, read_detectors, read_scores, write_detectors, write_scores
from methods.features.store import read_features, write_features
from methods.metrics.vectors import unit_rows
from methods.scores import knn, knn_gpu
from methods.scores.base import fit_instances, score_instances
from methods.scores.moments import moments
from tests import golden

RECORDS = registry.records("scores")
INSTANCES = {
    "maha": {"score": "mahalanobis_total"},
    "knn5": {"score": "knn", "k": 5},
    "energy": {"score": "energy", "temperature": 1.0},
    "warm": {"score": "energy", "temperature": 2.5},
    "maxlogit": {"score": "maxlogit"},
    "msp": {"score": "msp", "temperature": 1.0},
    "joint": {"score": "joint_energy", "aggregate": "sum"},
}
ON_LOGITS = ("energy", "warm", "maxlogit", "msp", "joint")
ON_EMBEDDINGS = ("maha", "knn5")
GOLDEN = {
    "maha": [-1.3567735980286786, -1.4722574069843997, -1.7422907992409018, -1.4772988829444693],
    "knn5": [-0.7795962715829818, -0.7424040105753116, -0.4119796317470709, -0.8637230283642515],
    "energy": [2.332184833152005, 1.0153889136185372, 0.09796551809854667, 0.9392839263422617],
    "maxlogit": [1.2985229469157498, 0.7321827183491161, -0.5153588575402994, 0.4910311288603493],
    "msp": [0.35570203240143305, 0.7533644316614524, 0.5415475657715504, 0.6387431909499932],
}
GOLDEN_MULTI_LABEL = {
    "joint": golden.ID_ENERGY,
    "maxlogit": [
        1.9476952617563903,
        1.911143033705888,
        1.7264187332977474,
        0.2822400161197344,
        1.8310528816621792,
        1.8759999535494778,
    ],
}
ORIGIN = {"settings": {"k": 5}, "seed": 3, "parents": {}}


def features(embedding, labels=None, logits=None):
    labels = np.zeros(len(embedding), dtype=np.int64) if labels is None else labels
    return Features(embedding, labels, tuple(f"image{i}" for i in range(len(embedding))), logits=logits)


def scored(names, queries, train):
    """Scores of some instances, through fitting."""
    chosen = {name: INSTANCES[name] for name in names}
    return score_instances(chosen, queries, fit_instances(chosen, train, Readout()), train)


@pytest.fixture
def golden_sets():
    """Training features and queries of the specification, with the logits of its classifier."""
    c, d = np.ogrid[:3, :4]
    weight, bias = np.sin(0.4 + 0.8 * c + 0.6 * d), np.array([0.1, -0.2, 0.3])
    f = golden.view_major(golden.embeddings(20, 2, 4)).numpy()
    t = golden.prototypes(4, 4).numpy()
    train = features(f, np.tile(np.arange(20) % 3, 2), f @ weight.T + bias)
    return train, features(t, logits=t @ weight.T + bias)


@pytest.fixture
def random_sets():
    """60 training images of four classes and 25 queries, 6 dimensions, logits of 5 classes."""
    draw = np.random.default_rng(1)
    labels = np.arange(60) % 4
    train = draw.normal(size=(60, 6)) * [3, 1, 1, 0.5, 0.1, 1] + labels[:, None]
    queries = draw.normal(size=(25, 6)) * 2
    return (
        features(train, labels, draw.normal(size=(60, 5))),
        features(queries, logits=3 * draw.normal(size=(25, 5))),
    )


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_match_the_golden_vectors(name, golden_sets):
    train, queries = golden_sets
    found = scored([name], queries, train)[name]
    np.testing.assert_allclose(found, GOLDEN[name], rtol=0, atol=1e-10)


def test_golden_inputs_are_those_of_the_specification(golden_sets):
    train, queries = golden_sets
    first = [0.5403392495512507, 0.4788445496145216, -0.2841585373209454, -0.6308687013685795]
    np.testing.assert_allclose(train.embedding[0], first, rtol=0, atol=1e-15)
    first = [0.771777086377387, 0.5670832300674707, 0.2856373188756152, -0.034468263440817]
    np.testing.assert_allclose(queries.embedding[0], first, rtol=0, atol=1e-15)


@pytest.mark.parametrize("name", GOLDEN_MULTI_LABEL)
def test_multi_label_scores_match_the_golden_vectors(name):
    logits = golden.multi_label()[0].numpy()
    images = features(np.ones((6, 1)), logits=logits)
    np.testing.assert_allclose(scored([name], images, images)[name], GOLDEN_MULTI_LABEL[name], rtol=0, atol=1e-10)


def unit(row):
    return row / math.sqrt(sum(float(x) ** 2 for x in row))


def slow_mahalanobis(query, train, parameters):
    f = np.array([unit(row) for row in train.embedding])
    precision = np.linalg.pinv(np.cov(f, rowvar=False))
    distances = []
    for c in sorted(set(train.labels.tolist())):
        gap = unit(query.embedding) - np.mean(
            [row for row, label in zip(f, train.labels, strict=True) if label == c], 0
        )
        distances.append(sum(gap[i] * precision[i, j] * gap[j] for i in range(len(gap)) for j in range(len(gap))))
    return -min(distances) / 2


def slow_knn(query, train, parameters):
    f = unit(query.embedding)
    return -sorted(sum((a - b) ** 2 for a, b in zip(f, unit(row), strict=True)) for row in train.embedding)[
        parameters["k"] - 1
    ]


def slow_energy(query, train, parameters):
    t = parameters["temperature"]
    return t * math.log(math.fsum(math.exp(z / t) for z in query.logits))


def slow_msp(query, train, parameters):
    return max(math.exp(z) for z in query.logits) / math.fsum(math.exp(z) for z in query.logits)


def slow_joint_energy(query, train, parameters):
    return math.fsum(math.log(1 + math.exp(z)) for z in query.logits)


def slow_maxlogit(query, train, parameters):
    return sorted(query.logits)[-1]


SLOW = {
    "mahalanobis_total": slow_mahalanobis,
    "knn": slow_knn,
    "energy": slow_energy,
    "msp": slow_msp,
    "joint_energy": slow_joint_energy,
    "maxlogit": slow_maxlogit,
}


def row_of(images, i):
    return features(images.embedding[i], logits=images.logits[i])


@pytest.mark.parametrize("name", INSTANCES)
def test_scores_equal_a_slow_formula(name, random_sets):
    train, queries = random_sets
    slow = SLOW[INSTANCES[name]["score"]]
    expected = [slow(row_of(queries, i), train, INSTANCES[name]) for i in range(25)]
    np.testing.assert_allclose(scored([name], queries, train)[name], expected, rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("name", INSTANCES)
def test_permuted_queries_have_permuted_scores(name, random_sets):
    train, queries = random_sets
    order = np.random.default_rng(2).permutation(25)
    shuffled = features(queries.embedding[order], logits=queries.logits[order])
    direct = scored([name], queries, train)[name]
    np.testing.assert_allclose(scored([name], shuffled, train)[name], direct[order], rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", ON_EMBEDDINGS)
def test_scores_on_the_sphere_ignore_the_length_of_rows(name, random_sets):
    train, queries = random_sets
    draw = np.random.default_rng(3)
    longer = features(train.embedding * draw.uniform(0.01, 100, (60, 1)), train.labels)
    shorter = features(queries.embedding * draw.uniform(0.01, 100, (25, 1)))
    direct = scored([name], queries, train)[name]
    np.testing.assert_allclose(scored([name], shorter, longer)[name], direct, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ON_EMBEDDINGS)
def test_scores_on_the_sphere_ignore_the_order_of_training_images(name, random_sets):
    train, queries = random_sets
    order = np.random.default_rng(4).permutation(60)
    shuffled = features(train.embedding[order], train.labels[order])
    direct = scored([name], queries, train)[name]
    np.testing.assert_allclose(scored([name], queries, shuffled)[name], direct, rtol=1e-9, atol=1e-12)


def test_knn_is_the_same_in_pieces_and_whole(random_sets):
    train, queries = random_sets
    many = features(np.tile(queries.embedding, (100, 1)))  # 2500 rows: more than one matrix product
    found = scored(["knn5"], many, train)["knn5"].reshape(100, 25)
    np.testing.assert_allclose(found - scored(["knn5"], queries, train)["knn5"], 0, atol=1e-14)


def test_knn_with_all_neighbours_takes_the_farthest(random_sets):
    train, queries = random_sets
    instance = {"score": "knn", "k": 60}
    found = score_instances({"far": instance}, queries, {"far": {}}, train)["far"]
    expected = [slow_knn(row_of(queries, i), train, instance) for i in range(25)]
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_more_neighbours_than_training_images_are_refused(random_sets):
    train, queries = random_sets
    with pytest.raises(ReproError, match=r"neighbour 5 of 4 training images.*smaller k"):
        scored(["knn5"], queries, features(train.embedding[:4]))


def test_a_training_image_has_itself_as_nearest_neighbour(random_sets):
    train, _ = random_sets
    found = score_instances({"near": {"score": "knn", "k": 1}}, train, {"near": {}}, train)["near"]
    np.testing.assert_allclose(found, 0, atol=1e-14)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda x: np.hstack([x, x]),
        lambda x: np.hstack([x, np.zeros((len(x), 2))]),
        lambda x: np.repeat(x[:12], 5, axis=0)[: len(x)],
    ],
    ids=["every feature twice", "dead features", "duplicated images"],
)
def test_mahalanobis_of_degenerate_features_is_finite(spoil, random_sets):
    train, queries = random_sets
    broken = features(spoil(train.embedding), train.labels)
    found = scored(["maha"], features(spoil(queries.embedding)), broken)["maha"]
    assert np.isfinite(found).all()


@pytest.mark.parametrize("equal", [np.ones_like, np.zeros_like], ids=["constant features", "zeros"])
def test_mahalanobis_of_equal_training_features_is_refused(equal, random_sets):
    train, queries = random_sets
    with pytest.raises(ReproError, match="All ID training embeddings are equal"):
        scored(["maha"], queries, features(equal(train.embedding), train.labels))


def test_mahalanobis_of_doubled_features_is_that_of_single_ones(random_sets):
    train, queries = random_sets
    doubled = [features(np.hstack([s.embedding] * 2), s.labels) for s in (queries, train)]
    direct = scored(["maha"], queries, train)["maha"]
    np.testing.assert_allclose(scored(["maha"], *doubled)["maha"], direct, rtol=1e-9)


def test_mahalanobis_of_a_class_with_one_image_is_finite(random_sets):
    train, queries = random_sets
    labels = np.where(np.arange(60) == 7, 9, 0)
    lonely = features(train.embedding, labels)
    assert np.isfinite(scored(["maha"], queries, lonely)["maha"]).all()
    assert scored(["maha"], features(train.embedding[7:8]), lonely)["maha"] == pytest.approx(0, abs=1e-12)


def test_missing_parts_are_refused_by_score_and_part(random_sets):
    train, queries = random_sets
    bare = features(queries.embedding)
    with pytest.raises(ReproError, match="'msp' needs logits, which the features do not have"):
        score_instances({"msp": INSTANCES["msp"]}, bare, {"msp": {}}, train)
    with pytest.raises(ReproError, match="'warm' needs logits, which the training features do not have"):
        fit_instances({"warm": INSTANCES["warm"]}, bare, Readout())


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", INSTANCES)
def test_scores_that_are_nan_are_refused(name, random_sets):
    train, queries = random_sets
    queries.embedding[4, 0] = queries.logits[4, 0] = np.nan
    with pytest.raises(ReproError, match=rf"scores '{name}' are NaN or infinite for 1 of 25 .*first: image4"):
        scored([name], queries, train)


@pytest.mark.parametrize("sign", [1, -1])
@pytest.mark.parametrize("name", ON_LOGITS)
def test_large_float32_logits_stay_finite(name, sign):
    logits = (sign * np.array([[1e4, 1e4, -1e4], [0, 1e4, -1e4], [1e4, 9e3, 8e3]])).astype(np.float32)
    images = features(np.ones((3, 1), dtype=np.float32), logits=logits)
    found = scored([name], images, images)[name]
    assert found.dtype == np.float64
    assert np.isfinite(found).all()


def test_float32_features_give_nearly_the_scores_of_float64(random_sets):
    train, queries = random_sets
    narrow = [features(s.embedding.astype("f4"), s.labels, s.logits.astype("f4")) for s in (queries, train)]
    found, expected = scored(INSTANCES, *narrow), scored(INSTANCES, queries, train)
    for name in INSTANCES:
        np.testing.assert_allclose(found[name], expected[name], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("wrong", [lambda z: z[:2, 0], lambda z: z])
def test_a_score_that_gives_not_one_value_an_image_is_refused(wrong, random_sets, monkeypatch):
    train, queries = random_sets
    monkeypatch.setattr(registry.load("scores", "msp"), "score", lambda f, fitted, p: wrong(f.embedding))
    with pytest.raises(ReproError, match=r"The score 'msp' gave values of shape .* expected one an image"):
        score_instances({"msp": {"score": "msp", "temperature": 1.0}}, queries, {"msp": {}}, train)


def test_only_neighbours_need_the_training_set():
    assert [name for name, record in RECORDS.items() if "train_embedding" in record["needs"]] == ["knn"]


@pytest.mark.parametrize("name", RECORDS)
def test_every_score_says_what_it_is_and_what_it_needs(name):
    record, module = RECORDS[name], registry.load("scores", name)
    assert {"title", "paper", "tasks", "needs", "parameters"} <= set(record)
    assert record["title"]
    assert record["paper"]
    assert set() < set(record["tasks"]) <= {"single_label", "multi_label"}
    assert (
        set()
        < set(record["needs"])
        <= {"logits", "embedding", "projection", "train_embedding", "classifier", "prototypes", "network"}
    )
    assert set(record.get("required", [])) <= set(record["parameters"])
    assert all(parameter["description"] for parameter in record["parameters"].values())
    assert "(N,)" in inspect.getdoc(module.network_score if "network" in record["needs"] else module.score)


@pytest.fixture
def fitted(random_sets):
    return fit_instances(INSTANCES, random_sets[0], Readout())


def test_detectors_come_back_from_their_file(fitted, tmp_path):
    write_detectors(tmp_path / "d.h5", fitted, {**ORIGIN, "kind": DETECTORS})
    found, provenance = read_detectors(tmp_path / "d.h5", INSTANCES)
    assert provenance == {**ORIGIN, "kind": DETECTORS}
    assert list(found) == list(INSTANCES)
    assert set(found["maha"]) == {"whitening", "whitened_means"}
    assert found["knn5"] == found["msp"] == {}
    for key, array in fitted["maha"].items():
        np.testing.assert_array_equal(found["maha"][key], array)


def test_scores_come_back_from_their_file(fitted, random_sets, tmp_path):
    train, queries = random_sets
    scores = score_instances(INSTANCES, queries, fitted, train)
    write_scores(tmp_path / "s.h5", scores, queries, {**ORIGIN, "kind": SCORES})
    found, labels, provenance = read_scores(tmp_path / "s.h5")
    assert provenance == {**ORIGIN, "kind": SCORES}
    assert set(found) == set(INSTANCES)
    np.testing.assert_array_equal(labels, queries.labels)
    for name, values in scores.items():
        np.testing.assert_array_equal(found[name], values)


def test_scores_from_detectors_on_disk_are_those_from_memory(fitted, random_sets, tmp_path):
    train, queries = random_sets
    write_detectors(tmp_path / "d.h5", fitted, {**ORIGIN, "kind": DETECTORS})
    found = score_instances(INSTANCES, queries, read_detectors(tmp_path / "d.h5", INSTANCES)[0], train)
    for name, values in score_instances(INSTANCES, queries, fitted, train).items():
        np.testing.assert_array_equal(found[name], values)


def test_detectors_that_lack_an_instance_are_refused(fitted, tmp_path):
    write_detectors(tmp_path / "d.h5", {"msp": {}}, {**ORIGIN, "kind": DETECTORS})
    with pytest.raises(ReproError, match=r"d\.h5 lacks maha, knn5"):
        read_detectors(tmp_path / "d.h5", {name: INSTANCES[name] for name in ("msp", "maha", "knn5")})


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.99])
def test_truncated_files_are_refused(share, fitted, random_sets, tmp_path):
    detectors, scores = tmp_path / "d.h5", tmp_path / "s.h5"
    write_detectors(detectors, fitted, {**ORIGIN, "kind": DETECTORS})
    write_scores(scores, {"msp": np.ones(25)}, random_sets[1], {**ORIGIN, "kind": SCORES})
    for path in (detectors, scores):
        path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ReproError, match="truncated"):
        read_detectors(detectors, INSTANCES)
    with pytest.raises(ReproError, match="truncated"):
        read_scores(scores)


def test_files_of_another_kind_and_missing_ones_are_refused(fitted, tmp_path):
    write_detectors(tmp_path / "d.h5", fitted, {**ORIGIN, "kind": DETECTORS})
    with pytest.raises(ReproError, match="not a file of kind 'scores'"):
        read_scores(tmp_path / "d.h5")
    with pytest.raises(ReproError, match="does not exist"):
        read_scores(tmp_path / "none.h5")


def test_an_empty_set_of_scores_is_refused(tmp_path):
    write_scores(tmp_path / "s.h5", {"msp": np.zeros(0)}, features(np.zeros((0, 2))), {**ORIGIN, "kind": SCORES})
    with pytest.raises(ReproError, match="holds no image"):
        read_scores(tmp_path / "s.h5")


def test_equal_content_gives_equal_bytes_at_another_time(fitted, random_sets, tmp_path):
    for name, wait in (("first", 0), ("second", 1.1)):
        time.sleep(wait)  # HDF5 counts seconds
        write_detectors(tmp_path / name / "d.h5", fitted, {**ORIGIN, "kind": DETECTORS})
        write_scores(tmp_path / name / "s.h5", {"msp": np.ones(25)}, random_sets[1], {**ORIGIN, "kind": SCORES})
    for file in ("d.h5", "s.h5"):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["d.h5", "d.h5", "s.h5", "s.h5"]


@pytest.mark.parametrize("rows", [300, 40])
def test_knn_finds_the_same_neighbours_piece_by_piece_as_at_once(monkeypatch, rows):
    random = np.random.RandomState(rows)
    bank, queries = random.randn(rows, 5), random.randn(37, 5)
    monkeypatch.setattr(knn, "_BANK", 16)
    monkeypatch.setattr(knn, "_QUERIES", 10)
    cosines = np.sort(unit_rows(queries) @ unit_rows(bank).T, axis=1)
    for count in (1, 7, 16, 30):
        found = np.sort(knn.largest_cosines(unit_rows(queries), bank, count), axis=1)
        np.testing.assert_allclose(found, cosines[:, -count:], atol=1e-12)


def test_knn_is_exact_where_many_neighbours_are_equally_near():
    bank = np.repeat(np.eye(3), 40, axis=0)
    found = np.sort(knn.largest_cosines(np.eye(3)[:1], bank, 50), axis=1)
    assert found.tolist() == [[0.0] * 10 + [1.0] * 40]


def test_instances_that_differ_in_k_alone_are_one_search(random_sets, monkeypatch):
    train, queries = random_sets[:2]
    searches, search = [], knn.largest_cosines
    monkeypatch.setattr(knn, "largest_cosines", lambda *arguments: searches.append(arguments) or search(*arguments))
    many = {f"knn{k}": {"score": "knn", "k": k} for k in (1, 4, 9)}
    found = score_instances(many, queries, {name: {} for name in many}, train)
    assert len(searches) == 1
    for name, parameters in many.items():
        alone = score_instances({name: parameters}, queries, {name: {}}, train)
        np.testing.assert_allclose(found[name], alone[name], atol=1e-12)


def test_fitting_and_scoring_read_training_features_from_the_disk_as_they_read_arrays(random_sets, tmp_path):
    train, queries = random_sets[:2]
    write_features(tmp_path / "train.h5", train, {"kind": "features"})
    lazy, _ = read_features(tmp_path / "train.h5", lazy=True)
    whole, _ = read_features(tmp_path / "train.h5")
    assert isinstance(lazy.embedding, Rows)
    found = [
        score_instances(INSTANCES, queries, fit_instances(INSTANCES, part, Readout()), part) for part in (lazy, whole)
    ]
    for name, values in found[0].items():
        np.testing.assert_array_equal(values, found[1][name])


def test_moments_equal_their_definitions():
    random = np.random.RandomState(3)
    x, labels = random.randn(500, 4) + 1000, random.randint(0, 3, 500)
    found = moments(x, labels)
    centred = x - np.stack([x[labels == c].mean(axis=0) for c in range(3)])[labels]
    np.testing.assert_allclose(found.total, np.cov(x, rowvar=False), rtol=1e-9)
    np.testing.assert_allclose(found.within, centred.T @ centred / 500, rtol=1e-9)


@pytest.mark.parametrize(("count", "tile"), [(1, 7), (5, 7), (30, 7), (30, 1000)])
def test_the_search_of_the_gpu_gives_what_the_one_of_the_cpu_gives(random_sets, monkeypatch, count, tile):
    """In tiles smaller than the sets, on the CPU: there torch does the same in the same order."""
    train, queries = random_sets
    monkeypatch.setattr(knn_gpu, "_BANK", tile)
    monkeypatch.setattr(knn_gpu, "_QUERIES", 3)
    count = min(count, len(train.embedding))
    rows = unit_rows(queries.embedding)
    found = np.sort(knn_gpu.largest_cosines(rows, train.embedding, count, "cpu"), axis=1)
    wanted = np.sort(rows @ unit_rows(train.embedding).T, axis=1)[:, -count:]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert found.shape == (len(rows), count)


def test_an_accelerated_score_searches_on_the_gpu(random_sets, monkeypatch):
    train, queries = random_sets
    calls = []

    def search(rows, bank, count):
        calls.append(count)
        return knn.largest_cosines(rows, bank, count)

    monkeypatch.setattr(knn_gpu, "largest_cosines", search)
    monkeypatch.setattr(knn_gpu, "available", lambda: True)
    instances = {name: INSTANCES[name] for name in ("knn5", "msp")}
    plain = score_instances(instances, queries, {name: {} for name in instances}, train)
    assert calls == []
    fast = score_instances(instances, queries, {name: {} for name in instances}, train, accelerate=True)
    assert calls == [5]
    for name in instances:
        np.testing.assert_array_equal(plain[name], fast[name])
