"""Tables from hand-made metrics, in three forms, and figures from small files: right, readable, the same every time."""

import csv
import io
import math
import re
import shutil
import statistics
import subprocess

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from methods import registry
from methods.csv_file import csv_text, read_csv
from methods.errors import ReproError
from methods.files import write_text
from methods.metrics.counts import count
from methods.metrics.ranking import auroc
from methods.metrics.seeds import LEAST, Spread, spread
from methods.metrics.uncertainty import interval_of, welch_interval
from methods.reporting.latex import escape, to_latex
from methods.reporting.layout import all_notes, to_csv, to_html, to_markdown
from methods.reporting.tables.classes import make as classes_table
from methods.reporting.tables.cost import make as cost_table
from methods.reporting.tables.differences import make as differences_table
from methods.reporting.tables.main import make as main_table
from methods.reporting.tables.parts import Column, Table, percent
from methods.reporting.tables.ranks import make as ranks_table
from methods.reporting.tables.tail import make as tail_table
from methods.reporting.tables.tail_differences import make as tail_differences_table
from methods.settings.schema import load_schema

SETTINGS = {
    "kind": "main",
    "caption": "OOD detection on 50 % of A_b & C",
    "task": "single_label",
    "metrics": ["fpr95", "auroc"],
    "fpr_rule": "closest",
    "groups": ["near", "far"],
    "left_out": [],
    "left_out_scores": [],
    "tuning": {"sets": [], "untuned": []},
    "imported": [],
    "aupr_rule": "average_precision",
    "runs": [[method, "corrected", seed] for method in ("palm", "adapt") for seed in (0, 1)],
    "methods": [["palm", "PALM_100%"], ["adapt", "ADAPT & co"]],
    "scores": [["msp", "MSP"], ["knn10", "KNN (k=10)"]],
    "sets": [
        {"name": "tin", "title": "Tiny", "groups": ["near"], "relation": None, "shared_classes": [], "available": True},
        {
            "name": "lsun",
            "title": "LSUN #1",
            "groups": ["far"],
            "relation": {"of": "lsun_crop", "kind": "substitute"},
            "shared_classes": [],
            "available": True,
        },
        {
            "name": "isun",
            "title": "iSUN",
            "groups": ["far"],
            "relation": None,
            "shared_classes": [],
            "available": False,
        },
    ],
    "run_scores": {"palm": ["msp", "knn10"], "adapt": ["msp", "knn10"]},
    "seeds": [0, 1],
    "precision": "fp32",
}
METHODS, SEEDS, INSTANCES = ("palm", "adapt"), (0, 1), ("msp", "knn10")
# FPR95 and AUROC on ``tin`` of each method, score and seed
VALUES = {
    ("palm", "msp", 0): (0.5, 0.8),
    ("palm", "msp", 1): (0.6, 0.9),
    ("palm", "knn10", 0): (0.3, 0.7),
    ("palm", "knn10", 1): (0.4, 0.75),
    ("adapt", "msp", 0): (1 / 3, 0.8),
    ("adapt", "msp", 1): (2 / 3, 0.85),
    ("adapt", "knn10", 0): (0.1, 0.6),
    ("adapt", "knn10", 1): (0.7, 0.65),
}


def metrics_row(score, level, target, metric, rule, value, complete="1 of 1"):
    names = ("score", "level", "target", "metric", "rule", "value", "complete")
    return dict(zip(names, (score, level, target, metric, rule, str(value), complete), strict=True))


def metrics_rows(method, seed):
    rows = []
    for score in INSTANCES:
        fpr, auroc = VALUES[method, score, seed]
        for level, target in (("set", "tin"), ("set", "lsun"), ("group", "near")):
            rows += [
                metrics_row(score, level, target, "fpr95", "closest", fpr),
                metrics_row(score, level, target, "fpr95", "at_least", fpr + 0.01),
                metrics_row(score, level, target, "auroc", "", auroc),
            ]
        rows += [
            metrics_row(score, "group", "far", metric, rule, "", "1 of 2")
            for metric, rule in (("fpr95", "closest"), ("fpr95", "at_least"), ("auroc", ""))
        ]
    accuracy = 0.9 if method == "adapt" else 0.8
    rows.append(metrics_row("", "id", "test", "accuracy", "class_mean", 0.1))
    rows.append(metrics_row("", "id", "test", "accuracy", "prototype" if method == "adapt" else "classifier", accuracy))
    return rows


RUNS = [((method, "corrected", seed), metrics_rows(method, seed)) for method in METHODS for seed in SEEDS]


def table(metrics_of_runs=RUNS, **changes):
    return main_table({**SETTINGS, **changes}, metrics_of_runs)


