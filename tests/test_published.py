"""Published values beside ours: files, what forbids a comparison, verdicts."""

import csv
import math
import shutil
from pathlib import Path

import pytest
import yaml

from methods.errors import ReproError
from methods.metrics.seeds import Spread
from methods.reporting.layout import to_csv, to_markdown
from methods.reporting.tables.protocols import make as protocols_table
from methods.reporting.tables.published import make as published_table
from methods.settings import outputs
from methods.settings.load import load_study
from methods.settings.published_files import COLUMNS, library, library_problems
from tests.test_reporting import RUNS, SETTINGS, metrics_rows

FOLDER = Path(__file__).parents[1] / "papers" / "published"
TOLERANCE = {"reproduced": 1.0, "close": 3.0}


def value(**changes):
    """A published value as settings have it, by default one that can be compared."""
    return {
        "source": "Somebody, Table 1 (author)",
        "value": 0.55,
        "recipe": "palm",
        "instance": "msp",
        "method": "PALM",
        "score": "MSP",
        "protocol": "corrected",
        "ood": "Tiny",
        "target": "set:tin",
        "metric": "fpr95",
        "rule": "closest",
        "reasons": [],
        **changes,
    }


def made(*values, runs=RUNS, **changes):
    settings = {**SETTINGS, "published": list(values), "not_offered": 0, "unpublished": [], "tolerance": TOLERANCE}
    return published_table({**settings, **changes}, runs)


def cells(table, row=0):
    return dict(zip([column.key for column in table.columns], table.cells[row], strict=True))


@pytest.mark.parametrize(
    ("printed", "verdict"),
    [
        (0.55, "reproduced"),
        (0.541, "reproduced"),
        (0.559, "reproduced"),
        (0.57, "close"),
        (0.525, "close"),
        (0.6, "not reproduced"),
        (0.1, "not reproduced"),
    ],
)
def test_verdicts_follow_the_difference_and_the_tolerance(printed, verdict):
    found = cells(made(value(value=printed)))  # seeds of ours: 0.5 and 0.6
    assert found["verdict"] == verdict
    assert found["difference"].mean == pytest.approx(0.55 - printed)
    assert found["corrected"] == Spread(pytest.approx(0.55), pytest.approx(math.sqrt(0.005)), 2)
    assert found["reason"] == ""


def test_the_tolerance_is_that_of_the_entry_and_stands_in_the_caption():
    wide = made(value(value=0.6), tolerance={"reproduced": 6.0, "close": 7.0})
    assert cells(wide)["verdict"] == "reproduced"
    assert "reproduced: difference of at most 6.0 points; close: at most 7.0; else not reproduced" in wide.caption


def test_a_value_with_a_reason_gets_no_verdict_and_no_difference():
    table = made(value(reasons=["another network there (resnet18)", "trained there for 9 epochs, here for 2"]))
    found = cells(table)
    assert (found["verdict"], found["difference"]) == ("not comparable (a)", "")
    assert found["corrected"].mean == pytest.approx(0.55)  # ours is shown all the same
    assert found["reason"] == "another network there (resnet18); trained there for 9 epochs, here for 2"
    assert "(a) another network there (resnet18); trained there for 9 epochs, here for 2." in table.notes


def test_equal_reasons_share_a_mark_and_others_get_the_next():
    table = made(value(reasons=["x"]), value(), value(reasons=["y"]), value(reasons=["x"]))
    assert [cells(table, row)["verdict"] for row in range(4)] == [
        "not comparable (a)",
        "reproduced",
        "not comparable (b)",
        "not comparable (a)",
    ]


def test_more_reasons_than_letters_get_two_letters():
    table = made(*[value(reasons=[str(number)]) for number in range(28)])
    marks = [cells(table, row)["verdict"][len("not comparable ") :] for row in range(28)]
    assert marks[:2] + marks[25:] == ["(a)", "(b)", "(z)", "(aa)", "(ab)"]
    assert len(set(marks)) == 28


