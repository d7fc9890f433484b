"""Figures from small files: right, readable in a column and in grey, the same every time; and their options."""

import dataclasses
import itertools
import math
import re
import shutil
import statistics

import numpy as np
import pytest
import yaml
from matplotlib import pyplot as plt
from matplotlib.colors import to_rgb

from methods import registry
from methods.csv_file import csv_text, read_csv
from methods.errors import ReproError
from methods.features.arrays import Features, Readout
from methods.features.score_store import SCORES, write_scores
from methods.features.store import KIND, READOUT_KIND, write_features, write_readout
from methods.files import write_text
from methods.metrics.ranks import cliques
from methods.reporting import style
from methods.reporting.figures import energy_histograms, tail_curves
from methods.reporting.figures.sources import Source, clipped, common_bins
from methods.settings import outputs
from methods.settings.check_figures import FIGURE_KEYS
from methods.settings.figures import role_of
from methods.settings.load import load_study
from methods.settings.parts import complete_part
from methods.settings.schema import load_yaml
from tests.test_reporting import metrics_row
from tests.test_settings import DROP, PAPER, refusal, study_of
from tests.workflow import ROOT

FIGURES = registry.records("reporting.figures")
RUN_SCORES = {"bce": ["joint_energy", "maxlogit"], "edge": ["joint_energy"]}
LABELS = {"bce": "BCE", "edge": "EDGE_1"}
SETS = [("id", "mosaics", "ID test"), ("ood", "near_set", "Near & set"), ("ood", "far_set", "Far_set")]


MODEL = {"parents": {"model": "one"}}


def write_set(folder, needs, method, dataset, single=False, model=MODEL):
    """One small file of scores or features, as the steps before write it; 30 images, three labels or one."""
    draw = np.random.default_rng([len(method), len(dataset)])
    labels = (draw.uniform(size=(30, 3)) < [0.6, 0.4, 0.2]).astype(np.uint8)
    labels = np.arange(30) % 3 if single else labels
    rows = draw.normal(size=(30, 8)) + len(dataset)
    images = Features(rows, labels, tuple(map(str, range(30))), projection=rows[:, :4])
    path = folder / f"{needs}-{method}-{dataset}.h5"
    if needs == "features":
        write_features(path, images, {"kind": KIND, **model})
    else:
        scores = {name: draw.normal(len(dataset), 2, 30) for name in RUN_SCORES[method]}
        write_scores(path, scores, images, {"kind": SCORES})
    return str(path)


def write_prototypes(folder, method, model=MODEL):
    prototypes = np.random.default_rng(1).normal(size=(6, 4))
    path = folder / f"readout-{method}.h5"
    write_readout(
        path, Readout(prototypes=prototypes, prototype_classes=np.arange(6) % 3), {"kind": READOUT_KIND, **model}
    )
    return str(path)


def write_cost(folder, method, seed, gpu=False):
    row = {"seconds": 100.0 * (1 + seed) + (method == "edge") * 3600, "peak_gpu_bytes": 1e9 * gpu, "device": "a CPU"}
    path = folder / f"cost-{method}-{seed}.csv"
    write_text(path, csv_text([{**row, "devices": 2}]))
    return str(path)


def write_history(folder, method):
    extra = {"alignment": 0.5, "id_energy": 3.0, "outlier_energy": 1.0} if method == "edge" else {}
    rows = [{"epoch": float(e), "learning_rate": 0.1, "total": 2.0 - e, "bce": 1.5 - e, **extra} for e in range(3)]
    path = folder / f"history-{method}.csv"
    write_text(path, csv_text(rows))
    return str(path)


def tail_value(method, seed, step, dataset):
    """AUROC of a hand-made run; FPR95 is one minus it."""
    return 0.9 - 0.05 * step - 0.02 * seed - 0.1 * (method == "bce") + 0.04 * (dataset == "far_set")


# AUROC on each set of the first score and seed
VALUES = {
    "bce": {"near_set": 0.7, "far_set": 0.8, "odd_set": 0.9},
    "edge": {"near_set": 0.75, "far_set": 0.95, "odd_set": 0.6},
}


def set_value(method, score, dataset, seed):
    return VALUES[method][dataset] - 0.3 * (score == "maxlogit") + 0.01 * seed


def write_tail(folder, method, seed, last=1):
    """Tail rows of one run, as evaluate writes them; without images after step ``last``."""
    rows = [metrics_row("", "tail", f"without_{j}", "id_images", "counted", (j <= last) * 9) for j in range(3)]
    for step in range(last + 1):
        for dataset in ("near_set", "far_set"):
            target, value = f"without_{step}:set:{dataset}", tail_value(method, seed, step, dataset)
            rows.append(metrics_row("joint_energy", "tail", target, "auroc", "", value))
            rows.append(metrics_row("joint_energy", "tail", target, "fpr95", "closest", 1 - value))
    for score, dataset in itertools.product(RUN_SCORES[method], VALUES[method]):
        value = set_value(method, score, dataset, seed)
        rows.append(metrics_row(score, "set", dataset, "auroc", "", value))
        rows.append(metrics_row(score, "set", dataset, "fpr95", "closest", 1 - value))
    rows.append(metrics_row("joint_energy", "group", "far", "auroc", "", "", "1 of 2"))
    path = folder / f"metrics-{method}-{seed}.csv"
    write_text(path, csv_text(rows))
    return str(path)


def write_distances(folder, seed):
    rows = [{"dataset": name, "paper_topk": length + seed} for name, length in (("near_set", 1.0), ("far_set", 5.0))]
    path = folder / f"distances-{seed}.csv"
    write_text(path, csv_text(rows))
    return str(path)