def column(found, key):
    return next(i for i, c in enumerate(found.columns) if c.key == key)


def markdown_cells(found):
    """Cells of the rows below the head, without the two label columns."""
    lines = [line for line in to_markdown(found).splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")][2:] for line in lines[2:]]


def test_rows_follow_the_settings():
    expected = [("PALM_100%", "MSP"), ("PALM_100%", "KNN (k=10)"), ("ADAPT & co", "MSP"), ("ADAPT & co", "KNN (k=10)")]
    assert table().rows == expected
    turned = table(methods=SETTINGS["methods"][::-1], scores=SETTINGS["scores"][::-1])
    assert turned.rows == expected[::-1]


def test_columns_follow_the_settings():
    keys = [c.key for c in table(metrics=["auroc", "fpr95"], groups=["far"]).columns]
    sets = [f"set:{name}:{metric}" for name in ("tin", "lsun", "isun") for metric in ("auroc", "fpr95")]
    assert keys == ["id", *sets, "group:far:auroc", "group:far:fpr95"]


def test_a_score_that_a_method_lacks_has_no_row():
    runs = [(name, [r for r in rows if name[0] == "adapt" or r["score"] != "knn10"]) for name, rows in RUNS]
    assert table(runs).rows == [("PALM_100%", "MSP"), ("ADAPT & co", "MSP"), ("ADAPT & co", "KNN (k=10)")]


def test_means_and_deviations_are_over_seeds():
    found = table()
    for (method, score), cells in zip([(m, s) for m in METHODS for s in INSTANCES], found.cells, strict=True):
        for metric in (0, 1):
            values = [VALUES[method, score, seed][metric] for seed in SEEDS]
            cell = cells[column(found, f"set:tin:{('fpr95', 'auroc')[metric]}")]
            assert cell == Spread(pytest.approx(statistics.mean(values)), pytest.approx(statistics.stdev(values)), 2)


def test_the_order_of_runs_does_not_matter():
    assert to_csv(table(RUNS[::-1])) == to_csv(table())


def test_cells_are_percent_with_two_decimals():
    assert percent(Spread(1 / 3, 0.012345, 3)) == "33.33 ± 1.23"
    assert percent(Spread(1 / 3, math.nan, 1)) == "33.33"
    assert percent("n/a") == "n/a"


def test_id_accuracy_prefers_the_classifier_then_the_prototype():
    assert [cells[0].mean for cells in table().cells] == [0.8, 0.8, 0.9, 0.9]


def test_the_fpr_rule_decides_which_rows_are_shown():
    closest, at_least = table(), table(fpr_rule="at_least")
    c = column(closest, "set:tin:fpr95")
    assert at_least.cells[0][c].mean == pytest.approx(closest.cells[0][c].mean + 0.01)
    assert at_least.cells[0][c + 1] == closest.cells[0][c + 1]


def test_protocols_have_rows_of_their_own():
    both = [[m, p, s] for p in ("corrected", "released") for m in METHODS for s in SEEDS]
    runs = [((m, p, s), metrics_rows(m, s if p == "corrected" else 0)) for m, p, s in both]
    found = table(runs, runs=both)
    cells = [row[column(found, "set:tin:auroc")] for row in found.cells]
    assert cells[0] == table().cells[0][column(found, "set:tin:auroc")]
    assert cells[2] == Spread(0.8, 0, 2)
    assert [label for label, score in found.rows if score == "MSP"] == [
        "PALM_100% (corrected)",
        "PALM_100% (released)",
        "ADAPT & co (corrected)",
        "ADAPT & co (released)",
    ]
    assert "Protocol: corrected, released" in found.caption


CLEAR = {  # FPR95 and AUROC whose seeds are near each other
    ("palm", "msp"): (0.5, 0.8),
    ("palm", "knn10"): (0.3, 0.7),
    ("adapt", "msp"): (0.4, 0.9),
    ("adapt", "knn10"): (0.6, 0.6),
}


def clear_table(seeds=3, noise=0.001, **changes):
    """Three seeds by default, and a deviation over seeds that is small beside the differences."""
    runs = []
    for method, seed in [(m, s) for m in METHODS for s in range(seeds)]:
        rows = metrics_rows(method, 0)
        for row in rows:
            if row["score"] and row["value"]:
                mean = CLEAR[method, row["score"]][row["metric"] == "auroc"]
                row["value"] = repr(mean + noise * seed)
        runs.append(((method, "corrected", seed), rows))
    named = [list(name) for name, _ in runs]
    return table(runs, runs=named, seeds=list(range(seeds)), **changes)


def test_the_lowest_fpr_and_the_highest_auroc_are_best():
    found = clear_table()
    assert found.marked(column(found, "set:tin:fpr95")) == (1, 2)
    assert found.marked(column(found, "set:tin:auroc")) == (2, 0)
    assert found.marked(column(found, "id")) == (None, None)


def test_best_values_are_bold_and_second_ones_underlined_in_every_form():
    found = clear_table()
    f, a = column(found, "set:tin:fpr95"), column(found, "set:tin:auroc")
    cells = markdown_cells(found)
    assert (cells[1][f], cells[2][f]) == ("**30.10 ± 0.10**", "<u>40.10 ± 0.10</u>")
    assert (cells[2][a], cells[0][a]) == ("**90.10 ± 0.10**", "<u>80.10 ± 0.10</u>")
    assert sum(cell.startswith("**") for row in cells for cell in row) == 6  # two metrics on tin, lsun, near
    assert sum(cell.startswith("<u>") for row in cells for cell in row) == 6
    latex, page = to_latex(found, "x"), to_html(found)
    assert latex.count(r"\textbf{30.10 $\pm$ 0.10}") == latex.count(r"\underline{80.10 $\pm$ 0.10}") == 3
    assert page.count("<b>30.10 ± 0.10</b>") == page.count("<u>80.10 ± 0.10</u>") == 3
    assert any(note.startswith("Bold: best, underlined: second") for note in all_notes(found))


@pytest.mark.parametrize("noise", [0.05, 0.2])
def test_nothing_is_marked_that_the_noise_explains(noise):
    found = clear_table(noise=noise)
    assert found.marked(column(found, "set:tin:fpr95")) == (None, None)
    assert "**" not in to_markdown(found)
    assert "<u>" not in to_markdown(found)
    assert r"\textbf" not in to_latex(found, "x")


def test_the_best_may_be_clear_where_the_second_is_not():
    found = Table(
        [Column("x", "", "AUROC", 1)],
        [("a", ""), ("b", ""), ("c", "")],
        [[Spread(0.9, 0.001, 3)], [Spread(0.8, 0.02, 3)], [Spread(0.79, 0.02, 3)]],
        "",
    )
    assert found.marked(0) == (0, None)


def test_one_seed_marks_nothing_and_says_why():
    found = clear_table(seeds=1)
    assert found.marked(column(found, "set:tin:fpr95")) == (None, None)
    assert "**" not in to_markdown(found)
    assert "No value is marked as best: one seed does not tell how large the noise is." in to_html(found)


def test_a_single_row_has_nothing_bold_and_no_note_on_marks():
    found = clear_table(methods=SETTINGS["methods"][:1], scores=SETTINGS["scores"][:1])
    assert len(found.rows) == 1
    assert "**" not in to_markdown(found)
    assert "Bold" not in to_markdown(found)
    assert r"\textbf" not in to_latex(found, "x")


def test_equal_means_are_not_marked():
    same = [(name, RUNS[int(name[2])][1]) for name, _ in RUNS]  # both methods have the values of palm
    found = table(same)
    assert found.marked(column(found, "set:tin:fpr95")) == (None, None)


def test_a_set_that_cannot_be_had_is_not_available_and_its_group_incomplete():
    found = table()
    for cells, shown in zip(found.cells, markdown_cells(found), strict=True):
        assert cells[column(found, "set:isun:auroc")] == shown[column(found, "set:isun:auroc")] == "n/a"
        assert cells[column(found, "group:far:fpr95")] == shown[column(found, "group:far:fpr95")] == "1 of 2"
    assert "n/a: iSUN not available here; averages that lack a set stay blank (n of m)." in found.notes


def test_substitutes_are_starred_and_explained():
    found = table()
    titles = {c.key.split(":")[1]: c.group for c in found.columns if c.key.startswith("set")}
    assert titles == {"tin": "Tiny", "lsun": "LSUN #1*", "isun": "iSUN"}
    assert "* LSUN #1: substitute in the place of lsun_crop." in found.notes
    assert r"LSUN #1\* FPR95" in to_markdown(found)
    assert "\n\\* LSUN #1: substitute" in to_markdown(found)  # else a list item that has lost its star
    assert r"{LSUN \#1*}" in to_latex(found, "x")


def test_outliers_that_may_show_id_classes_are_noted_with_the_reason():
    exposure = {"title": "Many", "classes": ["cat", "dog"], "reason": "we measure it"}
    shown = "Outliers (Many) may show classes of the ID set (cat, dog): we measure it."
    assert shown in table(exposure=exposure).notes
    nameless = {**exposure, "classes": []}
    assert "Outliers (Many) may show classes of the ID set: we measure it." in table(exposure=nameless).notes


def test_a_table_without_stand_ins_and_gaps_has_no_notes():
    assert table(sets=SETTINGS["sets"][:1], groups=["near"]).notes == []


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("closest", "closest to 95 %, ID positive"),
        ("at_least", "highest threshold with a TPR of at least 95 %, ID positive"),
        ("ood_positive", "at least 95 %, OOD positive"),
    ],
)
def test_the_caption_names_protocol_fpr_rule_and_seeds(rule, words):
    caption = table(fpr_rule=rule).caption
    assert caption.startswith(SETTINGS["caption"])
    assert words in caption
    assert "Protocol: corrected; precision fp32" in caption
    assert "seeds 0, 1" in caption