def test_the_rule_of_the_source_decides_which_of_our_values_is_taken():
    assert cells(made(value(rule="at_least")))["corrected"].mean == pytest.approx(0.56)


def test_the_verdict_looks_at_the_released_protocol_and_the_corrected_one_stands_beside():
    runs = [*RUNS, *[(("palm", "released", seed), metrics_rows("adapt", seed)) for seed in (0, 1)]]
    found = cells(made(value(protocol="released", value=0.5), runs=runs))
    assert found["released"].mean == pytest.approx(0.5)
    assert found["corrected"].mean == pytest.approx(0.55)
    assert found["verdict"] == "reproduced"


@pytest.mark.parametrize(
    "missing",
    [
        {"protocol": "released"},
        {"recipe": "cider"},
        {"instance": "vim"},
        {"target": "set:isun"},
        {"target": "group:far"},
    ],
)
def test_a_value_that_was_not_run_says_so(missing):
    table = made(value(**missing))
    found = cells(table)
    assert (found["verdict"], found["difference"]) == ("not run (a)", "")
    assert any(note.startswith("(a) no run under the") for note in table.notes)


def test_id_accuracy_is_taken_without_a_score():
    table = made(value(instance="", score="", target="id:test", metric="accuracy", rule="classifier", value=0.8))
    assert cells(table)["verdict"] == "reproduced"
    assert table.rows == [("PALM", "", "Somebody, Table 1 (author)", "Tiny", "Accuracy")]


def test_the_interval_of_ours_is_students_over_seeds():
    found = cells(made(value()))
    half = 12.7062047364 * math.sqrt(0.005 / 2)
    assert found["interval"] == f"{100 * (0.55 - half):.2f} to {100 * (0.55 + half):.2f}"
    assert cells(made(value(), runs=RUNS[:1]))["interval"] == ""


def test_methods_without_published_values_and_values_without_method_are_named():
    notes = made(value(), not_offered=7, unpublished=["ADAPT", "EDGE"]).notes
    assert "7 more values are of methods or scores that are not offered here." in notes
    assert "No published value is known of: ADAPT, EDGE." in notes


def test_a_table_without_any_published_value_is_refused():
    with pytest.raises(ReproError, match="no published value concerns its benchmark"):
        made()


def test_readers_see_the_mark_and_machines_the_reason(tmp_path):
    table = made(value(reasons=["other images"]))
    assert "| not comparable (a) |" in to_markdown(table)
    assert "| other images" not in to_markdown(table)
    (tmp_path / "t.csv").write_text(to_csv(table), encoding="utf-8")
    (row,) = csv.DictReader((tmp_path / "t.csv").open(encoding="utf-8"))
    assert (row["verdict"], row["reason"], row["published:mean"]) == ("not comparable (a)", "other images", "0.55")
    assert (row["method"], row["ood set"], row["metric"]) == ("PALM", "Tiny", "FPR95")


# What forbids a comparison, on the papers of the project


@pytest.fixture(scope="module")
def adapt():
    return load_study({"papers": ["adapt"], "seeds": [0], "protocols": ["corrected", "released"]})


def rows_of(study, paper, table):
    return outputs.table_settings(study, paper, study.papers[paper]["tables"][table])["published"]


def reasons(rows, **wanted):
    found = [row for row in rows if all(row[key] == text for key, text in wanted.items())]
    assert found
    return {reason for row in found for reason in row["reasons"]}


def test_values_measured_as_here_can_be_compared(adapt):
    rows = rows_of(adapt, "adapt", "published-cifar100-r34")
    source = "CIDER, table 1 as reprinted by palm (quoted)"
    assert reasons(rows, source=source) == set()
    own = [row for row in rows if row["source"] == source]
    assert len(own) == 12
    assert {row["protocol"] for row in own} == {"released"}
    average = [row for row in own if row["ood"] == "average"]
    assert {(row["target"], row["rule"]) for row in average} == {
        ("group:palm_five", "closest"),
        ("group:palm_five", ""),
    }