def sources(folder, kind, methods):
    """What a figure of a kind reads: of every method all sets, or a file a seed, or one file."""
    record, found = FIGURES[kind], []
    seeds = range(record.get("least_seeds", 2))
    if record["needs"] == "dilation":
        return [Source(write_distances(folder, s), "outlier_selection", "", seed=s) for s in seeds]
    for method, needs in itertools.product(methods, [record["needs"], *record.get("also", ())]):
        common = {"method": method, "label": LABELS[method], "needs": needs}
        if needs in ("scores", "features"):
            single = record.get("tasks") == ["single_label"]
            found += [
                Source(write_set(folder, needs, method, name, single), role=role, dataset=name, title=title, **common)
                for role, name, title in SETS
            ]
        elif needs in ("metrics", "cost"):
            write = {"metrics": write_tail, "cost": write_cost}[needs]
            found += [Source(write(folder, method, seed), seed=seed, **common) for seed in seeds]
        else:
            found.append(
                Source({"history": write_history, "readout": write_prototypes}[needs](folder, method), **common)
            )
    return found


def figure_settings(kind, **options):
    entry = {"kind": kind, "benchmark": "mosaics", "caption": "A figure", **options}
    if kind == "sensitivity_lines":
        entry.setdefault("panels", {"objective.alpha": ["edge", "bce"]})
    return {
        **complete_part("reporting.figures", "kind", entry, *FIGURE_KEYS),
        "scores": [["joint_energy", "JointEnergy"], ["maxlogit", "MaxLogit"]],
        "run_scores": RUN_SCORES,
        "method_order": list(RUN_SCORES),
        "set_order": [dataset for role, dataset, _ in SETS if role == "ood"],
        "head_classes": 1,
        "tail_steps": [0, 1, 2],
        "columns": [["set:near_set", "Near & set"], ["set:far_set", "Far_set"], ["set:odd_set", "Odd"]],
        "shown_classes": [[0, "cat"], [2, "dog"]],
        "panels": [
            {"key": "objective.alpha", "name": "alpha", "base": "edge", "points": [["bce", 0.0], ["edge", 2.5]]}
        ],
        "courses": [{"method": "edge", "label": "EDGE", "points": [[2, "bce"], [8, "edge"]]}],
        "targets": ["set:near_set", "set:far_set"],
        "against": "average of Near & set and Far_set",
        "selection": {"form": "paper_topk"},
        "candidates": [
            {"name": name, "title": title, "split": "train", "used": name == "far_set"} for _, name, title in SETS[1:]
        ],
    }


@pytest.fixture
def draw(tmp_path):
    """Draws a figure of a kind from files in a temporary folder; figures are closed afterwards."""

    def drawn(kind, methods=("bce", "edge"), **options):
        files = sources(tmp_path, kind, methods)
        return registry.load("reporting.figures", kind).draw(figure_settings(kind, **options), files)

    yield drawn
    plt.close("all")


@pytest.mark.parametrize("kind", FIGURES)
def test_a_figure_has_the_same_bytes_every_time_and_no_date(kind, draw, tmp_path):
    for name in ("first", "second"):
        style.save(draw(kind), tmp_path / name / "f.svg", tmp_path / name / "f.pdf")
    first, second = ({p.name: p.read_bytes() for p in (tmp_path / name).iterdir()} for name in ("first", "second"))
    assert first == second
    assert set(first) == {"f.svg", "f.pdf"}  # nothing temporary is left
    assert first["f.svg"].startswith(b"<?xml")
    assert first["f.pdf"].startswith(b"%PDF")
    assert not re.search(rb"dc:date|20\d\d-\d\d-\d\d", first["f.svg"])
    assert not re.search(rb"CreationDate|ModDate", first["f.pdf"])


def line_colours(figure):
    labels = [(line.get_label(), line.get_color()) for line in figure.axes[0].get_lines()]
    return {label.split(",")[0]: colour for label, colour in labels if "," in label}


def test_a_method_has_one_colour_in_every_figure(draw):
    together = line_colours(draw("roc_curves"))
    alone = line_colours(draw("roc_curves", methods=("edge",)))
    assert set(together) == {"BCE", "EDGE_1"}
    assert len(set(together.values())) == 2
    assert alone == {"EDGE_1": together["EDGE_1"]}


def test_roc_curves_show_the_auroc_and_one_panel_a_set(draw):
    figure = draw("roc_curves")
    assert [axis.get_title() for axis in figure.axes] == ["Near & set", "Far_set"]
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["BCE, JointEnergy", "BCE, MaxLogit", "EDGE_1, JointEnergy"]
    assert all(axis.get_legend() is None for axis in figure.axes)


def test_score_histograms_have_a_panel_a_method_and_score_with_every_set(draw):
    figure = draw("score_histograms")
    assert [axis.get_title() for axis in figure.axes] == ["BCE", "BCE", "EDGE_1"]
    assert [len(axis.patches) for axis in figure.axes] == [len(SETS)] * 3
    assert figure.axes[1].get_xlabel() == "MaxLogit score (higher = more ID)"


def test_histograms_lose_no_image(draw):
    for axis in draw("score_histograms").axes:
        for patch in axis.patches:
            heights = np.unique(patch.get_xy()[:, 1])
            width = np.diff(np.unique(patch.get_xy()[:, 0]))[0]
            images = heights * width * 30  # whole numbers only if all 30 images are in
            np.testing.assert_allclose(images, images.round(), atol=1e-6)


def test_bins_cover_the_middle_and_the_last_ones_take_the_rest():
    values = np.concatenate([np.linspace(0, 1, 2000), [-50.0, 70.0]])
    bins = common_bins([values[:900], values[900:]])
    assert len(bins) == 41
    assert -1 < bins[0] < bins[-1] < 2
    assert np.histogram(clipped(values, bins), bins)[0].sum() == 2002


def test_bins_of_equal_values_have_a_width():
    bins = common_bins([np.full(5, 3.0)])
    assert (bins[0], bins[-1]) == (3, 4)


def test_energy_histograms_name_the_score_and_the_groups(draw):
    assert draw("energy_histograms").axes[0].get_xlabel() == "JointEnergy"
    figure = draw("energy_histograms", methods=("bce",), score="maxlogit")
    assert figure.axes[0].get_xlabel() == "MaxLogit"
    groups = [text.get_text().split(" (")[0] for text in figure.legends[0].get_texts()]
    assert groups == ["head ID", "tail ID", "Near & set", "Far_set"]