def test_the_caption_names_the_rule_of_every_area():
    assert "average precision" not in table().caption
    assert "AUPR: average precision" in table(metrics=["aupr_out"]).caption
    assert "FPR95" not in table(metrics=["aupr_out"]).caption
    assert "mAP: mean over classes of average precision" in table(task="multi_label").caption


def test_a_table_without_any_row_is_refused():
    only_id = [(name, [row for row in rows if row["level"] == "id"]) for name, rows in RUNS]
    with pytest.raises(ReproError, match="has no row"):
        table(only_id)


def test_csv_holds_every_value_in_full(tmp_path):
    found = table()
    write_text(tmp_path / "t.csv", to_csv(found))
    rows = read_csv(tmp_path / "t.csv")
    assert [(row["method"], row["score"]) for row in rows] == found.rows
    for row, cells in zip(rows, found.cells, strict=True):
        for c, cell in zip(found.columns, cells, strict=True):
            texts = [row[f"{c.key}:{part}"] for part in ("mean", "std", "seeds")]
            whole = isinstance(cell, Spread)
            assert texts == ([repr(cell.mean), repr(cell.std), "2"] if whole else [cell, "", "0"])


def test_csv_of_one_seed_has_no_deviation(tmp_path):
    write_text(tmp_path / "t.csv", to_csv(table(RUNS[::2], seeds=[0])))
    first = read_csv(tmp_path / "t.csv")[0]
    assert (first["set:tin:auroc:mean"], first["set:tin:auroc:std"], first["set:tin:auroc:seeds"]) == ("0.8", "", "1")


