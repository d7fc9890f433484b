"""Scores on features against golden vectors, slow formulas in float64, and what must not change them."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.covariance import EmpiricalCovariance
from sklearn.decomposition import PCA
from sklearn.preprocessing import StandardScaler

from methods import registry
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.rows import Rows, blocks
from methods.features.score_store import DETECTORS, read_detectors, write_detectors
from methods.features.store import write_features
from methods.metrics.vectors import unit_rows
from methods.scores.base import fit_instances, score_instances
from methods.scores.linear import largest
from methods.scores.nnguide import drawn
from methods.scores.react import percentile
from methods.scores.vim import origin_of, usual_dimension
from methods.settings.parts import complete_part, part_problems
from tests import golden

INSTANCES = {
    "within": {"score": "mahalanobis_within", "normalise": True},
    "mds": {"score": "mahalanobis_within"},
    "relative": {"score": "relative_mahalanobis"},
    "relative_unit": {"score": "relative_mahalanobis", "normalise": True},
    "ssd_palm": {"score": "ssd_plus", "variant": "palm"},
    "ssd": {"score": "ssd_plus"},
    "ssd_class": {"score": "ssd_plus", "variant": "class"},
    "cosine": {"score": "cosine"},
    "cosine_prototypes": {"score": "cosine_prototypes"},
    "vim": {"score": "vim", "dimension": 2},
    "vim_usual": {"score": "vim"},
    "residual": {"score": "residual", "dimension": 2},
    "react": {"score": "react"},
    "react_zero": {"score": "react", "variant": "zero", "percentile": 80},
    "react_fixed": {"score": "react", "variant": "zero", "threshold": 1.0},
    "dice": {"score": "dice", "sparsity": 0.6},
    "ash_s": {"score": "ash", "percentile": 65},
    "ash_p": {"score": "ash", "percentile": 65, "variant": "p"},
    "ash_b": {"score": "ash", "percentile": 65, "variant": "b"},
    "scale": {"score": "scale", "percentile": 65},
    "she": {"score": "she"},
    "fdbd": {"score": "fdbd"},
    "nnguide": {"score": "nnguide", "k": 3, "share": 0.3, "seed": 5},
    "nnguide_all": {"score": "nnguide", "share": 1.0},
    "neco": {"score": "neco", "dimension": 3},
    "neco_plain": {"score": "neco", "dimension": 2, "times_maxlogit": False},
    "nci": {"score": "nci", "alpha": 0.1},
    "gradnorm": {"score": "gradnorm"},
}
INSTANCES = {name: complete_part("scores", "score", part) for name, part in INSTANCES.items()}
GOLDEN = {
    "within": [-1.4383110404800044, -1.6001957378006861, -1.8574749659452716, -1.5846188876669338],
    "mds": [-1.4383110404800044, -1.6001957378006861, -1.8574749659452716, -1.5846188876669338],
    "ssd_palm": [-3.504584190526769, -3.978165489940757, -4.3879558598827515, -4.530131200416386],
    "ssd": [-3.604662779247942, -4.121763602242736, -4.2805708207187925, -4.289412629303052],
    "ssd_class": [-2.6651191615372953, -3.381682790595964, -4.094955991025387, -4.0831995541773605],
    "vim": [1.7665090016327167, 0.13790418299760876, -0.7501097690830124, 0.7365792286802849],
    "react": [2.2329029437093677, 1.0153889136185372, 0.09796551809854667, 0.9392839263422617],
}
ON_UNIT_ROWS = ("within", "relative_unit", "ssd_palm", "ssd", "ssd_class", "cosine")


def features(h, labels=None, readout=None, projection=None):
    labels = np.zeros(len(h), dtype=np.int64) if labels is None else labels
    logits = h @ readout.weight.T + readout.bias if readout is not None else None
    projection = unit_rows(h[:, :3]) if projection is None else projection
    return Features(h, labels, tuple(f"image{i:05d}" for i in range(len(h))), logits=logits, projection=projection)


def fitted_and_scored(names, queries, train, readout):
    """Scores of some instances, through fitting."""
    chosen = {name: INSTANCES[name] for name in names}
    return score_instances(chosen, queries, fit_instances(chosen, train, readout), train)


def one(name, queries, train, readout, **changes):
    """Scores of one instance, some of its parameters changed."""
    instance = {"x": {**INSTANCES[name], **changes}}
    return score_instances(instance, queries, fit_instances(instance, train, readout), train)["x"]


@pytest.fixture
def golden_sets():
    """Training features and queries of the specification, and its classifier."""
    c, d = np.ogrid[:3, :4]
    readout = Readout(np.sin(0.4 + 0.8 * c + 0.6 * d), np.array([0.1, -0.2, 0.3]))
    f = golden.view_major(golden.embeddings(20, 2, 4)).numpy()
    t = golden.prototypes(4, 4).numpy()
    return features(f, np.tile(np.arange(20) % 3, 2), readout), features(t, readout=readout), readout


@pytest.fixture
def random_sets():
    """60 training images of four classes and 25 queries, 6 features as after a ReLU, a classifier, 8 prototypes."""
    draw = np.random.default_rng(1)
    labels = np.arange(60) % 4
    weight = np.eye(4, 6) + 0.1 * draw.normal(size=(4, 6))
    prototypes = golden.unit(draw.normal(size=(8, 3)))
    readout = Readout(weight, 0.2 * draw.normal(size=4), prototypes, np.arange(8) // 2)
    train = np.abs(draw.normal(size=(60, 6)) * [1, 1, 1, 0.5, 0.1, 1]) + 2 * np.eye(4, 6)[labels]
    queries = np.abs(draw.normal(size=(25, 6))) * 2
    projections = [golden.unit(draw.normal(size=(count, 3))) for count in (60, 25)]
    return features(train, labels, readout, projections[0]), features(queries, None, readout, projections[1]), readout


@pytest.mark.parametrize("name", GOLDEN)
def test_scores_match_the_golden_vectors(name, golden_sets):
    train, queries, readout = golden_sets
    found = fitted_and_scored([name], queries, train, readout)[name]
    np.testing.assert_allclose(found, GOLDEN[name], rtol=0, atol=1e-10)


def test_golden_vectors_on_the_way(golden_sets):
    train, _, readout = golden_sets
    fitted = fit_instances({name: INSTANCES[name] for name in ("vim", "react")}, train, readout)
    origin = [-0.06990861387582753, -0.01641023364080509, 0.04282071333033684, 0.08709315317553429]
    np.testing.assert_allclose(fitted["vim"]["origin"], origin, rtol=0, atol=1e-14)
    assert fitted["vim"]["alpha"] == pytest.approx([0.9903872150795588], abs=1e-14)
    assert fitted["react"]["threshold"] == pytest.approx([0.6404601451417526], abs=1e-15)


# Slow formulas: a query h with logits z and projection v, the training features H, labels y, a readout, parameters.


def unit(row):
    length = math.sqrt(math.fsum(x * x for x in row))
    return row / length if length > 0 else row


def slow_logits(h, readout):
    return [
        math.fsum(w * x for w, x in zip(row, h, strict=True)) + b
        for row, b in zip(readout.weight, readout.bias, strict=True)
    ]


def slow_energy(h, readout):
    return math.log(math.fsum(math.exp(z) for z in slow_logits(h, readout)))


def guess(h, readout):
    z = slow_logits(h, readout)
    return z.index(max(z))


def squared(gap, precision):
    size = range(len(gap))
    return math.fsum(gap[i] * precision[i, j] * gap[j] for i in size for j in size)


def outer_mean(rows, centres):
    return sum(np.outer(row - m, row - m) for row, m in zip(rows, centres, strict=True)) / len(rows)


def gaussians(h, train, normalise):
    """Query and training rows, class means, squared distances within classes and to the background."""
    x, rows = (unit(h), [unit(row) for row in train.embedding]) if normalise else (h, list(train.embedding))
    means = {
        c: np.mean([row for row, y in zip(rows, train.labels, strict=True) if y == c], axis=0) for c in train.labels
    }
    within = np.linalg.pinv(outer_mean(rows, [means[y] for y in train.labels]))
    overall = np.mean(rows, axis=0)
    background = np.linalg.pinv(outer_mean(rows, [overall] * len(rows)))
    return [squared(x - m, within) for m in means.values()], squared(x - overall, background)


def slow_mahalanobis_within(q, train, readout, parameters):
    return -min(gaussians(q.embedding, train, parameters["normalise"])[0]) / 2


def slow_relative_mahalanobis(q, train, readout, parameters):
    classes, background = gaussians(q.embedding, train, parameters["normalise"])
    return max(background - d for d in classes)


def slow_ssd_plus(q, train, readout, parameters):
    rows = [unit(row) for row in train.embedding]
    mean = np.mean(rows, axis=0)
    deviation = np.sqrt(np.mean([(row - mean) ** 2 for row in rows], axis=0)) + 1e-10
    x, rows = (unit(q.embedding) - mean) / deviation, [(row - mean) / deviation for row in rows]
    groups = [rows]
    if parameters["variant"] == "class":
        groups = [[row for row, y in zip(rows, train.labels, strict=True) if y == c] for c in set(train.labels)]
    found = []
    for group in groups:
        own = np.mean(group, axis=0)
        centre = mean if parameters["variant"] == "palm" else own
        found.append(-squared(x - centre, np.linalg.pinv(outer_mean(group, [own] * len(group)))))
    return max(found)


def slow_cosine(q, train, readout, parameters):
    rows = [unit(row) for row in train.embedding]
    means = [np.mean([row for row, y in zip(rows, train.labels, strict=True) if y == c], 0) for c in set(train.labels)]
    return max(unit(q.embedding) @ unit(m) for m in means)


def slow_cosine_prototypes(q, train, readout, parameters):
    return max(unit(q.projection) @ p for p in readout.prototypes)


def outside(h, train, readout, dimension):
    """Length of h - o outside the first principal directions, by taking those away one after the other."""
    origin = -np.linalg.pinv(readout.weight) @ readout.bias
    _, _, directions = np.linalg.svd(train.embedding - origin)
    rest = h - origin
    for direction in directions[: dimension or 3]:
        rest = rest - (rest @ direction) * direction
    return math.sqrt(rest @ rest)


def slow_vim(q, train, readout, parameters):
    d = parameters["dimension"]
    largest_logits = [max(slow_logits(row, readout)) for row in train.embedding]
    alpha = np.mean(largest_logits) / np.mean([outside(row, train, readout, d) for row in train.embedding])
    return slow_energy(q.embedding, readout) - alpha * outside(q.embedding, train, readout, d)


def slow_residual(q, train, readout, parameters):
    return -outside(q.embedding, train, readout, parameters["dimension"])


def slow_react(q, train, readout, parameters):
    threshold = parameters["threshold"]
    if threshold is None:
        threshold = np.percentile(train.embedding, parameters["percentile"])
    instead = threshold if parameters["variant"] == "clip" else 0
    return slow_energy([x if x < threshold else instead for x in q.embedding], readout)


def slow_dice(q, train, readout, parameters):
    means = [np.mean(column) for column in train.embedding.T]
    contributions = [[w * m for w, m in zip(row, means, strict=True)] for row in readout.weight]
    threshold = np.percentile(contributions, 100 * parameters["sparsity"])
    sparse = [
        [w if c > threshold else 0 for w, c in zip(*pair, strict=True)]
        for pair in zip(readout.weight, contributions, strict=True)
    ]
    return slow_energy(q.embedding, Readout(np.array(sparse), readout.bias))


def large_ones(h, share):
    """Places of the largest features."""
    return sorted(range(len(h)), key=lambda e: -h[e])[: len(h) - round(len(h) * share / 100)]


def slow_ash(q, train, readout, parameters):
    h, kept = q.embedding, large_ones(q.embedding, parameters["percentile"])
    ratio = sum(h) / sum(h[e] for e in kept)
    shaped = {"s": h * math.exp(ratio), "p": h, "b": np.full(len(h), sum(h) / len(kept))}[parameters["variant"]]
    return slow_energy([shaped[e] if e in kept else 0 for e in range(len(h))], readout)


def slow_scale(q, train, readout, parameters):
    h, kept = q.embedding, large_ones(q.embedding, parameters["percentile"])
    return slow_energy(h * math.exp(sum(h) / sum(h[e] for e in kept)), readout)


def slow_she(q, train, readout, parameters):
    c = guess(q.embedding, readout)
    pairs = zip(train.embedding, train.labels, strict=True)
    return q.embedding @ np.mean([row for row, y in pairs if y == c == guess(row, readout)], axis=0)


def slow_fdbd(q, train, readout, parameters):
    z, w, p = slow_logits(q.embedding, readout), readout.weight, guess(q.embedding, readout)
    others = [c for c in range(len(z)) if c != p]
    distances = [abs(z[p] - z[c]) / math.dist(w[p], w[c]) for c in others]
    return sum(distances) / len(others) / math.dist(q.embedding, train.embedding.mean(axis=0))


def slow_nnguide(q, train, readout, parameters):
    chosen = drawn(train.sample_ids, parameters["share"], parameters["seed"])
    bank = [slow_energy(train.embedding[i], readout) * unit(train.embedding[i]) for i in chosen]
    nearest = sorted(unit(q.embedding) @ b for b in bank)[-parameters["k"] :]
    return slow_energy(q.embedding, readout) * sum(nearest) / parameters["k"]


def slow_neco(q, train, readout, parameters):
    mean, deviation = train.embedding.mean(axis=0), train.embedding.std(axis=0)
    _, _, directions = np.linalg.svd((train.embedding - mean) / deviation)
    x = (q.embedding - mean) / deviation
    share = math.sqrt(sum((x @ v) ** 2 for v in directions[: parameters["dimension"]]) / (x @ x))
    return share * max(q.logits) if parameters["times_maxlogit"] else share


def slow_nci(q, train, readout, parameters):
    along = readout.weight[guess(q.embedding, readout)] @ unit(q.embedding - train.embedding.mean(axis=0))
    return along + parameters["alpha"] * sum(abs(x) for x in q.embedding)


def slow_gradnorm(q, train, readout, parameters):
    weight = torch.tensor(readout.weight, requires_grad=True)
    z = weight @ torch.tensor(q.embedding) + torch.tensor(readout.bias)
    (-torch.log_softmax(z, dim=0).sum()).backward()
    return weight.grad.abs().sum().item()


def row_of(images, i):
    return Features(images.embedding[i], images.labels[i], (), None, images.logits[i], images.projection[i])


@pytest.mark.parametrize("name", INSTANCES)
def test_scores_equal_a_slow_formula(name, random_sets):
    train, queries, readout = random_sets
    slow, parameters = globals()[f"slow_{INSTANCES[name]['score']}"], INSTANCES[name]
    expected = [slow(row_of(queries, i), train, readout, parameters) for i in range(25)]
    found = fitted_and_scored([name], queries, train, readout)[name]
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("name", INSTANCES)
def test_instances_are_valid_settings(name):
    assert part_problems("scores", "score", INSTANCES[name], name) == []


def taken(images, order):
    """Images in another order, or some of them."""
    parts = {key: getattr(images, key) for key in ("embedding", "labels", "logits", "projection")}
    ids = tuple(images.sample_ids[i] for i in order)
    return Features(sample_ids=ids, **{key: part[order] for key, part in parts.items()})


def test_permuted_queries_have_permuted_scores(random_sets):
    train, queries, readout = random_sets
    order = np.random.default_rng(2).permutation(25)
    direct = fitted_and_scored(INSTANCES, queries, train, readout)
    shuffled = fitted_and_scored(INSTANCES, taken(queries, order), train, readout)
    for name in INSTANCES:
        np.testing.assert_allclose(shuffled[name], direct[name][order], rtol=1e-12, atol=1e-12, err_msg=name)


def test_scores_ignore_the_order_of_training_images(random_sets):
    train, queries, readout = random_sets
    order = np.random.default_rng(4).permutation(60)
    direct = fitted_and_scored(INSTANCES, queries, train, readout)
    shuffled = fitted_and_scored(INSTANCES, queries, taken(train, order), readout)
    for name in INSTANCES:
        np.testing.assert_allclose(shuffled[name], direct[name], rtol=1e-9, atol=1e-11, err_msg=name)


def test_a_query_is_scored_alone_as_among_others(random_sets):
    train, queries, readout = random_sets
    direct = fitted_and_scored(INSTANCES, queries, train, readout)
    alone = fitted_and_scored(INSTANCES, taken(queries, [7]), train, readout)
    for name in INSTANCES:
        np.testing.assert_allclose(alone[name], direct[name][7:8], rtol=1e-12, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("name", ON_UNIT_ROWS)
def test_scores_on_the_sphere_ignore_the_length_of_rows(name, random_sets):
    train, queries, readout = random_sets
    draw = np.random.default_rng(3)
    longer = features(train.embedding * draw.uniform(0.01, 100, (60, 1)), train.labels)
    shorter = features(queries.embedding * draw.uniform(0.01, 100, (25, 1)))
    direct = fitted_and_scored([name], queries, train, readout)[name]
    found = fitted_and_scored([name], shorter, longer, readout)[name]
    np.testing.assert_allclose(found, direct, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", ["mds", "relative"])
def test_mahalanobis_distances_ignore_an_invertible_linear_map(name, random_sets):
    train, queries, readout = random_sets
    turn = np.random.default_rng(5).normal(size=(6, 6))
    mapped = [features(100 + images.embedding @ turn, images.labels) for images in (queries, train)]
    direct = fitted_and_scored([name], queries, train, readout)[name]
    np.testing.assert_allclose(fitted_and_scored([name], *mapped, readout)[name], direct, rtol=1e-7, atol=1e-9)


def test_relative_mahalanobis_is_mahalanobis_less_one_gaussian_of_all(random_sets):
    train, queries, readout = random_sets
    single = features(train.embedding)  # one class
    found = fitted_and_scored(["mds", "relative"], queries, train, readout)
    background = fitted_and_scored(["mds", "relative"], queries, single, readout)
    np.testing.assert_allclose(found["relative"], 2 * found["mds"] - 2 * background["mds"], rtol=1e-9)
    np.testing.assert_allclose(background["relative"], 0, atol=1e-9)


def test_class_wise_ssd_of_one_class_is_the_single_one(random_sets):
    train, queries, readout = random_sets
    found = fitted_and_scored(["ssd", "ssd_class"], queries, features(train.embedding), readout)
    np.testing.assert_allclose(found["ssd_class"], found["ssd"], rtol=1e-9)


def test_vim_is_energy_less_the_weighted_residual(random_sets):
    train, queries, readout = random_sets
    alpha = fit_instances({"vim": INSTANCES["vim"]}, train, readout)["vim"]["alpha"]
    found = fitted_and_scored(["vim", "residual"], queries, train, readout)
    energies = np.log(np.exp(queries.logits).sum(axis=1))
    np.testing.assert_allclose(found["vim"], energies + alpha * found["residual"], rtol=1e-12)


def test_what_cuts_nothing_is_the_energy(random_sets):
    train, _, readout = random_sets
    energies = np.log(np.exp(train.logits).sum(axis=1))
    np.testing.assert_allclose(one("react", train, train, readout, percentile=100), energies, rtol=1e-12)
    np.testing.assert_allclose(one("ash_p", train, train, readout, percentile=0), energies, rtol=1e-12)
    stretched = features(math.e * train.embedding, readout=readout)
    expected = np.log(np.exp(stretched.logits).sum(axis=1))
    np.testing.assert_allclose(one("scale", train, train, readout, percentile=0), expected, rtol=1e-12)
    np.testing.assert_allclose(one("ash_s", train, train, readout, percentile=0), expected, rtol=1e-12)


def test_neco_of_all_directions_is_the_largest_logit(random_sets):
    train, queries, readout = random_sets
    np.testing.assert_allclose(one("neco", queries, train, readout, dimension=6), queries.logits.max(axis=1))


def test_nnguide_draws_the_same_names_wherever_they_stand():
    names = tuple(f"n{i:02d}" for i in range(40))
    order = np.random.default_rng(0).permutation(40)
    chosen = {names[i] for i in drawn(names, 0.31, 3)}
    assert len(chosen) == 13
    assert chosen == {names[order[i]] for i in drawn(tuple(names[i] for i in order), 0.31, 3)}
    assert chosen != {names[i] for i in drawn(names, 0.31, 4)}


def test_nnguide_is_the_same_in_pieces_and_whole(random_sets):
    train, queries, readout = random_sets
    many = features(np.tile(queries.embedding, (100, 1)))  # 2500 rows: more than one matrix product
    found = fitted_and_scored(["nnguide"], many, train, readout)["nnguide"].reshape(100, 25)
    expected = fitted_and_scored(["nnguide"], queries, train, readout)["nnguide"]
    np.testing.assert_allclose(found, np.tile(expected, (100, 1)), rtol=1e-12)


def test_neco_is_that_of_scikit_learns_scaler_and_principal_components(random_sets):
    train, queries, readout = random_sets
    scaler = StandardScaler().fit(train.embedding)
    components = PCA().fit(scaler.transform(train.embedding))
    x = scaler.transform(queries.embedding)
    share = np.linalg.norm(components.transform(x)[:, :3], axis=1) / np.linalg.norm(x, axis=1)
    found = fitted_and_scored(["neco"], queries, train, readout)["neco"]
    np.testing.assert_allclose(found, share * queries.logits.max(axis=1), rtol=1e-10)


def test_mahalanobis_distances_are_those_of_scikit_learns_covariance(random_sets):
    train, queries, readout = random_sets
    h, means = train.embedding, np.stack([train.embedding[train.labels == c].mean(axis=0) for c in range(4)])
    within, background = EmpiricalCovariance().fit(h - means[train.labels]), EmpiricalCovariance().fit(h)
    nearest = np.min([within.mahalanobis(queries.embedding - m) for m in means], axis=0)
    found = fitted_and_scored(["mds", "relative"], queries, train, readout)
    np.testing.assert_allclose(found["mds"], -nearest / 2, rtol=1e-10)
    np.testing.assert_allclose(found["relative"], background.mahalanobis(queries.embedding) - nearest, rtol=1e-9)


@pytest.mark.parametrize("percent", [0, 10, 33.3, 50, 90, 99.9, 100])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_percentile_is_that_of_numpy(dtype, percent):
    draw = np.random.default_rng(0)
    values = np.concatenate([draw.normal(size=200), draw.normal(size=100) * 1e-3, [0.0, -0.0, 7, 7, 7], [-2.5] * 7])
    rows = draw.permutation(values)[:312].reshape(52, 6).astype(dtype)
    expected = np.percentile(rows.astype(np.float64), percent)
    assert percentile(rows, percent) == pytest.approx(expected, rel=1e-13, abs=1e-16)


def test_of_equal_features_the_first_stay():
    h = np.array([[0, 2, 0, 1, 0.0], [1, 1, 1, 1, 1], [3, 2, 2, 2, 5]])
    expected = [[1, 1, 0, 1, 0], [1, 1, 1, 0, 0], [1, 1, 0, 0, 1]]
    np.testing.assert_array_equal(largest(h, 40, "ASH-P"), np.array(expected, dtype=bool))


@pytest.fixture
def stored(random_sets, tmp_path, monkeypatch):
    """The training set on disk and the same in memory, float32, read in blocks of 7 rows."""
    train, queries, readout = random_sets
    write_features(tmp_path / "train.h5", train, {"kind": "features"})
    embedding = train.embedding.astype(np.float32)
    parts = {key: getattr(train, key) for key in ("labels", "sample_ids", "logits", "projection")}
    rows = Rows(tmp_path / "train.h5", "embedding", embedding.shape, embedding.dtype)
    in_memory = Features(embedding, **parts)
    whole = fitted_and_scored(INSTANCES, queries, in_memory, readout)
    monkeypatch.setattr(blocks, "__defaults__", (7,))
    return Features(rows, **parts), in_memory, whole


@pytest.mark.parametrize("name", INSTANCES)
def test_training_features_on_disk_give_what_those_in_memory_give(name, stored, random_sets):
    on_disk, in_memory, whole = stored
    for train in (on_disk, in_memory):
        found = fitted_and_scored([name], random_sets[1], train, random_sets[2])[name]
        np.testing.assert_allclose(found, whole[name], rtol=1e-9, atol=1e-11)


def test_training_features_on_disk_are_never_in_memory_as_a_whole(random_sets, tmp_path, monkeypatch):
    few, queries, readout = random_sets
    draw = np.random.default_rng(6)
    h = np.tile(few.embedding, (300, 1)) * draw.uniform(0.5, 1.5, (18000, 6))
    labels = np.tile(few.labels, 300)
    write_features(tmp_path / "train.h5", features(h, labels), {"kind": "features"})
    rows = Rows(tmp_path / "train.h5", "embedding", h.shape, np.dtype(np.float32))
    ids = tuple(map(str, range(18000)))
    train = Features(rows, labels, ids, logits=h @ readout.weight.T, projection=unit_rows(h[:, :3]))
    read, get = [], Rows.__getitem__
    monkeypatch.setattr(Rows, "__getitem__", lambda rows, part: read.append(get(rows, part)) or read[-1])
    monkeypatch.delattr(Rows, "__array__")
    fitted_and_scored(INSTANCES, queries, train, readout)
    assert max(map(len, read)) <= 16384


def test_float32_features_give_nearly_the_scores_of_float64(random_sets):
    train, queries, readout = random_sets
    narrow = [
        Features(s.embedding.astype("f4"), s.labels, s.sample_ids, None, s.logits.astype("f4"), s.projection)
        for s in (queries, train)
    ]
    direct, found = (fitted_and_scored(INSTANCES, *sets, readout) for sets in ((queries, train), narrow))
    for name in INSTANCES:
        np.testing.assert_allclose(found[name], direct[name], rtol=1e-4, atol=1e-5, err_msg=name)


def test_scores_from_detectors_on_disk_are_those_from_memory(random_sets, tmp_path):
    train, queries, readout = random_sets
    fitted = fit_instances(INSTANCES, train, readout)
    write_detectors(tmp_path / "d.h5", fitted, {"kind": DETECTORS})
    found = score_instances(INSTANCES, queries, read_detectors(tmp_path / "d.h5", INSTANCES)[0], None)
    for name, values in score_instances(INSTANCES, queries, fitted, None).items():
        np.testing.assert_array_equal(found[name], values, err_msg=name)


# Degenerate training features: every score is finite, or refuses them in the sentence given here.

FLAT = {
    "within": "equal, in every class",
    "mds": "equal, in every class",
    "relative": "equal, in every class",
    "relative_unit": "equal, in every class",
    "ssd": "all equal",
    "ssd_palm": "all equal",
    "ssd_class": "images of class 0 .* all have the same features",
}
INSIDE = dict.fromkeys(("vim", "vim_usual", "residual"), "no part outside the . principal directions")
DEGENERATE = {
    "duplicated images": (lambda h, y: (np.repeat(h[:20], 3, axis=0), np.repeat(y[:20], 3)), {}),
    "a feature twice": (lambda h, y: (h[:, [0, 1, 2, 3, 0, 5]], y), {}),
    "a constant feature": (lambda h, y: (np.where(np.arange(6) == 4, 0.7, h), y), {}),
    "dead features": (lambda h, y: (np.where(np.arange(6) >= 4, 0, h), y), {}),
    "near-singular": (lambda h, y: (np.where(np.arange(6) == 4, h[:, [0]] * (1 + 1e-9 * h), h), y), {}),
    "a row of zeros": (lambda h, y: (np.where(np.arange(60)[:, None] == 7, 0, h), y), {}),
    "one large row": (lambda h, y: (np.where(np.arange(60)[:, None] == 7, 1e6 * h, h), y), {}),
    "a class with one image": (
        lambda h, y: (np.delete(h, np.flatnonzero(y == 2)[1:], 0), np.delete(y, np.flatnonzero(y == 2)[1:])),
        {"ssd_class": r"images of class 2 \(1\) all have the same features.*use the variant single"},
    ),
    "classes of one image": (
        lambda h, y: (h[:4], y[:4]),
        {
            **FLAT,
            "ssd": None,
            "ssd_palm": None,
            "nnguide": "neighbours in a bank",
            "nnguide_all": "neighbours in a bank",
        },
    ),
    "equal images in each class": (lambda h, y: (h[y], y), {**FLAT, "ssd": None, "ssd_palm": None}),
    "equal images": (lambda h, y: (h[0 * y], y), {**FLAT, **INSIDE, "she": "SHE has no pattern"}),
    "zeros": (lambda h, y: (0 * h, y), {**FLAT, **INSIDE, "she": "SHE has no pattern"}),
}


@pytest.mark.parametrize("name", INSTANCES)
@pytest.mark.parametrize("case", DEGENERATE)
def test_degenerate_training_features_give_finite_scores_or_are_refused(case, name, random_sets):
    train, queries, readout = random_sets
    spoil, refused = DEGENERATE[case]
    h, labels = spoil(train.embedding, train.labels)
    broken = features(h, labels, readout)
    if sentence := refused.get(name):
        with pytest.raises(ReproError, match=sentence):
            fitted_and_scored([name], queries, broken, readout)
    else:
        assert np.isfinite(fitted_and_scored([name], queries, broken, readout)[name]).all()


def test_queries_at_zero_and_at_the_mean_have_finite_scores(random_sets):
    train, _, readout = random_sets
    places = np.stack([np.zeros(6), train.embedding.mean(axis=0), train.embedding[0], 1e4 * train.embedding[1]])
    queries = features(places, None, readout, np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    for name, values in fitted_and_scored(INSTANCES, queries, train, readout).items():
        assert np.isfinite(values).all(), name


def test_a_row_of_zeros_has_the_scores_of_the_bias(random_sets):
    train, _, readout = random_sets
    nothing = features(np.zeros((1, 6)), None, readout, np.zeros((1, 3)))
    found = fitted_and_scored(INSTANCES, nothing, train, readout)
    bias = math.log(math.fsum(map(math.exp, readout.bias)))
    for name in ("react", "dice", "ash_s", "ash_p", "ash_b", "scale"):
        assert found[name] == pytest.approx(bias), name
    for name in ("cosine", "cosine_prototypes", "she", "nnguide", "gradnorm"):
        assert found[name] == 0, name


def test_a_class_with_one_image_is_its_own_centre(random_sets):
    train, _, readout = random_sets
    lonely = features(train.embedding, np.where(np.arange(60) == 7, 9, 0))
    query = features(train.embedding[7:8])
    found = fitted_and_scored(["mds", "within", "cosine"], query, lonely, readout)
    assert found["mds"] == pytest.approx(0, abs=1e-10)
    assert found["within"] == pytest.approx(0, abs=1e-10)
    assert found["cosine"] == pytest.approx(1)


@pytest.mark.parametrize("name", ["within", "mds", "relative", "ssd", "ssd_class"])
def test_gaussians_of_doubled_features_are_those_of_single_ones(name, random_sets):
    train, queries, readout = random_sets
    doubled = [features(np.hstack([s.embedding] * 2), s.labels) for s in (queries, train)]
    direct = fitted_and_scored([name], queries, train, readout)[name]
    np.testing.assert_allclose(fitted_and_scored([name], *doubled, readout)[name], direct, rtol=1e-8)


ON_CLASSIFIERS = [
    name for name, part in INSTANCES.items() if "classifier" in registry.records("scores")[part["score"]]["needs"]
]


@pytest.mark.parametrize("name", ON_CLASSIFIERS)
def test_a_model_without_classifier_is_refused(name, random_sets):
    train, queries, _ = random_sets
    with pytest.raises(ReproError, match=rf"'{name}' needs a classifier, which the model does not have"):
        fitted_and_scored([name], queries, train, Readout())


def test_prototypes_and_projections_that_are_missing_are_refused(random_sets):
    train, queries, readout = random_sets
    with pytest.raises(ReproError, match="needs prototypes, which the model does not have"):
        one("cosine_prototypes", queries, train, Readout())
    with pytest.raises(ReproError, match="needs projection, which the features do not have"):
        one("cosine_prototypes", replace(queries, projection=None), train, readout)


@pytest.mark.parametrize(
    ("name", "changes", "sentence"),
    [
        ("vim", {"dimension": 6}, "ViM has a principal space of 6 of 6 features: choose 1 to 5"),
        ("residual", {"dimension": 7}, "Residual has a principal space of 7 of 6 features: choose 1 to 5"),
        ("neco", {"dimension": 7}, "NECO asks for 7 principal axes of 6 features: choose at most 6"),
        ("nnguide", {"k": 19}, "19 neighbours in a bank of 18: choose a smaller k or a larger share"),
        ("ash_p", {"percentile": 95}, "ASH-P keeps none of 6 features with the percentile 95"),
        ("scale", {"percentile": 99}, "SCALE keeps none of 6 features with the percentile 99"),
    ],
)
def test_parameters_that_do_not_fit_the_features_are_refused(name, changes, sentence, random_sets):
    train, queries, readout = random_sets
    with pytest.raises(ReproError, match=sentence):
        one(name, queries, train, readout, **changes)


@pytest.mark.parametrize(("name", "title"), [("ash_s", "ASH-S"), ("ash_b", "ASH-B"), ("scale", "SCALE")])
def test_negative_features_are_refused_where_sums_could_cancel(name, title, random_sets):
    train, queries, readout = random_sets
    below = features(queries.embedding - 0.5, None, readout)
    with pytest.raises(ReproError, match=rf"{title} needs features that are nowhere negative.*found -0\.4"):
        fitted_and_scored([name], below, train, readout)
    assert np.isfinite(fitted_and_scored(["ash_p"], below, train, readout)["ash_p"]).all()


def test_classes_that_no_image_stands_for_are_refused_by_she(random_sets):
    train, queries, readout = random_sets
    with pytest.raises(ReproError, match=r"No ID training image of class 1, 3 \(2 of 4\) is classified correctly"):
        one("she", queries, features(train.embedding, train.labels // 2 * 2), readout)


def test_classes_without_a_boundary_are_refused_by_fdbd(random_sets):
    train, queries, readout = random_sets
    with pytest.raises(ReproError, match="the classes 1 and 3 have equal weights"):
        one("fdbd", queries, train, Readout(readout.weight[[0, 1, 2, 1]], readout.bias))
    with pytest.raises(ReproError, match="the classifier has one class"):
        one("fdbd", queries, train, Readout(readout.weight[:1], readout.bias[:1]))


@pytest.mark.parametrize(("width", "dimension"), [(2048, 1000), (1000, 512), (768, 512), (767, 383), (3, 1)])
def test_the_usual_dimension_of_the_principal_space(width, dimension):
    assert usual_dimension(width) == dimension


@pytest.mark.filterwarnings("ignore:invalid value")
@pytest.mark.parametrize("name", INSTANCES)
def test_scores_that_are_nan_are_refused(name, random_sets):
    train, queries, readout = random_sets
    queries.embedding[4, 0] = queries.projection[4, 0] = np.nan
    with pytest.raises(ReproError, match=rf"scores '{name}' are NaN or infinite for 1 of 25 .*first: image00004"):
        fitted_and_scored([name], queries, train, readout)


def test_the_origin_of_vim_does_not_depend_on_rounding_where_the_rows_of_a_classifier_add_up_to_zero():
    draw = np.random.default_rng(3)
    weight, bias = draw.normal(size=(10, 64)), draw.normal(size=10)
    weight, bias = weight - weight.mean(axis=0), bias - bias.mean()
    expected = -np.linalg.pinv(weight, rtol=1e-9) @ bias
    rounded = weight + 3e-15 * draw.normal(size=weight.shape)  # on some processors a direction more by numpy's default
    np.testing.assert_allclose(origin_of({"weight": rounded, "bias": bias}), expected, atol=1e-9)