def test_palms_rule_of_fpr_and_its_squeezed_sets(adapt):
    rows = rows_of(adapt, "adapt", "published-cifar100-r34")
    source = "PALM, table 1 (author)"
    assert reasons(rows, source=source, method="PALM", ood="SVHN") == set()
    assert reasons(rows, source=source, ood="Textures") == {"Textures is squeezed to a square there, cropped here"}
    assert {row["rule"] for row in rows if row["source"] == source and row["metric"] == "fpr95"} == {"percentile"}


def test_openood_has_other_id_images_and_counts_ood_as_positive(adapt):
    rows = rows_of(adapt, "adapt", "published-cifar100-r18")
    source = "OpenOOD v1.5, leaderboard (author)"
    found = reasons(rows, source=source)
    assert "the ID images tested there are test_cifar100 (9,000 images), here test" in found
    assert "the images of that average are lists of its own" in found
    assert adapt.benchmarks["cifar100-r18"]["network"]["blocks"] == [2, 2, 2, 2]


def test_a_value_stands_at_the_benchmark_with_its_network_alone(adapt):
    narrow, deep = (rows_of(adapt, "adapt", f"published-cifar100-{name}") for name in ("r18", "r34"))
    assert not [row for row in deep if row["source"].startswith("OpenOOD")]
    assert not [row for row in narrow if row["source"].startswith("PALM")]


def test_of_adapt_and_edge_no_value_is_known(adapt):
    settings = outputs.table_settings(adapt, "adapt", adapt.papers["adapt"]["tables"]["published-cifar100-r34"])
    assert "ADAPT" in settings["unpublished"]
    assert not [row for row in settings["published"] if row["recipe"].startswith("adapt")]
    for name in ("adapt", "edge"):
        assert not {row["method"] for row in library(name).values} & {"adapt", "edge"}


def test_methods_of_other_papers_on_the_benchmark_are_not_told_of(tmp_path):
    """A table says nothing of what its own paper does not evaluate, whatever else the config names."""
    other = {
        "name": "other",
        "title": "Other",
        "benchmarks": {"cifar100-r34": {"use": "adapt"}},
        "recipes": {"palm": {"use": "adapt"}, "warm": {"extends": "palm", "label": "Warm", "epochs": 5}},
        "scores": {"knn7": {"score": "knn", "k": 7}},
        "evaluate": {"cifar100-r34": {"warm": ["knn7"]}},
    }
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(other))
    study = load_study({"papers": ["adapt", str(tmp_path / "other.yaml")], "seeds": [0]})
    table = study.papers["adapt"]["tables"]["published-cifar100-r34"]
    assert "Warm" not in outputs.table_settings(study, "adapt", table)["unpublished"]


def test_joint_energy_tested_on_images_whose_labels_are_hidden():
    study = load_study({"papers": ["edge"], "seeds": [0]})
    found = reasons(rows_of(study, "edge", "published-voc-densenet"), source="JointEnergy, main table (author)")
    assert "the ID images tested there are test (hidden labels), here val" in found
    other = reasons(rows_of(study, "edge", "published-voc"), source="SNoJoE, table b (author)")
    assert "another network there (resnet101)" in other


def test_a_subset_of_the_id_set_is_named_so(monkeypatch):
    monkeypatch.setattr("methods.settings.load.leave_out_what_is_absent", lambda study: None)
    study = load_study({"papers": ["voc_animals"], "seeds": [0]})
    rows = rows_of(study, "voc_animals", "published")
    assert "the ID set here is a subset of the one there" in reasons(rows)
    assert any("is a subset" in reason for reason in reasons(rows, source="SNoJoE, table b (author)", ood="Textures"))
    assert "trained there for 50 epochs, here for 8" in reasons(rows, source="JointEnergy, main table (author)")


# The files


def test_the_files_hold_every_row_of_the_collection_once():
    for name, count in (("adapt", 568), ("edge", 114)):
        rows = library(name).values
        assert len(rows) == count
        assert {row["status"] for row in rows} <= {"author", "secondary", "user_rerun"}
        assert all(row["source"] for row in rows)