def test_markdown_has_one_cell_a_column_in_every_row():
    found = table(scores=[["msp", "a|b*"]])
    lines = [line for line in to_markdown(found).splitlines() if line.startswith("|")]
    assert len(lines) == 2 + len(found.rows)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {len(found.columns) + 3}
    assert r"| a\|b\* |" in lines[2]


def test_latex_is_balanced_escaped_and_ruled():
    latex = to_latex(table(), "demo-x")
    assert len(re.findall(r"(?<!\\)\{", latex)) == len(re.findall(r"(?<!\\)\}", latex))
    assert all(latex.count(rule) == 1 for rule in (r"\toprule", r"\midrule", r"\bottomrule", r"\label{tab:demo-x}"))
    assert r"PALM\_100\%" in latex
    assert r"ADAPT \& co" in latex
    assert "±" not in latex
    body = latex.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    assert [len(re.findall(r"(?<!\\)&", line)) for line in body] == [len(table().columns) + 1] * 4
    assert all(line.endswith(r"\\") for line in body)


def test_latex_shrinks_a_table_that_is_too_wide_and_blows_none_up():
    assert r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%" in to_latex(table(), "x")


def test_a_table_shows_the_sets_it_names_and_marks_averages_by_all():
    found = table(shown=["tin"], labels={"far": "Mean far"})
    assert list(dict.fromkeys(column.group for column in found.columns)) == ["ID", "Tiny", "Average near", "Mean far*"]


def test_latex_head_spans_the_columns_of_each_set():
    latex = to_latex(table(), "x")
    spans = [int(n) for n in re.findall(r"\\multicolumn\{(\d)\}", latex)]
    assert spans == [1, 2, 2, 2, 2, 2]
    assert re.findall(r"\\cmidrule\(lr\)\{([\d-]+)\}", latex) == ["3-3", "4-5", "6-7", "8-9", "10-11", "12-13"]


def test_special_characters_are_escaped():
    assert escape("50 % of a_b & {c} #1 $x ±1") == r"50 \% of a\_b \& \{c\} \#1 \$x $\pm$1"
    assert escape("τ = 0.5, β") == r"$\tau$ = 0.5, $\beta$"
    assert escape(r"~^\ <> [1]") == (
        r"\textasciitilde{}\textasciicircum{}\textbackslash{} \textless{}\textgreater{} {[}1]"
    )


