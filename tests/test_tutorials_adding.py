"""The tutorials that add a thing, carried out block by block: what they touch, what runs, and what they end with."""

import re

import pytest

from methods import registry
from methods.csv_file import read_csv
from methods.errors import ReproError
from methods.files import sha256_file
from tests import tutorials

pytestmark = pytest.mark.workflow

MADE = {".venv", ".snakemake", "data", "results", "logs"}  # by runs, not by hand
ADDED_AND_CHANGED = {"add-a-method": (1, 1), "add-a-score": (1, 1), "add-a-dataset": (0, 2), "add-a-paper": (1, 1)}


@pytest.fixture(scope="module", params=sorted(ADDED_AND_CHANGED))
def followed(request, tmp_path_factory):
    """(page, project before, project after it)."""
    before = tutorials.finished_project(tmp_path_factory)
    return request.param, before, tutorials.go_on(request.param, tmp_path_factory, tmp_path_factory.mktemp("adding"))


def by_hand(root):
    """Path -> hash of the project's own files."""
    rooms = [path for path in root.iterdir() if path.name not in MADE]
    files = [path for room in rooms for path in ([room] if room.is_file() else room.rglob("*")) if path.is_file()]
    return {str(path.relative_to(root)): sha256_file(path) for path in files if "__pycache__" not in path.parts}


def results(root, *parts):
    """Path -> (hash, time of the last change) of what runs made below ``parts``."""
    paths = [path for part in parts for path in (root / part).rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): (sha256_file(path), path.stat().st_mtime_ns) for path in paths}


def test_one_file_and_one_entry_are_touched_as_the_page_says(followed):
    page, before, after = followed
    old, new = by_hand(before), by_hand(after)
    added, changed = sorted(new.keys() - old.keys()), sorted(name for name in old if new.get(name) != old[name])
    said = re.search(r"^Files added: (.*)\. Files changed: (.*)\.$", text_of(page), re.M)
    assert [sorted(re.findall(r"`(.+?)`", names)) for names in said.groups()] == [added, changed]
    assert (len(added), len(changed)) == ADDED_AND_CHANGED[page]


def text_of(page):
    return (tutorials.PAGES / f"{page}.md").read_text()


def test_models_and_features_that_were_there_are_left_alone(followed):
    _, before, after = followed
    old, new = (results(root, "results/runs", "data/images") for root in (before, after))
    kept = [name for name in old if re.search(r"model\.safetensors|history\.csv|/features/|data/images", name)]
    assert len(kept) > 10
    assert [name for name in kept if new.get(name) != old[name]] == []


def test_what_was_added_ends_in_a_table_and_a_figure(followed):
    page, _, root = followed
    paper = "temperature" if page == "add-a-paper" else "first"
    rows = read_csv(root / f"results/papers/{paper}/tables/main.csv")
    found = {f"{row['method']} {row['score']}": row for row in rows}
    if page == "add-a-method":
        assert float(found["Centre loss MSP"]["id:mean"]) > 0.9
        assert float(found["Centre loss KNN"]["set:digits_held_out:auroc:mean"]) > 0.8
    elif page == "add-a-score":
        assert float(found["Cross-entropy DML†"]["set:digits_held_out:auroc:mean"]) > 0.8
    elif page == "add-a-dataset":
        assert all(0 < float(row["set:letters:auroc:mean"]) <= 1 for row in rows)
    else:
        assert set(found) == {"SupCon KNN", "SupCon, τ = 0.5 KNN"}
        assert (root / "results/papers/temperature/figures/roc.pdf").stat().st_size > 1000


def trained(root):
    return {path.parent.parent.parent.name for path in (root / "results/runs").rglob("model.safetensors")}


def test_only_a_new_method_or_recipe_is_trained(followed):
    page, before, after = followed
    new = {"add-a-method": {"centre"}, "add-a-paper": {"contrastive-warm"}}
    assert trained(after) - trained(before) == new.get(page, set())


SCORE = """
RECORD = {record}
def score(features, fitted, parameters):
    return features.logits.max(axis=1)
"""
COMPLETE = {
    "title": "Mine",
    "paper": "mine",
    "tasks": ["single_label"],
    "needs": ["logits"],
    "parameters": {"power": {"type": "number", "default": 1.0, "description": "exponent"}},
}


def refusal(folder, monkeypatch, package, text):
    """What is said of a project with one module of ``package``."""
    path = folder.joinpath("methods", *package.split("."), "mine.py")
    path.parent.mkdir(parents=True)
    path.write_text(text)
    monkeypatch.setattr(registry, "ROOT", folder / "methods")
    with pytest.raises(ReproError) as refused:
        registry.records.__wrapped__(package)
    return str(refused.value)


def test_a_record_as_the_tutorial_has_it_is_taken(tmp_path, monkeypatch):
    (tmp_path / "methods/scores").mkdir(parents=True)
    (tmp_path / "methods/scores/mine.py").write_text(SCORE.format(record=COMPLETE))
    monkeypatch.setattr(registry, "ROOT", tmp_path / "methods")
    assert registry.records.__wrapped__("scores") == {"mine": COMPLETE}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"needs": None}, "The RECORD of methods/scores/mine.py lacks needs; it needs title, paper, tasks, needs"),
        ({"needs": ["logit"]}, "names 'logit' under needs, which may hold logits, embedding, projection"),
        ({"tasks": "single_label"}, "has 'single_label' under tasks, expected a list such as ['single_label']"),
        ({"tasks": ["single"]}, "names 'single' under tasks, which may hold single_label, multi_label."),
        ({"parameters": {"power": 2.0}}, "gives the parameter 'power' as 2.0, expected what it may be, such as"),
        ({"parameters": {"power": {"type": "float"}}}, "the parameter 'power' the type 'float', expected number"),
    ],
)
def test_a_mistake_in_a_record_is_told_with_the_file(tmp_path, monkeypatch, changes, message):
    record = {key: value for key, value in {**COMPLETE, **changes}.items() if value is not None}
    found = refusal(tmp_path, monkeypatch, "scores", SCORE.format(record=record))
    assert found.startswith("The RECORD of methods/scores/mine.py ")
    assert message in found


@pytest.mark.parametrize(
    ("package", "text", "message"),
    [
        (
            "scores",
            f"RECORD = {COMPLETE}",
            "methods/scores/mine.py has a RECORD, but no function score or network_score.",
        ),
        ("scores", "RECORD = dict(title='Mine')", "The RECORD of methods/scores/mine.py is no literal"),
        ("scores", "RECORD = {", "methods/scores/mine.py is no valid Python: line 1: "),
        (
            "objectives",
            "RECORD = {'title': 'Mine'}",
            "The RECORD of methods/objectives/mine.py lacks paper, tasks, views",
        ),
    ],
)
def test_a_module_that_is_no_part_is_told_with_what_it_lacks(tmp_path, monkeypatch, package, text, message):
    assert message in refusal(tmp_path, monkeypatch, package, text)