def test_training_curves_have_a_row_a_method_and_a_panel_a_kind(draw):
    axes = draw("training_curves").axes
    assert [axis.get_title() for axis in axes[:4]] == ["BCE: loss", "", "", "BCE: learning rate"]
    assert [axis.get_title() for axis in axes[4:]] == [
        f"EDGE_1: {kind}" for kind in ("loss", "monitor", "energy", "learning rate")
    ]
    assert [line.get_label() for line in axes[0].get_lines()] == ["bce"]  # the total would be the same line


def test_training_curves_name_a_quantity_once_and_draw_it_the_same_in_every_row(draw):
    figure = draw("training_curves")
    looks = {}
    for axis in figure.axes:
        assert axis.get_legend() is None  # it would cover lines
        for line in axis.get_lines():
            looks.setdefault(line.get_label(), set()).add((line.get_color(), line.get_linestyle()))
    assert len(looks["learning rate"]) == 1
    assert len(looks["bce"]) == 1
    assert len(set.union(*looks.values())) == len(looks)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == list(looks)


def test_tail_curves_are_means_over_seeds_and_sets_in_a_band(draw):
    figure = draw("tail_curves")
    assert [axis.get_ylabel() for axis in figure.axes] == ["AUROC in percent", "FPR95 in percent"]
    for axis, sign, start in zip(figure.axes, (1, -1), (0, 100), strict=True):
        lines = {line.get_label(): line for line in axis.get_lines()}
        assert list(lines) == ["BCE", "EDGE_1"]
        for (method, label), band in zip(LABELS.items(), axis.collections, strict=True):
            by_seed = [
                [np.mean([tail_value(method, s, j, dataset) for dataset in ("near_set", "far_set")]) for j in (0, 1)]
                for s in (0, 1)
            ]
            np.testing.assert_allclose(lines[label].get_xdata(), [0, 1])
            np.testing.assert_allclose(lines[label].get_ydata(), start + sign * 100 * np.mean(by_seed, axis=0))
            heights = band.get_paths()[0].vertices[:, 1]
            half = 100 * statistics.stdev([by_seed[0][0], by_seed[1][0]])
            middle = lines[label].get_ydata()
            assert heights.max() == pytest.approx(middle.max() + half)
            assert heights.min() == pytest.approx(middle.min() - half)
    assert figure.legends[0].get_title().get_text() == (
        "JointEnergy, average of Near & set and Far_set; FPR95 by the rule closest; no ID image is left without 2"
    )


def test_a_method_has_the_same_colour_in_tail_curves_as_elsewhere(draw):
    curves = {line.get_label(): line.get_color() for line in draw("tail_curves").axes[0].get_lines()}
    assert curves == line_colours(draw("roc_curves"))
    alone = {line.get_label(): line.get_color() for line in draw("tail_curves", ("edge",)).axes[0].get_lines()}
    assert alone == {"EDGE_1": curves["EDGE_1"]}


@pytest.mark.parametrize(
    ("steps", "ticks"),
    [
        ([0, 1, 2, 3], [0, 1, 2, 3]),
        ([0, 1, 3, 5, 7, 9, 11, 13, 15, 17, 19], [0, 3, 5, 7, 9, 11, 13, 15, 17, 19]),
        ([*range(11), 20, 40, 60], [0, 4, 8, 20, 40, 60]),
        ([5], [5]),
    ],
)
def test_ticks_of_tail_curves_stand_apart(steps, ticks):
    assert tail_curves._ticks(steps) == ticks


def test_tail_curves_of_one_seed_have_no_band(tmp_path):
    source = Source(write_tail(tmp_path, "bce", 1), "bce", "BCE", seed=1, needs="metrics")
    figure = registry.load("reporting.figures", "tail_curves").draw(figure_settings("tail_curves"), [source])
    assert [len(axis.collections) for axis in figure.axes] == [0, 0]
    expected = [100 * (tail_value("bce", 1, j, "near_set") + 0.02) for j in (0, 1)]
    np.testing.assert_allclose(figure.axes[0].get_lines()[0].get_ydata(), expected)
    plt.close("all")


def test_tail_curves_of_a_score_that_no_run_has_are_refused(draw):
    with pytest.raises(ReproError, match="No run has the score 'msp' on the tail"):
        draw("tail_curves", score="msp")


@pytest.mark.parametrize("label", [0, 1])
def test_an_empty_head_or_tail_is_refused(label, tmp_path):
    images = Features(np.ones((4, 1)), np.full((4, 3), label, dtype=np.uint8), tuple("abcd"))
    write_scores(tmp_path / "s.h5", {"joint_energy": np.arange(4.0)}, images, {"kind": SCORES})
    source = Source(str(tmp_path / "s.h5"), "bce", "BCE", "id", "mosaics", "ID test")
    with pytest.raises(ReproError, match="Head or tail ID is empty"):
        energy_histograms.draw(figure_settings("energy_histograms"), [source])
    plt.close("all")


@pytest.mark.parametrize(("rows", "columns", "width"), [(1, 1, 3.3), (4, 1, 3.3), (1, 2, 6.9), (2, 3, 6.9)])
def test_one_panel_is_a_column_wide_and_several_a_page(rows, columns, width):
    figure, axes = style.panels(rows, columns)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    assert [len(row) for row in axes] == [columns] * rows
    plt.close(figure)


# --- what every figure may be told ---


def every_text(figure):
    return " ".join(text.get_text() for text in figure.findobj(plt.Text))