@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="pdflatex is not installed")
@pytest.mark.parametrize("copies", [1, 40])
@pytest.mark.parametrize("alone", [True, False])
def test_latex_compiles_alone_and_inside_a_paper(tmp_path, alone, copies):
    odd = clear_table(methods=[["palm", r"50 % & $ # _ { } ~ ^ \ < > ± −"], ["adapt", "[1] ADAPT"]])
    odd.rows, odd.cells = odd.rows * copies, odd.cells * copies
    (tmp_path / "t.tex").write_text(to_latex(odd, "x"), encoding="utf-8")
    head = "\\documentclass{article}\\usepackage{booktabs,graphicx,longtable}\\begin{document}\nBefore.\n"
    (tmp_path / "paper.tex").write_text(head + "\\input{t}\\input{t}After.\\end{document}\n", encoding="utf-8")
    name = "t" if alone else "paper"
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", f"{name}.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout[-2000:]
    assert (tmp_path / f"{name}.pdf").stat().st_size > 5000


def test_a_long_table_in_latex_may_break_over_pages():
    many = table()
    many.rows, many.cells = many.rows * 12, many.cells * 12
    latex = to_latex(many, "x")
    assert r"\begin{longtable}" in latex
    assert r"\begin{table}" not in latex
    assert latex.count(r"\endfirsthead") == latex.count(r"\endhead") == 1
    assert r"\begin{table}" in to_latex(table(), "x")


def test_html_has_a_cell_a_value_and_escapes_labels():
    found = table()
    page = to_html(found)
    assert page.count("<td>") == len(found.rows) * len(found.columns)
    assert page.count("<tr>") == page.count("</tr>") == len(found.rows) + 2
    assert "ADAPT &amp; co" in page


def cost(seconds):
    memory = {"peak_process_bytes": str(3 * 2**20), "peak_gpu_bytes": "0.0"}
    return [{"seconds": str(seconds), "images_per_second": "100.5", **memory, "device": "CPU"}]


def test_costs_are_means_over_seeds_and_never_compared():
    runs = [((m, "corrected", s), cost(10 * s + (m == "adapt"))) for m in METHODS for s in SEEDS]
    found = cost_table(SETTINGS, runs)
    assert found.rows == [("PALM_100%", ""), ("ADAPT & co", "")]
    assert [cells[0].mean for cells in found.cells] == [5, 6]
    assert found.cells[0][0].std == pytest.approx(math.sqrt(50))
    assert markdown_cells(found)[0] == ["5.00 ± 7.07", "100.50 ± 0.00", "3.00 ± 0.00"]
    assert "seeds 0, 1" in found.caption


def test_gpu_hours_are_those_of_all_devices_and_shown_where_there_is_a_gpu():
    own = {**cost(7200)[0], "peak_gpu_bytes": str(2**30), "devices": "4"}
    runs = [(("palm", "corrected", 0), [own]), (("adapt", "corrected", 0), cost(10))]
    found = cost_table(SETTINGS, runs)
    assert [column.name for column in found.columns] == [
        "Seconds",
        "GPU hours",
        "Images/s",
        "Process memory (MiB)",
        "GPU memory (MiB)",
    ]
    assert [cells[1].mean for cells in found.cells] == [8, 0]
    assert found.cells[0][4].mean == 1024


def test_costs_of_two_protocols_are_not_mixed():
    both = [["palm", protocol, 0] for protocol in ("released", "corrected")]
    runs = [(("palm", "released", 0), cost(1)), (("palm", "corrected", 0), cost(3))]
    found = cost_table({**SETTINGS, "runs": both, "methods": SETTINGS["methods"][:1]}, runs)
    assert found.rows == [("PALM_100% (released)", ""), ("PALM_100% (corrected)", "")]
    assert [cells[0].mean for cells in found.cells] == [1, 3]


texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]))


@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(st.lists(st.tuples(st.floats(allow_nan=False), st.integers(), texts), min_size=1, max_size=4))
def test_csv_reads_back_what_was_written(tmp_path_factory, values):
    path = tmp_path_factory.getbasetemp() / "round-trip.csv"
    path.write_bytes(csv_text([{"a": a, "b, c": b, 'd"': c} for a, b, c in values]).encode())
    found = [(float(row["a"]), int(row["b, c"]), row['d"']) for row in read_csv(path)]
    assert found == values


def test_csv_of_numpy_numbers_is_plain():
    assert csv_text([{"a": np.float64(0.1), "b": np.int64(3)}]) == "a,b\n0.1,3\n"


SEVERAL = {"task": "multi_label", "head_classes": 2, "benchmark": "mosaics"}


