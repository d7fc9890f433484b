"""Claims about the dilation distance and about the spectra it is taken from."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from methods.data.images import ImageSet
from methods.errors import ReproError
from methods.features import outlier_spectra
from methods.features.dilation import dilation_distance, mean_spectrum, singular_values
from methods.features.outlier_spectra import candidate_distances, feature_batches, starting_network
from methods.files import write_text
from methods.reporting.figures import dilation_bars as bars
from methods.reporting.figures.sources import Source
from methods.reporting.latex import to_latex
from methods.reporting.layout import to_csv, to_markdown
from methods.reporting.tables.dilation import make
from methods.settings import dilation, outputs
from methods.settings.figures import role_of
from methods.settings.load import load_study

THREE, ONES = np.array([3.0, 2.0, 1.0]), np.ones(3)
CPU = torch.device("cpu")
SETTINGS = {
    "network": {"name": "cifar_resnet", "blocks": [1], "widths": [12]},
    "normalisation": {"mean": [0.5, 0.4, 0.3], "std": [0.2, 0.3, 0.4]},
    "augmentation": {},
    "batch": 8,
    "top_k": 3,
    "seed": 5,
}


def pictures(count, seed, low=0, high=256):
    pixels = np.random.default_rng(seed).integers(low, high, (count, 8, 8, 3), dtype=np.uint8)
    return ImageSet(pixels, np.full(count, -1), tuple(map(str, range(count))), ())


@pytest.mark.parametrize(("form", "top_k", "expected"), [
    ("paper_topk", 2, 2.23606797749979),
    ("released_bug", 2, 3.1622776601683795),
    ("paper_topk", 1, 2.0),
    ("released_bug", 1, math.sqrt(5)),
])  # fmt: skip
def test_distances_are_those_of_the_specification(form, top_k, expected):
    assert dilation_distance(THREE, ONES, top_k, form) == pytest.approx(expected, rel=1e-15)


@given(st.integers(1, 12), st.integers(1, 30), st.integers(0, 99))
def test_singular_values_are_those_of_a_decomposition(rows, columns, seed):
    features = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    expected = np.linalg.svd(features.astype(np.float64), compute_uv=False)
    np.testing.assert_allclose(singular_values(features), expected, atol=1e-7 * expected[0], rtol=1e-9)


def test_equal_rows_have_one_singular_value_and_no_nan():
    found = singular_values(np.ones((4, 9)))
    np.testing.assert_allclose(found, [6, 0, 0, 0], atol=1e-6)


def test_spectra_are_averaged_after_sorting():
    first, second = np.diag([1.0, 5.0, 2.0]), np.diag([7.0, 1.0, 3.0])
    np.testing.assert_allclose(mean_spectrum([first, second]), [6, 2.5, 1])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ReproError, match="no whole batch"):
        mean_spectrum([])
    with pytest.raises(ReproError, match=r"give \[2, 3\] singular values"):
        mean_spectrum([np.eye(3), np.ones((2, 9))])
    with pytest.raises(ReproError, match="Spectra of 3 and 2 values"):
        dilation_distance(THREE, ONES[:2], 1)
    with pytest.raises(ReproError, match="top_k 4"):
        dilation_distance(THREE, ONES, 4)


def test_batches_are_whole_shuffled_and_draw_no_image_twice():
    images, network = pictures(30, 1), starting_network(SETTINGS["network"], 5).eval()
    batches = list(feature_batches(network, images, SETTINGS, CPU, "train"))
    assert [len(batch) for batch in batches] == [8, 8, 8]
    x = torch.from_numpy(images.pixels.copy()).permute(0, 3, 1, 2) / 255
    mean, std = (torch.tensor(SETTINGS["normalisation"][key])[:, None, None] for key in ("mean", "std"))
    with torch.no_grad():
        plain = network((x - mean) / std).numpy()
    places = [int(np.abs(plain - row).sum(axis=1).argmin()) for row in np.concatenate(batches)]
    np.testing.assert_allclose(plain[places], np.concatenate(batches), rtol=1e-4, atol=1e-5)
    assert len(set(places)) == 24
    assert places != sorted(places)


def test_a_row_is_what_the_definition_says_of_the_batches_both_sets_have():
    inside, outside = pictures(40, 1), pictures(20, 2, high=60)
    (row,) = candidate_distances(SETTINGS, inside, {"dark": outside}, CPU)
    network = starting_network(SETTINGS["network"], 5).eval()
    own, other = (
        [
            np.linalg.svd(batch.astype(float), compute_uv=False)
            for batch in feature_batches(network, s, SETTINGS, CPU, n)
        ]
        for s, n in ((inside, "train"), (outside, "dark"))
    )
    gap = np.mean(own[:2], axis=0) - np.mean(other, axis=0)  # two whole batches of 20 images
    assert (row["dataset"], row["images"], row["batches"]) == ("dark", 20, 2)
    assert row["paper_topk"] == pytest.approx(np.sqrt((gap[:3] ** 2).sum()), rel=1e-6)
    assert row["released_bug"] == pytest.approx(np.sqrt(3) * np.sqrt((gap**2).sum()), rel=1e-6)


def test_a_candidate_is_measured_alike_in_any_company():
    inside, sets = pictures(24, 1), {"a": pictures(24, 2), "b": pictures(30, 3)}
    both = candidate_distances(SETTINGS, inside, sets, CPU)
    assert candidate_distances(SETTINGS, inside, {"b": sets["b"]}, CPU) == [both[1]]


def test_the_like_of_the_id_set_is_nearer_than_what_differs():
    inside = pictures(64, 1)
    near, far = candidate_distances(SETTINGS, inside, {"near": pictures(64, 2), "far": pictures(64, 3, high=40)}, CPU)
    assert near["paper_topk"] < far["paper_topk"] / 3


def test_views_are_random_where_an_augmentation_is_given_and_follow_the_seed():
    images, network = pictures(8, 1), starting_network(SETTINGS["network"], 5).eval()

    def features(**changes):
        return next(feature_batches(network, images, {**SETTINGS, **changes}, CPU, "x"))

    flipped = {"augmentation": {"horizontal_flip": 0.5, "random_crop": {"padding": 2}}}
    assert np.array_equal(features(**flipped), features(**flipped))
    assert not np.allclose(np.sort(features(**flipped), axis=0), np.sort(features(), axis=0))
    assert not np.array_equal(features(**flipped, seed=6), features(**flipped))


def test_a_set_without_a_whole_batch_is_refused():
    with pytest.raises(ReproError, match="tiny has 7 images, a batch of the dilation distance 8"):
        candidate_distances(SETTINGS, pictures(8, 1), {"tiny": pictures(7, 2)}, CPU)


def test_the_network_is_the_one_a_training_of_the_seed_starts_from():
    one, same, other = (outlier_spectra.starting_network(SETTINGS["network"], seed) for seed in (1, 1, 2))
    weights = [next(iter(network.parameters())) for network in (one, same, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])


def study(**config):
    return load_study({"papers": ["demo"], "seeds": [3, 4], **config})


def test_the_settings_are_those_of_the_benchmark_and_of_the_recipe_whose_views_it_takes():
    told = dilation.dilation_settings(study(), "digit_mosaics", 3)
    assert told["train"] == "digit_mosaics/train"
    assert told["candidates"] == {
        "held_out_mosaics": "test",
        "photo_mosaics": "train",
        "scrambled_mosaics": "test",
    }
    assert (told["top_k"], told["batch"], told["augmentation"], told["weights"], told["seed"]) == (32, 64, {}, None, 3)
    viewed = study()
    viewed.benchmarks["digit_mosaics"]["outlier_selection"]["views_of"] = "edge"
    assert dilation.dilation_settings(viewed, "digit_mosaics", 3)["augmentation"] == {"random_crop": {"padding": 1}}


def test_the_direction_and_the_form_that_is_shown_change_no_distance():
    plain, other = study(), study()
    other.benchmarks["digit_mosaics"]["outlier_selection"] |= {"select": "largest", "form": "released_bug"}
    one, two = (dilation.dilation_settings(which, "digit_mosaics", 3) for which in (plain, other))
    assert one == two


def test_a_candidate_that_cannot_be_had_leaves_the_distances_and_is_named():
    here = study(datasets={"unavailable": ["scrambled_mosaics"]})
    assert list(dilation.candidates(here, "digit_mosaics")) == ["held_out_mosaics", "photo_mosaics"]
    assert dilation.shown(here, "digit_mosaics")["absent"] == ["Mosaics of scrambled digits"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"candidates": {"photo_mosaic": {"split": "train"}}}, "candidates names 'photo_mosaic': did you mean"),
        ({"candidates": {"photo_mosaics": {"split": "tran"}}}, "split of photo_mosaics names 'tran'"),
        ({"candidates": {"digit_mosaics": {"split": "test"}}}, "candidates holds the ID set 'digit_mosaics' itself"),
        ({"top_k": 65}, "top_k is 65, but a batch of 64 has no more singular values than images"),
        ({"views_of": "adapt"}, "views_of names 'adapt'"),
    ],
)
def test_candidates_that_cannot_be_measured_are_refused(change, message):
    checked = study()
    benchmark = checked.benchmarks["digit_mosaics"]
    benchmark["outlier_selection"] = {**benchmark["outlier_selection"], **change}
    found = list(dilation.dilation_problems(checked, "benchmarks.digit_mosaics", "digit_mosaics", benchmark))
    assert any(message in line for line in found), found


def test_an_entry_without_candidates_in_its_benchmark_is_refused(tmp_path):
    (tmp_path / "p.yaml").write_text(
        "name: mine\ntitle: T\nbenchmarks: {digits: {use: demo}}\nrecipes: {adapt: {use: demo}}\n"
        "scores: {mahalanobis: {score: mahalanobis_total, label: Mahalanobis}}\n"
        "evaluate: {digits: {adapt: [mahalanobis]}}\n"
        "tables: {t: {kind: dilation, benchmark: digits, caption: C}}\n"
    )
    with pytest.raises(ReproError, match="give it the key 'outlier_selection'"):
        load_study({"papers": [str(tmp_path / "p.yaml")]})


ROWS = {
    3: [("held_out_mosaics", 600, 9, 2.0, 9.0), ("photo_mosaics", 1200, 18, 5.0, 1.0)],
    4: [("held_out_mosaics", 600, 9, 4.0, 9.0), ("photo_mosaics", 1200, 18, 6.0, 1.0)],
}
NAMES = ("dataset", "images", "batches", "paper_topk", "released_bug")


def shown_table(**selection):
    here = study(datasets={"unavailable": ["scrambled_mosaics"]})
    entry = here.papers["demo"]["tables"]["mosaics_outliers"]
    told = outputs.table_settings(here, "demo", entry)
    told["selection"] |= selection
    runs = [
        (tuple(run), [dict(zip(NAMES, map(str, row), strict=True)) for row in ROWS[run[2]]]) for run in told["runs"]
    ]
    return make(told, runs)


def test_the_table_has_means_over_seeds_in_the_order_of_the_form_that_is_named():
    table = shown_table()
    assert [label for label, _ in table.rows] == [
        "Mosaics of digits 1, 7, 9, test (600 images)",
        "Mosaics of photo patches, train (1200 images)",
    ]
    assert [role for _, role in table.rows] == ["OOD test set", "trained with"]
    assert [[cell.mean for cell in row] for row in table.cells] == [[3, 9], [5.5, 1]]
    assert next(label for label, _ in shown_table(form="released_bug").rows).startswith("Mosaics of photo patches")
    assert "Not available here: Mosaics of scrambled digits." in table.notes
    assert "seeds 3, 4" in table.caption
    assert "3.00 ± 1.41" in to_markdown(table)
    assert "photo patches" in to_latex(table, "x")
    assert "5.5" in to_csv(table)


@pytest.mark.parametrize(
    ("select", "first"),
    [("largest", "Mosaics of photo patches, train"), ("smallest", "Mosaics of digits 1, 7, 9, test"), ("none", None)],
)
def test_a_direction_selects_one_candidate_and_none_selects_none(select, first):
    notes = shown_table(select=select).notes
    assert [note for note in notes if "selects Mosaics" in note] == (
        [f"The {select} distance selects {first}."] if first else []
    )


def test_the_chart_has_a_bar_a_candidate_as_long_as_its_mean(tmp_path):
    here = study(datasets={"unavailable": ["scrambled_mosaics"]})
    told = outputs.figure_settings(here, "demo", here.papers["demo"]["figures"]["mosaics_outliers"])
    sources = []
    for part in told["sources"]:
        lines = [",".join(NAMES), *(",".join(map(str, row)) for row in ROWS[part["seed"]])]
        write_text(tmp_path / f"{part['seed']}.csv", "\n".join(lines) + "\n")
        sources.append(Source(path=str(tmp_path / f"{part['seed']}.csv"), method="", label="", seed=part["seed"]))
    figure = bars.draw(told, sources)
    (axis,) = figure.axes
    assert [bar.get_width() for bar in axis.patches] == [5.5, 3]
    labels = [label.get_text() for label in axis.get_yticklabels()]
    assert labels == ["Mosaics of photo patches\ntrain, trained with", "Mosaics of digits 1, 7, 9\ntest"]
    assert len({role_of(part) for part in told["sources"]}) == 2