def test_aliases_name_recipes_and_scores_that_a_paper_defines():
    study = load_study({"papers": ["adapt", "edge", "voc_animals"], "seeds": [0]})
    recipes = {name for paper in study.papers.values() for name in paper["recipes"]}
    for rows in library("adapt").aliases.values():
        for row in rows:
            assert row["recipe"] in recipes, row
            assert row["instance"] in {"", *study.scores}, row


@pytest.fixture
def own(tmp_path):
    """A copy of the folder that a test may spoil."""
    shutil.copytree(FOLDER, tmp_path / "published")
    return tmp_path / "published" / "edge.csv"


def test_a_file_of_ones_own_is_read_by_its_path(own):
    assert library_problems(str(own)) == []
    assert len(library(str(own)).values) == 114


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("43.53,author", "143.53,author", "value is '143.53', a number of 0 to 100 was expected"),
        ("43.53,author", "about 43,author", "value is 'about 43'"),
        ("43.53,author", "43.53,autor", "status is 'autor': did you mean 'author'?"),
        ("maxlogit,imagenet22k_subset,fpr95", "maxlogit,imagenet22,fpr95", "ood_set is 'imagenet22'"),
        ("coco2014,densenet121,bce,maxlogit", "coco2014,densenet,bce,maxlogit", "did you mean 'densenet121'?"),
        ("joint_energy,main_table", "jointenergy,main_table", "is not in sources.yaml, did you mean 'joint_energy'?"),
        ("paper,table,task", "paper,task", "has the columns"),
    ],
)
def test_a_wrong_row_is_told_with_its_line(own, old, new, words):
    text = own.read_text(encoding="utf-8")
    if old.startswith("paper"):
        old, new = "paper,table,", "paper,"
    assert old in text
    own.write_text(text.replace(old, new, 1), encoding="utf-8")
    (found, *_) = library_problems(str(own))
    assert words in found
    assert own.name in found


def test_a_row_given_twice_or_cut_short_is_told(own):
    text = own.read_text(encoding="utf-8")
    own.write_text(text + text.splitlines()[1] + "\n", encoding="utf-8")
    assert "line 116 says again what an earlier line says" in library_problems(str(own))[0]
    other = own.with_name("short.csv")
    other.write_text(",".join(COLUMNS) + "\njoint_energy,main_table\n", encoding="utf-8")
    assert "line 2 has not 11 fields" in library_problems(str(other))[0]


def test_a_missing_file_is_told():
    (found,) = library_problems("nobody")
    assert "nobody.csv does not exist: a table of published values reads it." in found


# Released against corrected


def protocol_runs():
    released = [
        ((m, "released", s), metrics_rows("adapt" if m == "palm" else "palm", s)) for m in ("palm",) for s in (0, 1)
    ]
    return [*RUNS, *released]


def test_both_protocols_stand_side_by_side_with_their_difference():
    runs = protocol_runs()
    table = protocols_table({**SETTINGS, "runs": [list(name) for name, _ in runs]}, runs)
    assert table.rows == [("PALM_100%", "MSP"), ("PALM_100%", "KNN (k=10)")]
    found = cells(table)
    three = [found[f"set:tin:fpr95:{name}"].mean for name in ("released", "corrected", "difference")]
    assert three == [pytest.approx(0.5), pytest.approx(0.55), pytest.approx(0.05)]
    assert found["set:isun:auroc:difference"] == ""
    assert "Under one protocol alone, and so not shown: ADAPT & co." in table.notes
    assert "Protocol: released and corrected" in table.caption


def test_the_table_of_protocols_is_made_where_the_config_has_both(adapt):
    entry = adapt.papers["adapt"]["tables"]["protocols"]
    assert outputs.possible(adapt, "adapt", entry)
    alone = load_study({"papers": ["adapt"], "seeds": [0], "protocols": ["corrected"]})
    assert not outputs.possible(alone, "adapt", entry)