def rows_of_several(method, seed):
    """What evaluate writes of several labels: FPR95 is that of all ID, a tenth more on the head, less on the tail."""
    rows = [row for row in metrics_rows(method, seed) if row["level"] in ("set", "group")]
    for part, shift in (("head", 0.1), ("tail", -0.1)):
        for row in rows[:]:
            if row["level"] != "tail":
                moved = row["value"] and str(float(row["value"]) + shift)
                target = f"{part}:{row['level']}:{row['target']}"
                rows.append({**row, "level": "tail", "target": target, "value": moved})
    rows += [metrics_row("", "tail", part, "id_images", "counted", n) for part, n in (("head", 70), ("tail", 5))]
    for name, positives, ap in (("cat", 9, 0.2), ("dog", 40, 0.6), ("eel", 0, ""), ("fox", 9, 0.4)):
        value = ap if ap == "" else ap + seed / 10 + (method == "adapt") / 100
        rows.append(metrics_row("", "class", name, "positives", "counted", positives))
        rows.append(metrics_row("", "class", name, "ap", "average_precision", value, "1 of 1" if ap else "undefined"))
        rows.append(metrics_row("", "class", name, "ap", "trapezoid", value and value / 2))
    rows.append(metrics_row("", "id", "test", "map", "average_precision", 0.4 + seed / 10 + (method == "adapt") / 100))
    rows.append(metrics_row("", "id", "test", "map", "trapezoid", 0.1))
    return rows


RUNS_OF_SEVERAL = [((method, "corrected", seed), rows_of_several(method, seed)) for method in METHODS for seed in SEEDS]


def test_a_tail_table_has_all_head_and_tail_of_every_group():
    found = tail_table({**SETTINGS, **SEVERAL, "groups": ["near"]}, RUNS_OF_SEVERAL)
    titles = [column.group for column in found.columns[::2]]
    assert titles == ["Average near, all ID", "Average near, head ID", "Average near, tail ID"]
    assert [row[1] for row in found.rows] == ["MSP", "KNN (k=10)"] * 2
    for (method, score), cells in zip([(m, s) for m in METHODS for s in INSTANCES], found.cells, strict=True):
        mean = statistics.mean(VALUES[method, score, seed][0] for seed in SEEDS)
        assert [cell.mean for cell in cells[::2]] == [pytest.approx(mean + shift) for shift in (0, 0.1, -0.1)]
        assert [cell.count for cell in cells] == [2] * 6
    assert found.notes[-1] == (
        "Head ID: the 70 ID test images with one of the 2 most frequent classes of this split (of equally frequent "
        "ones the lower index), tail ID: the 5 others."
    )
    assert "closest to 95 %" in found.caption
    assert "mAP" not in found.caption


def test_a_tail_table_without_groups_has_every_set_with_marks_and_gaps():
    found = tail_table({**SETTINGS, **SEVERAL, "groups": []}, RUNS_OF_SEVERAL)
    assert list(dict.fromkeys(c.group.split(",")[0] for c in found.columns)) == ["Tiny", "LSUN #1*", "iSUN"]
    assert {cell for row in found.cells for cell in row[-6:]} == {"n/a"}
    assert "* LSUN #1: substitute in the place of lsun_crop." in found.notes
    far = tail_table({**SETTINGS, **SEVERAL, "groups": ["far"]}, RUNS_OF_SEVERAL)
    assert {cell for row in far.cells for cell in row} == {"1 of 2"}


def test_a_tail_without_images_is_not_available_and_says_so():
    runs = [
        (name, [{**r, "value": "0"} if r["target"] == "tail" else r for r in rows if r["target"][:5] != "tail:"])
        for name, rows in RUNS_OF_SEVERAL
    ]
    found = tail_table({**SETTINGS, **SEVERAL, "head_classes": 1, "groups": ["near"]}, runs)
    assert {cell for row in found.cells for cell in row[4:]} == {"n/a"}
    assert found.notes[-1] == "n/a: no ID image is in the tail."
    assert "with the most frequent class of this split" in found.notes[-2]


def test_a_class_table_is_sorted_by_frequency_with_a_column_a_method():
    found = classes_table({**SETTINGS, **SEVERAL}, RUNS_OF_SEVERAL)
    assert found.rows == [("dog", "40"), ("cat", "9"), ("fox", "9"), ("eel", "0"), ("Mean", "")]
    assert [column.name for column in found.columns] == ["PALM_100%", "ADAPT & co"]
    half = statistics.stdev([0, 0.1])
    for row, value in zip(found.cells, (0.6, 0.2, 0.4, None, 0.4), strict=True):
        if value is None:
            assert row == ["undefined", "undefined"]
        else:
            assert row[0] == Spread(pytest.approx(value + 0.05), pytest.approx(half), 2)
            assert row[1] == Spread(pytest.approx(value + 0.06), pytest.approx(half), 2)
    assert found.notes == ["undefined: eel, which no image or every image has; the mean leaves such out."]
    assert "AP: average precision. Classes by their number of positives" in found.caption
    assert "seeds 0, 1" in found.caption
    assert "Protocol: corrected; precision fp32" in found.caption