@pytest.mark.parametrize("kind", FIGURES)
@pytest.mark.parametrize(("width", "inches"), [("column", 3.3), ("page", 6.9)])
def test_every_figure_is_as_wide_as_asked_and_loses_no_letter(kind, width, inches, draw):
    figure = draw(kind, width=width)
    assert figure.get_figwidth() == pytest.approx(inches)
    figure.canvas.draw()
    drawn = figure.get_tightbbox()  # in inches, with every word that is seen
    assert drawn.x0 > -0.02
    assert drawn.y0 > -0.02
    assert drawn.x1 < inches + 0.02
    assert drawn.y1 < figure.get_figheight() + 0.02


@pytest.mark.parametrize("kind", FIGURES)
def test_every_figure_can_be_drawn_without_colours(kind, draw):
    figure = draw(kind, style={"grey": True})
    figure.canvas.draw()
    colours = [line.get_color() for line in figure.findobj(plt.Line2D)]
    colours += [c for part in figure.findobj(lambda a: hasattr(a, "get_facecolors")) for c in part.get_facecolors()]
    colours += [patch.get_facecolor() for patch in figure.findobj(plt.Rectangle)]
    rgb = np.array([to_rgb(colour) for colour in colours if not isinstance(colour, str) or colour != "none"])
    assert len(rgb)
    np.testing.assert_allclose(rgb.max(axis=1), rgb.min(axis=1), atol=1e-6)


@pytest.mark.parametrize("kind", FIGURES)
def test_letters_have_the_size_asked_for(kind, draw):
    figure = draw(kind, style={"font_size": 9, "font": "serif"})
    sizes = {round(text.get_fontsize(), 1) for text in figure.findobj(plt.Text) if text.get_text()}
    assert sizes <= {9, 8, 7.5, 6.2}  # of the whole, of legends and ticks, and small and smaller numbers in it
    assert all(text.get_fontfamily() == ["serif"] for text in figure.findobj(plt.Text))
    plain = {text.get_fontsize() for text in draw(kind).findobj(plt.Text) if text.get_text()}
    assert 6 <= max(plain) <= 7  # nothing is inherited from the figure before


@pytest.mark.parametrize(
    ("count", "width", "columns"), [(1, "page", 1), (4, "page", 2), (5, "page", 3), (3, "column", 1), (7, "page", 3)]
)
def test_panels_stand_in_even_rows_without_empty_ones(count, width, columns):
    figure, axes = style.grid(count, {"width": width}, height=1)
    assert len(axes) == len(figure.axes) == count
    assert len({axis.get_subplotspec().colspan.start for axis in axes}) == columns
    plt.close(figure)


def test_methods_differ_in_colour_or_dashes_and_in_grey_in_dashes_or_marker():
    order = [str(i) for i in range(56)]
    looks = [style.look_of(name, order) for name in order]
    assert len({(look.colour, look.line) for look in looks[:32]}) == 32
    assert len({(look.colour, look.marker) for look in looks}) == 56
    grey = [style.look_of(name, order, grey=True) for name in order[:25]]
    assert len({(look.line, look.marker) for look in grey}) == 25
    assert len({look.colour for look in looks[:8]}) == 8


# Machado, Oliveira and Fernandes 2009, severity 1, for linear RGB
SEEN_BY = {
    "everyone": np.eye(3),
    "protanopes": np.array(
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]]
    ),
    "deuteranopes": np.array(
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]]
    ),
}