def test_a_class_table_shows_the_area_rule_asked_for():
    found = classes_table({**SETTINGS, **SEVERAL, "aupr_rule": "trapezoid"}, RUNS_OF_SEVERAL)
    assert [row[0].mean for row in found.cells if row[0] != "undefined"] == [
        pytest.approx(value) for value in (0.325, 0.125, 0.225, 0.1)
    ]
    assert "by trapezoids" in found.caption


def test_a_class_table_reads_the_same_in_every_form():
    found = classes_table({**SETTINGS, **SEVERAL}, RUNS_OF_SEVERAL)
    assert "| Class | Positives | AP PALM_100% | AP ADAPT & co |" in to_markdown(found)
    assert "| dog | 40 | 65.00 ± 7.07 | 66.00 ± 7.07 |" in to_markdown(found)
    assert "<th>Class</th><th>Positives</th>" in to_html(found)
    assert r"Class & Positives & PALM\_100\%" in to_latex(found, "x")
    first = read_csv_text(to_csv(found))[0]
    assert (first["class"], first["positives"], first["palm:corrected:seeds"]) == ("dog", "40", "2")


def test_a_class_table_of_runs_on_other_images_is_refused():
    rows = [{**row, "value": "8"} if row["metric"] == "positives" else row for row in RUNS_OF_SEVERAL[0][1]]
    with pytest.raises(ReproError, match="different numbers of positives"):
        classes_table({**SETTINGS, **SEVERAL}, [(RUNS_OF_SEVERAL[0][0], rows), *RUNS_OF_SEVERAL[1:]])


def test_every_kind_of_table_is_in_the_schema_and_makes_one():
    tables = registry.records("reporting.tables")
    schema = load_schema("paper")["properties"]["tables"]["additionalProperties"]["properties"]
    assert set(tables) == set(schema["kind"]["enum"])
    assert tables["ranks"]["least_seeds"] == LEAST
    assert all(callable(registry.load("reporting.tables", kind).make) for kind in tables)
    assert not set(tables) & set(registry.records("reporting.figures"))


def read_csv_text(text):
    return list(csv.DictReader(io.StringIO(text)))


def ranked(seeds, sets=("a", "b", "c")):
    """A rank table of two methods, one score, where PALM is better on all sets but the last."""
    values = {"palm": [0.9, 0.8, 0.3], "adapt": [0.5, 0.7, 0.6]}
    parts = [{**SETTINGS["sets"][0], "name": name, "title": name} for name in sets]

    def row(name, value, seed):
        return {
            "score": "msp",
            "level": "set",
            "target": name,
            "metric": "auroc",
            "rule": "",
            "value": str(value + seed / 99),
        }

    runs = [
        ((method, "corrected", seed), [row(n, v, seed) for n, v in zip(sets, values[method], strict=False)])
        for method in METHODS
        for seed in range(seeds)
    ]
    changes = {"metrics": ["auroc"], "seeds": list(range(seeds)), "sets": parts, "scores": [["msp", "MSP"]]}
    return ranks_table({**SETTINGS, **changes, "run_scores": {m: ["msp"] for m in METHODS}}, runs)


def test_a_rank_table_has_average_ranks_and_the_critical_difference():
    found = ranked(3)
    assert found.rows == [("PALM_100%", "MSP"), ("ADAPT & co", "MSP")]
    assert [cell.mean for (cell,) in found.cells] == [pytest.approx(4 / 3), pytest.approx(5 / 3)]
    assert "Average rank of AUROC over 3 OOD sets" in found.caption
    assert found.notes[-1] == "Average ranks that differ by less than 1.13 (Nemenyi, 5 %) are not told apart."
    assert "1.33" in to_markdown(found)


def test_a_rank_table_is_refused_below_three_seeds_or_sets():
    with pytest.raises(ReproError, match="compares by ranks, needs 3 seeds and has 2"):
        ranked(2)
    with pytest.raises(ReproError, match="There are 2 OOD sets or seeds: a comparison by ranks needs at least 3"):
        ranked(3, sets=("a", "b"))


def compared(seeds=2, **changes):
    """A table of differences on hand-made scores: ADAPT's are PALM's with the OOD scores of ``tin`` moved down."""
    draw = np.random.default_rng(0)
    scores = {"id": draw.normal(1, 1, 80), "tin": draw.normal(0, 1, 60), "lsun": draw.normal(0, 1, 50)}
    runs = []
    for method in METHODS:
        for seed in range(seeds):
            for name, values in scores.items():
                shift = 0.2 * seed * (name == "id") - 0.8 * (method == "adapt" and name == "tin")
                found = {"msp": values + shift, f"only {method}": values}
                runs.append(((method, "corrected", seed, name), (found, np.zeros(len(values), np.int64))))
    settings = {
        **SETTINGS,
        "against": "palm",
        "seeds": list(range(seeds)),
        "runs": [name for name, _ in runs],
        **changes,
    }
    settings["scores"] = [["msp", "MSP"], ["only adapt", "Other"]]
    return differences_table(settings, runs), scores


def test_a_table_of_differences_has_a_row_a_set_and_whole_group():
    found, scores = compared()
    assert found.heads == ("Methods", "Score", "OOD set")
    pair = ("ADAPT & co - PALM_100%", "MSP")
    assert found.rows == [(*pair, "Tiny"), (*pair, "LSUN #1*"), (*pair, "Average near")]  # far lacks iSUN
    assert [column.key for column in found.columns] == [
        *("fpr95:difference", "fpr95:images", "fpr95:seeds"),
        *("auroc:difference", "auroc:images", "auroc:seeds"),
    ]
    own = [auroc(count(scores["id"] + 0.2 * s, scores["tin"] - 0.8)) for s in (0, 1)]
    base = [auroc(count(scores["id"] + 0.2 * s, scores["tin"])) for s in (0, 1)]
    assert found.cells[0][3].mean == pytest.approx(np.mean(own) - np.mean(base))
    welch = welch_interval(spread(own), spread(base))
    assert found.cells[0][5] == f"{100 * welch.low:+.2f} to {100 * welch.high:+.2f}"
    low, high = map(float, found.cells[0][4].split(" to "))
    assert 0 < low < 100 * found.cells[0][3].mean < high
    assert found.cells[1][3:5] == [spread([0.0]), "+0.00 to +0.00"]  # the same scores on the same images
    assert found.cells[2] == found.cells[0]
    assert "first method minus second" in found.caption
    assert "Over seeds: Welch's interval" in found.caption


def test_one_seed_has_no_interval_over_seeds():
    found, _ = compared(seeds=1, metrics=["auroc"])
    assert all(cells[2] == "" for cells in found.cells)
    assert "One seed does not tell the noise of training" in found.caption


def test_differences_without_a_common_score_are_refused():
    with pytest.raises(ReproError, match="no method shares a score and a protocol with supcon"):
        compared(against="supcon", methods=[*SETTINGS["methods"], ["supcon", "SupCon"]])


def test_differences_on_head_and_tail_are_those_of_these_id_images_alone():
    draw = np.random.default_rng(1)
    labels = np.zeros((90, 3), np.uint8)
    labels[:50, 2] = 1  # the most frequent class
    labels[40:70, 0] = 1
    scores = {
        name: {"id": draw.normal(1, 1, 90), "tin": draw.normal(0, 1, 60), "lsun": draw.normal(0, 1, 50)}
        for name in ("adapt", "palm")
    }
    runs = [
        ((method, "corrected", 0, name), ({"msp": values}, labels if name == "id" else np.zeros((len(values), 0))))
        for method, sets in scores.items()
        for name, values in sets.items()
    ]
    settings = {**SETTINGS, "against": "palm", "seeds": [0], "scores": [["msp", "MSP"]], "head_classes": 1}
    settings |= {"methods": [[name, name] for name in scores], "runs": [name for name, _ in runs]}
    found = tail_differences_table(settings, runs)
    titles = ("Tiny", "LSUN #1*", "Average near")
    assert [row[2] for row in found.rows] == [f"{title}, {part} ID" for part in ("head", "tail") for title in titles]
    for first, kept in ((0, slice(50)), (3, slice(50, None))):
        values = [auroc(count(sets["id"][kept], sets["tin"])) for sets in scores.values()]
        assert found.cells[first][3].mean == pytest.approx(values[0] - values[1])
        pairs = [
            (((name, "corrected", 0, part), ({"msp": v[kept] if part == "id" else v}, labels)))
            for name, sets in scores.items()
            for part, v in sets.items()
        ]
        assert found.cells[first : first + 3] == differences_table(settings, pairs).cells
    assert any("Head ID: the 50 ID test images with the most frequent class" in note for note in found.notes)
    with pytest.raises(ReproError, match="Head or tail ID is empty"):
        tail_differences_table({**settings, "head_classes": 0}, runs)


def test_the_table_file_holds_the_interval_over_seeds():
    (first, *_) = read_csv_text(to_csv(table()))
    found = interval_of(Spread(0.55, statistics.stdev([0.5, 0.6]), 2))
    assert float(first["set:tin:fpr95:low95"]) == pytest.approx(found.low)
    assert float(first["set:tin:fpr95:high95"]) == pytest.approx(found.high)
    assert first["set:isun:fpr95:low95"] == ""