def lab(linear):
    """CIE L*a*b* of linear sRGB under D65."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = (math.pow(v, 1 / 3) if v > 0.008856 else 7.787 * v + 16 / 116 for v in to_xyz @ linear / WHITE)
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


WHITE = np.array([0.95047, 1, 1.08883])


@pytest.mark.parametrize("eye", SEEN_BY)
def test_colours_stay_apart_for_the_colour_blind(eye):
    rgb = np.array([to_rgb(colour) for colour in (*style.COLOURS, style.ID_COLOUR)])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    places = [lab(np.clip(SEEN_BY[eye] @ colour, 0, 1)) for colour in linear]
    nearest = min(np.linalg.norm(a - b) for a, b in itertools.combinations(places, 2))
    assert nearest > 17  # a difference of 2 can just be seen side by side


# --- the kinds one by one ---


def test_the_zoom_has_false_over_true_positive_rates_from_where_it_is_told(draw):
    figure, roc = draw("fpr_tpr_zoom", **{"from": 0.9}), draw("roc_curves")
    assert [axis.get_xlim() for axis in figure.axes] == [(0.9, 1), (0.9, 1)]
    for axis, whole in zip(figure.axes, roc.axes, strict=True):
        lines, curves = axis.get_lines()[:-1], whole.get_lines()[:-1]
        assert len(lines) == len(curves) == 3
        for line, curve in zip(lines, curves, strict=True):
            np.testing.assert_array_equal(line.get_xdata(), curve.get_ydata())
            np.testing.assert_array_equal(line.get_ydata(), curve.get_xdata())
            assert line.get_color() == curve.get_color()
        assert list(axis.get_lines()[-1].get_xdata()) == [0.95, 0.95]


def test_a_heat_map_has_the_mean_over_seeds_in_every_cell(draw):
    axis = draw("auroc_heat_map").axes[0]
    assert [label.get_text() for label in axis.get_yticklabels()] == [
        "BCE, JointEnergy",
        "BCE, MaxLogit",
        "EDGE_1, JointEnergy",
    ]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["Near & set", "Far_set", "Odd"]
    rows = [("bce", "joint_energy"), ("bce", "maxlogit"), ("edge", "joint_energy")]
    for text in axis.texts:
        j, i = (int(place) for place in text.get_position())
        mean = statistics.mean(set_value(*rows[i], list(VALUES["bce"])[j], seed) for seed in (0, 1))
        assert text.get_text() == f"{100 * mean:.1f}"
    assert len(axis.texts) == 9


def test_many_columns_in_a_narrow_heat_map_have_whole_numbers_that_do_not_overlap(draw, monkeypatch):
    columns = [["set:near_set", "Near & set"]] * 14
    monkeypatch.setattr(
        "tests.test_figures.figure_settings",
        lambda *a, told=figure_settings, **k: {**told(*a, **k), "columns": columns},
    )
    figure = draw("auroc_heat_map", width="column")
    figure.canvas.draw()
    first = [text.get_window_extent() for text in figure.axes[0].texts[:14]]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(first))
    assert figure.axes[0].texts[0].get_text() == "70"


def test_an_average_that_is_not_whole_leaves_its_cell_blank(draw, tmp_path):
    told = {**figure_settings("auroc_heat_map"), "columns": [["set:near_set", "Near"], ["group:far", "average far"]]}
    figure = registry.load("reporting.figures", "auroc_heat_map").draw(
        told, sources(tmp_path, "auroc_heat_map", ("edge",))
    )
    assert [text.get_text() for text in figure.axes[0].texts] == ["75.5"]


def test_numbers_of_a_heat_map_are_legible_on_their_cells(draw):
    for options in ({}, {"style": {"grey": True}}):
        axis = draw("auroc_heat_map", **options).axes[0]
        fills = axis.collections[0].to_rgba(axis.collections[0].get_array().ravel())[:, :3]
        for text in axis.texts:
            j, i = (int(place) for place in text.get_position())
            bright = fills[3 * i + j] @ [0.2126, 0.7152, 0.0722]
            assert abs(bright - to_rgb(text.get_color())[0]) > 0.35


def test_a_prototype_map_has_every_prototype_in_the_colour_of_its_class(draw):
    figure = draw("prototype_map", methods=("edge",))
    stars = [part for part in figure.axes[0].collections if part.get_linewidths()[0] == 0.5]
    counts = [len(part.get_offsets()) for part in stars]
    assert counts == [2, 2, 2, 0]  # of other classes, of the two shown, and the one in the legend
    dots = [part for part in figure.axes[0].collections if part.get_linewidths()[0] == 0]
    assert [len(part.get_offsets()) for part in dots] == [10, 10, 10]
    for dot, star in zip(dots, stars, strict=False):
        np.testing.assert_array_equal(dot.get_facecolors(), star.get_facecolors())
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["Near & set", "Far_set", "other classes", "cat", "dog", "prototypes"]


def test_prototypes_of_another_model_are_refused(draw, tmp_path):
    files = sources(tmp_path, "prototype_map", ("edge",))
    write_prototypes(tmp_path, "edge", {"parents": {"model": "another"}})
    with pytest.raises(ReproError, match="do not come from the same model"):
        registry.load("reporting.figures", "prototype_map").draw(figure_settings("prototype_map"), files)
    plt.close("all")


def test_sensitivity_lines_are_means_over_seeds_at_the_values_of_the_recipes(draw):
    axis = draw("sensitivity_lines").axes[0]
    line, own = axis.get_lines()  # MaxLogit is a score of one recipe alone and has no line
    expected = [
        100 * np.mean([set_value(m, "joint_energy", d, s) for s in (0, 1) for d in ("near_set", "far_set")])
        for m in ("bce", "edge")
    ]
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert list(line.get_xdata()) == [0, 1]
    assert [label.get_text() for label in axis.get_xticklabels()] == ["0", "2.5"]
    assert (list(own.get_xdata()), list(own.get_ydata())) == ([1], [pytest.approx(expected[1])])
    assert (axis.get_xlabel(), axis.get_ylabel()) == ("alpha", "AUROC in percent")
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(max(expected) + 100 * statistics.stdev([0, 0.01]))
    linear = draw("sensitivity_lines", spacing="linear", metric="fpr95").axes[0]
    np.testing.assert_allclose(linear.get_lines()[0].get_xdata(), [0, 2.5])
    np.testing.assert_allclose(linear.get_lines()[0].get_ydata(), [100 - value for value in expected])
    assert linear.get_ylabel() == "FPR95 in percent (closest)"


def test_epoch_curves_lead_from_the_snapshots_to_the_end_of_a_training(draw):
    figure = draw("epoch_curves")
    (axis,) = figure.axes  # MaxLogit is evaluated after one epoch alone and has no panel
    (line,) = axis.get_lines()
    expected = [
        100 * np.mean([set_value(m, "joint_energy", d, s) for s in (0, 1) for d in ("near_set", "far_set")])
        for m in ("bce", "edge")
    ]
    np.testing.assert_allclose(line.get_ydata(), expected)
    assert (list(line.get_xdata()), line.get_label()) == ([2, 8], "EDGE")
    assert (axis.get_title(), axis.get_xlabel(), axis.get_ylabel()) == ("JointEnergy", "epochs", "AUROC in percent")
    heights = axis.collections[0].get_paths()[0].vertices[:, 1]
    assert heights.max() == pytest.approx(max(expected) + 100 * statistics.stdev([0, 0.01]))
    share = draw("epoch_curves", axis="share", metric="fpr95").axes[0]
    np.testing.assert_allclose(share.get_lines()[0].get_xdata(), [25, 100])
    np.testing.assert_allclose(share.get_lines()[0].get_ydata(), [100 - value for value in expected])


def test_epoch_curves_without_a_course_are_refused(draw):
    with pytest.raises(ReproError, match="evaluate its snapshots as well"):
        draw("epoch_curves", methods=("edge",))


def test_cost_stands_against_auroc_with_bars_over_seeds(draw):
    figure = draw("cost_auroc")
    points = [(bar.lines[0].get_xdata()[0], bar.lines[0].get_ydata()[0]) for bar in figure.axes[0].containers]
    aurocs = [100 * np.mean([VALUES[m][d] + 0.005 for d in ("near_set", "far_set")]) for m in ("bce", "edge")]
    np.testing.assert_allclose(points, [(150, aurocs[0]), (3750, aurocs[1])])
    names = [text.get_text() for text in figure.legends[0].get_texts()]
    assert names == ["BCE, JointEnergy", "EDGE_1, JointEnergy"]


def test_gpu_hours_count_every_gpu_and_need_one(draw, tmp_path):
    with pytest.raises(ReproError, match=r"bce was trained on a CPU, no GPU: draw `cost: seconds`"):
        draw("cost_auroc", cost="gpu_hours")
    files = sources(tmp_path, "cost_auroc", ("bce",))
    for seed in (0, 1):
        write_cost(tmp_path, "bce", seed, gpu=True)
    figure = registry.load("reporting.figures", "cost_auroc").draw(
        figure_settings("cost_auroc", cost="gpu_hours"), files
    )
    assert figure.axes[0].containers[0].lines[0].get_xdata()[0] == pytest.approx(2 * 150 / 3600)


@pytest.mark.parametrize(
    ("ranks", "difference", "found"),
    [
        ([1, 2, 3, 4], 0.5, []),
        ([1, 2, 3, 4], 1.5, [(0, 1), (1, 2), (2, 3)]),
        ([1, 1.2, 1.4, 4, 4.1], 1, [(0, 2), (3, 4)]),
        ([1, 2, 3], 9, [(0, 2)]),
        ([1, 2], 1, []),  # exactly the difference is a difference
    ],
)
def test_cliques_are_the_largest_runs_within_the_difference(ranks, difference, found):
    assert cliques(np.array(ranks, dtype=float), difference) == found


def test_a_critical_difference_diagram_has_the_ranks_of_the_table(draw):
    figure = draw("critical_difference")
    words = every_text(figure)
    # bce 1, 2, 1 and edge 2, 1, 2 by joint_energy over the three sets, maxlogit of bce always last but on the odd one
    for name in ("BCE, JointEnergy  1.67", "EDGE_1, JointEnergy  1.67", "BCE, MaxLogit  2.67", "CD = 1.91"):
        assert name in words
    assert "over 3 OOD sets" in words.replace("\n", " ")


def test_ranks_need_three_seeds(tmp_path):
    files = [source for source in sources(tmp_path, "critical_difference", ("bce", "edge")) if source.seed < 2]
    with pytest.raises(ReproError, match="compares by ranks, needs 3 seeds and has 2"):
        registry.load("reporting.figures", "critical_difference").draw(figure_settings("critical_difference"), files)
    plt.close("all")


def test_umap_is_drawn_the_same_twice_where_it_is_installed(draw):
    pytest.importorskip("umap", reason="umap-learn is optional")
    first, second = (draw("embedding_map", methods=("edge",), projection="umap") for _ in range(2))
    places = [figure.axes[0].collections[0].get_offsets() for figure in (first, second)]
    np.testing.assert_array_equal(*places)


def test_training_curves_in_a_column_stand_one_below_the_other_without_gaps(draw):
    figure = draw("training_curves", width="column")
    assert [axis.get_title() for axis in figure.axes[:3]] == ["BCE: loss", "BCE: learning rate", "EDGE_1: loss"]
    assert len({axis.get_position().x0 for axis in figure.axes}) == 1


# --- what entries of a paper are told and refused for ---

HEAT = {"kind": "auroc_heat_map", "benchmark": "digits", "caption": "Heat"}
SECOND = {"recipes.adapt-b": {"extends": "adapt", "label": "b", "objective": {"beta": 0.5}}}
BOTH = {**SECOND, "evaluate.digits.adapt-b": ["knn10"]}
LINES = {
    "kind": "sensitivity_lines",
    "benchmark": "digits",
    "caption": "Lines",
    "panels": {"objective.beta": ["adapt", "adapt-b"]},
}


def told(folder, entry, changes=None, config=None):
    study = study_of(folder, {"figures.one": entry, **(changes or {})}, config)
    return outputs.figure_settings(study, "study", study.papers["study"]["figures"]["one"])


def test_own_names_and_order_reach_every_part_of_a_figure(tmp_path):
    labels = {"plain": "CE", "knn10": "nearest", "uniform_noise": "Noise", "near": "close", "adapt": "ours"}
    order = ["adapt", "knn10", "uniform_noise"]
    found = told(tmp_path, {**HEAT, "labels": labels, "order": order, "groups": ["near"]})
    assert list(dict.fromkeys(part["label"] for part in found["sources"])) == ["ours", "CE"]
    assert found["scores"] == [["knn10", "nearest"], ["msp", "Label of MSP"]]
    assert [list(part) for part in found["columns"]] == [
        ["set:uniform_noise", "Noise"],
        ["set:digits_held_out", "Digits 1, 7, 9"],
        ["group:near", "close"],
    ]
    histogram = {"kind": "score_histograms", "benchmark": "digits", "caption": "x", "labels": {"digits": "inside"}}
    assert told(tmp_path, histogram)["sources"][0]["title"] == "inside"


def test_colours_follow_the_recipes_whatever_is_shown_and_wherever(tmp_path):
    orders = [
        told(tmp_path, {**HEAT, "methods": ["adapt"]})["method_order"],
        told(tmp_path, HEAT, config={"datasets.unavailable": ["photo_mosaics"]})["method_order"],
        told(tmp_path, {"kind": "roc_curves", "benchmark": "mosaics", "caption": "x"})["method_order"],
    ]
    assert orders == [["plain", "adapt", "bce", "edge"]] * 3


def test_values_of_panels_are_read_from_recipes_with_their_defaults(tmp_path):
    found = told(tmp_path, LINES, BOTH)
    (panel,) = found["panels"]
    assert panel == {
        "key": "objective.beta",
        "name": "beta",
        "base": "adapt",
        "points": [["adapt", 0.15], ["adapt-b", 0.5]],
    }
    assert {part["method"] for part in found["sources"]} == {"adapt", "adapt-b"}


def test_a_prototype_map_shows_methods_with_prototypes_and_only_sets_that_are_named(tmp_path):
    entry = {"kind": "prototype_map", "benchmark": "digits", "caption": "x", "classes": ["3", "0"]}
    found = told(tmp_path, entry)
    assert [(part["method"], part["needs"], part.get("dataset")) for part in found["sources"]] == [
        ("adapt", "features", "digits"),
        ("adapt", "readout", None),
    ]
    assert found["shown_classes"] == [[2, "3"], [0, "0"]]
    more = told(tmp_path, {**entry, "sets": ["uniform_noise"]})
    assert [part.get("dataset") for part in more["sources"]] == ["digits", "uniform_noise", None]


def test_a_figure_of_costs_reads_metrics_and_costs_of_every_seed_and_says_that_it_varies(tmp_path):
    entry = {"kind": "cost_auroc", "benchmark": "digits", "caption": "Cost", "scores": ["knn10"]}
    study = study_of(tmp_path, {"figures.one": entry})
    entry = study.papers["study"]["figures"]["one"]
    found = outputs.figure_settings(study, "study", entry)["sources"]
    assert [(part["needs"], part["seed"]) for part in found if part["method"] == "plain"] == [
        ("metrics", 0),
        ("cost", 0),
        ("metrics", 1),
        ("cost", 1),
    ]
    assert "differ from run to run" in outputs.figure_caption(study, entry)


def test_ranks_are_drawn_from_three_seeds_on(tmp_path):
    entry = {"kind": "critical_difference", "benchmark": "digits", "caption": "x"}
    for seeds in ([0, 1], [0, 1, 2]):
        study = study_of(tmp_path, {"figures.one": entry}, {"seeds": seeds})
        assert outputs.drawable(study, "study", study.papers["study"]["figures"]["one"]) is (len(seeds) == 3)


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**HEAT, "label": {}}, "figures.one has the unknown key 'label': did you mean 'labels'?"),
        ({**HEAT, "labels": {"palin": "x"}}, "figures.one.labels names 'palin': did you mean 'plain'?"),
        ({**HEAT, "order": ["adpt"]}, "figures.one.order names 'adpt': did you mean 'adapt'?"),
        ({**HEAT, "groups": ["nea"]}, "figures.one.groups names 'nea': did you mean 'near'?"),
        ({**HEAT, "width": "colum"}, "figures.one.width is 'colum': did you mean 'column'?"),
        ({**HEAT, "style": {"gray": True}}, "figures.one.style has the unknown key 'gray': did you mean 'grey'?"),
        ({**HEAT, "style": {"font_size": 2}}, "figures.one.style.font_size: 2 is less than the minimum of 4"),
        ({**HEAT, "points": 3}, "figures.one has the unknown key 'points'"),
        (
            {**LINES, "panels": {"objective.bta": ["adapt", "adapt-b"]}},
            "figures.one.panels.objective.bta: the recipe adapt has no key 'objective.bta': did you mean "
            "'objective.beta'?",
        ),
        (
            {**LINES, "panels": {"objective.beta": ["adapt", "adapt-c"]}},
            "figures.one.panels.objective.beta names 'adapt-c': did you mean 'adapt-b'?",
        ),
        (
            {**LINES, "panels": {"objective.proto_grad": ["adapt", "adapt-b"]}},
            "panels.objective.proto_grad is 'through_ema' in the recipe adapt, expected a number",
        ),
        (
            {**LINES, "panels": {"objective.top_k": ["adapt", "adapt-b"]}},
            "panels.objective.top_k is 2 in the recipes adapt and adapt-b: name one of them",
        ),
        ({**LINES, "methods": ["adapt"]}, "figures.one names methods and panels: leave out methods"),
        ({**LINES, "panels": DROP}, "figures.one lacks the key 'panels'"),
        (
            {"kind": "prototype_map", "benchmark": "digits", "caption": "x", "methods": ["plain"]},
            "figures.one shows prototypes, which plain does not have: choose other methods",
        ),
        (
            {"kind": "prototype_map", "benchmark": "digits", "caption": "x", "classes": ["11"]},
            "figures.one.classes names '11'",
        ),
        (
            {"kind": "prototype_map", "benchmark": "mosaics", "caption": "x"},
            "kind prototype_map is for single_label, the benchmark is multi_label",
        ),
        (
            {"kind": "critical_difference", "benchmark": "digits", "caption": "x", "seed": 0},
            "figures.one names a seed, but critical_difference compares over 3: leave it out",
        ),
    ],
)
def test_a_figure_that_does_not_fit_is_refused_with_the_nearest_name(tmp_path, entry, sentence):
    entry = {key: value for key, value in entry.items() if value is not DROP}
    assert sentence in refusal(tmp_path, {"figures.one": entry, **BOTH})


def test_a_value_without_a_place_on_a_logarithmic_axis_is_refused(tmp_path):
    zero = {**BOTH, "recipes.adapt-b.objective": {"beta": 0.0}, "figures.one": {**LINES, "spacing": "log"}}
    assert "panels.objective.beta has the value 0.0, which has no place on a logarithmic" in refusal(tmp_path, zero)


def test_umap_without_its_package_is_refused_before_the_first_job(tmp_path, monkeypatch):
    monkeypatch.setattr("methods.settings.check_figures.find_spec", lambda module: None)
    entry = {"kind": "embedding_map", "benchmark": "digits", "caption": "x", "projection": "umap"}
    assert (
        "figures.one.projection is umap, which needs the Python package umap-learn: install it beside the others "
        "(pip install umap-learn), or leave out projection"
    ) in refusal(tmp_path, {"figures.one": entry})


# --- the page about figures ---


def test_the_examples_of_the_page_about_figures_fit_the_demo_and_show_every_kind(tmp_path):
    page = (ROOT / "docs/figures.md").read_text(encoding="utf-8")
    blocks = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)]
    examples, lines = blocks[1]["figures"], blocks[2]["sensitivity"]
    assert {entry["kind"] for entry in [*examples.values(), lines]} == set(FIGURES)
    assert set(re.findall(r"^\| `(\w+)` \|", page.partition("## Kinds")[2], re.M)) == set(FIGURES)
    options = page.partition("## Options")[2].partition("## Kinds")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", options, re.M)) == set(FIGURE_KEYS)
    for name, figures in (("demo", examples), ("edge", {"sensitivity": lines})):
        paper = {**load_yaml(ROOT / f"papers/{name}.yaml"), "figures": figures}
        (tmp_path / "paper.yaml").write_text(yaml.safe_dump(paper), encoding="utf-8")
        study = load_study({"papers": [str(tmp_path / "paper.yaml")], "seeds": [0, 1, 2]})
        for entry in study.papers[name]["figures"].values():
            assert name == "edge" or outputs.figure_settings(study, name, entry)["sources"]


# --- figures over several benchmarks ---

WIDE = {
    "title": "Wide digits",
    "task": "single_label",
    "in_distribution": {"dataset": "digits"},
    "render": {"size": 8, "resize": "native"},
    "normalisation": PAPER["benchmarks"]["digits"]["normalisation"],
    "network": {"name": "cifar_resnet", "blocks": [1], "widths": [16]},
    "ood": {"uniform_noise": {"groups": ["far"]}, "photo_patches": {"groups": ["far"]}},
}
TWO = {"benchmarks.wide": WIDE, "evaluate.wide": {"adapt": ["knn10"]}}


def test_a_figure_on_a_further_benchmark_has_its_columns_and_files(tmp_path):
    found = told(
        tmp_path, {**HEAT, "also_on": ["wide"], "groups": ["far", "near"], "labels": {"digits": "narrow"}}, TWO
    )
    columns = dict(found["columns"])
    assert columns["set:uniform_noise"].endswith(", narrow")
    assert columns["wide/set:photo_patches"].endswith(", Wide digits")
    assert {"group:near", "group:far", "wide/group:far"} <= set(columns)
    assert "wide/group:near" not in columns
    further = [source for source in found["sources"] if source.get("benchmark") == "wide"]
    assert [(source["method"], source["seed"]) for source in further] == [("adapt", 0), ("adapt", 1)]
    roles = [role_of(source) for source in found["sources"]]
    assert {"adapt/metrics/seed0", "wide/adapt/metrics/seed0", "plain/metrics/seed1"} <= set(roles)
    assert len(set(roles)) == len(roles)


def test_sets_named_are_shown_on_the_benchmarks_that_have_them(tmp_path):
    found = told(tmp_path, {**HEAT, "also_on": ["wide"], "sets": ["uniform_noise", "digits_held_out"]}, TWO)
    assert [target for target, _ in found["columns"]] == [
        "set:uniform_noise",
        "set:digits_held_out",
        "wide/set:uniform_noise",
    ]


def test_a_figure_of_one_benchmark_names_it_nowhere(tmp_path):
    found = told(tmp_path, HEAT, TWO)
    assert not [source for source in found["sources"] if "benchmark" in source]
    assert not [title for _, title in found["columns"] if "Label of digits" in title]


@pytest.mark.parametrize(
    ("entry", "sentence"),
    [
        ({**HEAT, "also_on": ["wid"]}, "figures.one.also_on names 'wid': did you mean 'wide'?"),
        ({**HEAT, "also_on": ["digits"]}, "figures.one.also_on names digits, which the figure is about anyway"),
        ({**HEAT, "also_on": ["mosaics"]}, "figures.one.also_on names mosaics, which is multi_label: one figure shows"),
        (
            {"kind": "roc_curves", "benchmark": "digits", "caption": "x", "also_on": ["wide"]},
            "names further benchmarks (also_on), which auroc_heat_map and critical_difference alone can show",
        ),
    ],
)
def test_further_benchmarks_that_do_not_fit_are_refused(tmp_path, entry, sentence):
    assert sentence in refusal(tmp_path, {"figures.one": entry, **TWO})


def both_benchmarks(folder, kind):
    """Files of both methods on one benchmark, and of one of them on a further one with values a tenth lower."""
    found = sources(folder, kind, ("bce", "edge"))
    for source in [s for s in found if s.method == "edge"]:
        path = folder / f"further-{source.seed}.csv"
        rows = read_csv(source.path)
        write_text(path, csv_text([{**row, "value": row["value"] and repr(float(row["value"]) - 0.1)} for row in rows]))
        found.append(dataclasses.replace(source, path=str(path), benchmark="wide"))
    return found


def test_a_heat_map_over_two_benchmarks_has_blank_cells_where_a_method_was_not_evaluated(tmp_path):
    settings = {
        **figure_settings("auroc_heat_map"),
        "columns": [["set:near_set", "Near, narrow"], ["wide/set:near_set", "Near, wide"]],
    }
    figure = registry.load("reporting.figures", "auroc_heat_map").draw(
        settings, both_benchmarks(tmp_path, "auroc_heat_map")
    )
    texts = {tuple(int(place) for place in text.get_position()): text.get_text() for text in figure.axes[0].texts}
    mean = statistics.mean(set_value("edge", "joint_energy", "near_set", seed) for seed in (0, 1))
    assert (texts[0, 2], texts[1, 2]) == (f"{100 * mean:.1f}", f"{100 * mean - 10:.1f}")
    assert set(texts) == {(0, 0), (0, 1), (0, 2), (1, 2)}
    plt.close("all")


def test_ranks_over_two_benchmarks_count_all_sets_and_leave_out_methods_that_one_lacks(tmp_path):
    names = ["near_set", "far_set", "odd_set"]
    settings = {
        **figure_settings("critical_difference"),
        "columns": [[f"{before}set:{name}", name] for before in ("", "wide/") for name in names],
    }
    with pytest.raises(ReproError):  # one method and score alone has values on both
        registry.load("reporting.figures", "critical_difference").draw(
            settings, both_benchmarks(tmp_path, "critical_difference")
        )
    found = both_benchmarks(tmp_path, "critical_difference")
    for source in [s for s in found if s.method == "bce"]:
        path = shutil.copy(source.path, tmp_path / f"copy-{source.seed}.csv")
        found.append(dataclasses.replace(source, path=str(path), benchmark="wide"))
    figure = registry.load("reporting.figures", "critical_difference").draw(settings, found)
    assert "over 6 OOD sets" in every_text(figure).replace("\n", " ")
    plt.close("all")
