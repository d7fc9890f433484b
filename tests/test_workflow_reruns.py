"""What runs again after a change: the jobs of a dry run, counted by rule; and taking over results and refactors."""

import fcntl
import os
import random
import re
import shutil
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import h5py
import pytest
import yaml

from methods import equivalent_code, source_digest
from methods.errors import ReproError
from methods.records import read_record
from methods.settings import digests
from methods.settings.load import load_study
from methods.settings.schema import load_yaml
from tests.rerun_folder import PUBLISHED, finished_copy, paper, planned, write_paper
from tests.workflow import EVALUATION, MODEL, ROOT, arguments, command, copy_project
from workflow_scripts import accept, adopt
from workflow_scripts.adoption import equivalence
from workflow_scripts.job import locked
from workflow_scripts.launch import OWNER_LOCK
from workflow_scripts.verification import bundle, evidence, hashes, judge

pytestmark = pytest.mark.workflow

# What follows from new scores of one run, from new features of all its sets, and from its new model
SCORED = {"fit_scores": 1, "score": 3, "evaluate": 1, "make_table": 2, "make_figure": 1, "make_report": 1}
EXTRACTED = {"extract_features": 4, **SCORED}
TRAINED = {"train": 1, **EXTRACTED, "extract_readout": 1, "make_figure": 2}


def of_both(jobs):
    """The same for both methods."""
    return {rule: count * (1 if rule.startswith("make_") else 2) for rule, count in jobs.items()}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which the paper of two methods was run to its end."""
    return finished_copy(tmp_path_factory)


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    """A copy of the code, which tests edit and put back."""
    root = copy_project(tmp_path_factory.mktemp("project"))
    (root / "README.md").write_text("Read me.\n")
    return root


@pytest.fixture
def folder(finished, tmp_path):
    """A copy of the finished folder with the times of the original."""
    return shutil.copytree(finished, tmp_path / "copy")


@contextmanager
def edited(*paths, more="", change=None):
    """Files with ``more`` at their end, or changed by a function of their text; put back afterwards."""
    before = {path: path.read_text() for path in paths}
    for path, text in before.items():
        path.write_text(change(text) if change else text + more)
    yield
    for path, text in before.items():
        path.write_text(text)


# Code


@pytest.mark.parametrize(
    ("path", "jobs"),
    [
        ("methods/objectives/adapt.py", TRAINED),
        ("methods/scores/knn.py", SCORED),
        ("methods/reporting/figures/training_curves.py", {"make_figure": 1, "make_report": 1}),
        ("methods/networks/cifar_resnet.py", of_both(TRAINED)),
        ("methods/training/fit.py", of_both(TRAINED)),
        ("workflow_scripts/network.py", of_both(EXTRACTED)),
    ],
    ids=["a loss", "a score", "a kind of figure", "a network", "the engine", "what scripts share"],
)
def test_edited_code_reruns_what_it_shapes_and_nothing_else(finished, project, path, jobs):
    with edited(project / path, more="\nNEW = 1\n"):
        assert planned(finished, root=project) == jobs


def test_comments_layout_and_docs_rerun_nothing(finished, project):
    code = [path for room in ("methods", "workflow_scripts") for path in (project / room).rglob("*.py")]
    patterns = ("*/*.smk", "Snakefile", "README.md", "*.yaml", "*/*.yaml")
    rest = [path for pattern in patterns for path in project.glob(pattern)]
    own = [finished / "paper.yaml", finished / "config.yaml"]
    full = [path for path in code if path.stat().st_size > 20]
    with edited(*code, *rest, *own, more="\n\n\n# A comment.\n"), edited(*full, more='"""Words that stand alone."""\n'):
        assert planned(finished, root=project) == {}


def test_recording_hardware_and_sets_that_nobody_uses_rerun_nothing(finished, project):
    recording = [project / f"methods/{name}.py" for name in ("provenance", "progress", "errors", "files")]
    scripts = [project / f"workflow_scripts/{name}.py" for name in ("job", "launch", "show")]
    catalog = project / "resources/datasets.yaml"
    hardware = yaml.safe_dump({"extraction_batch": 7, "checkpoint_seconds": 1}, default_flow_style=True).strip()
    with edited(*recording, *scripts, more="\nNEW = 1\n"), edited(catalog, change=other_textures):
        assert planned(finished, "--config", f"hardware={hardware}", root=project) == {}


def other_textures(text):
    """The catalog with another reader setting of a set that the paper does not read."""
    document = yaml.safe_load(text)
    document["datasets"]["textures"]["title"] = "Other textures"
    return yaml.safe_dump(document, sort_keys=False)


# Papers and config


def test_a_changed_recipe_value_trains_that_recipe_alone(folder):
    recipes = paper()["recipes"]
    recipes["adapt"]["epochs"] = 2
    write_paper(folder, recipes=recipes)
    assert planned(folder) == TRAINED


def test_a_changed_label_redraws_what_shows_it_and_trains_nothing(folder):
    recipes = paper()["recipes"]
    recipes["plain"]["label"] = "Simple"
    write_paper(folder, recipes=recipes)
    assert planned(folder) == {"make_table": 2, "make_figure": 2, "make_report": 1}


def test_a_changed_value_of_a_score_fits_and_scores_the_runs_that_use_it(folder):
    scores = paper()["scores"]
    scores["knn"]["k"] = 7
    write_paper(folder, scores=scores)
    assert planned(folder) == SCORED


def test_a_published_value_redraws_the_table_that_shows_it(folder):
    path = folder / "published/own.csv"
    path.write_text(PUBLISHED["own.csv"].replace("70.0", "71.0"))
    assert planned(folder) == {"make_table": 1, "make_report": 1}


def test_a_new_seed_trains_only_that_seed(folder):
    assert planned(folder, "--config", "seeds=[0, 1]") == {
        **of_both(TRAINED),
        "make_figure": 1,  # curves show the first seed
    }


def test_a_new_ood_set_is_prepared_extracted_and_scored_alone(folder):
    benchmarks = paper()["benchmarks"]
    benchmarks["digits"]["ood"]["photo_patches"] = {"groups": ["far"]}
    write_paper(folder, benchmarks=benchmarks)
    files = {"fetch_archive": 2, "prepare_images": 1}
    shown = {"evaluate": 2, "make_table": 2, "make_figure": 1, "make_report": 1}
    assert planned(folder) == {**files, "extract_features": 2, "score": 2, **shown}


# Adopting copied results


def copied(finished, place):
    """A copy as another machine gets it: no memory of Snakemake, and times that say nothing."""
    shutil.copytree(finished, place, ignore=shutil.ignore_patterns(".snakemake", "logs"))
    chance = random.Random(0)
    for path in sorted(place.rglob("*")):
        time = chance.uniform(1.5e9, 1.9e9)  # also in the future
        os.utime(path, (time, time))
    return place


def adopted(folder, *more, root):
    """What adopting prints: rule -> adopted, must rerun, missing; and the lines about files."""
    done = command("workflow_scripts.adopt", folder, "micro", *more, *arguments(root=root), root=root)
    assert done.returncode == 0, done.stdout
    lines = done.stdout.partition("must rerun    missing\n")[2].splitlines()
    rows = [line.split() for line in lines if re.fullmatch(r"\w+( +\d+){3}", line)]
    return {row[0]: tuple(map(int, row[1:])) for row in rows}, [line for line in lines if ": " in line]


def test_copied_results_are_adopted_whole_and_nothing_runs_again(finished, project, tmp_path):
    folder = copied(finished, tmp_path / "copy")
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert planned(folder, root=project) != {}
    counts, lines = adopted(folder, root=project)
    assert lines == []
    assert counts["train"] == (2, 0, 0)
    assert {row[1:] for row in counts.values()} == {(0, 0)}
    assert planned(folder, root=project) == {}
    assert all(path.read_bytes() == content for path, content in before.items())


def test_what_does_not_agree_is_named_and_runs_again_with_what_follows(finished, project, tmp_path):
    folder = copied(finished, tmp_path / "copy")
    tampered = f"{EVALUATION}/scores/uniform_noise/test.h5"
    with h5py.File(folder / tampered, "r+") as file:
        file["scores/msp"][0] += 0.25
    scores = f"{EVALUATION}/scores/digits_held_out/test.h5".replace("plain", "adapt")
    with h5py.File(folder / scores, "r+") as file:
        file.attrs["provenance"] = file.attrs["provenance"].replace('"source_digest": "', '"source_digest": "0')
    hashes.keep_hashes([folder / scores], [folder / "results"])
    curves = paper()["figures"]["curves"] | {"caption": "Others"}
    write_paper(folder, figures={**paper()["figures"], "curves": curves})
    counts, lines = adopted(folder, root=project)
    said = {line.partition(": ")[0]: line.partition(": ")[2] for line in lines}
    assert said[tampered].startswith("hash of test.h5 does not match its record (")
    assert said[scores].startswith("code differs (digest 0")
    assert said["results/papers/micro/figures/curves.svg"] == 'settings differ: caption is "Curves", expected "Others"'
    again = {"score": 2, "evaluate": 2, "make_table": 2, "make_figure": 2, "make_report": 1}
    assert {rule: row[1] for rule, row in counts.items() if row[1]} == again
    reader = f"{EVALUATION}/metrics.csv".replace("plain", "adapt")  # read the scores before they were changed
    assert said[reader] == f"made from another ood_scores_0 than {scores}"
    assert len(said) == 4
    assert planned(folder, root=project) == again


def test_adopting_is_refused_beside_a_living_snakemake(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with locked(OWNER_LOCK, fcntl.LOCK_SH):
        assert adopt.main(["micro"]) == 1
    assert "Another Snakemake is at work in this folder" in capsys.readouterr().err


# Accepting refactors


def test_an_accepted_refactor_runs_nothing_until_the_code_changes_again(finished, project):
    options = ("--configfile", "config.yaml")
    listed, loss = project / "resources/equivalent_code.yaml", project / "methods/objectives/adapt.py"
    with edited(loss, more="\nNEW = 1\n"):
        done = command("workflow_scripts.accept", finished, "only a name was added", *options, root=project)
        assert "stands for" in done.stdout, done.stdout
        (entry,) = yaml.safe_load(listed.read_text())
        assert (entry["reason"], entry["concerns"]) == ("only a name was added", "model of digits/adapt (1 file)")
        assert planned(finished, root=project) == {}
        with edited(loss, more="\nNEWER = 1\n"):
            assert planned(finished, root=project) == TRAINED
            command("workflow_scripts.accept", finished, "and another", *options, root=project)
            first, second = yaml.safe_load(listed.read_text())
            assert (first, second["same_as"]) == (entry, entry["same_as"])
            done = command("workflow_scripts.verification", finished, "verify", *options, root=project)
            assert done.returncode == 0, done.stdout
            assert "Code recorded as equivalent: model of digits/adapt (1 file): and another" in done.stdout
    listed.unlink()


@pytest.fixture
def inside(finished, tmp_path, monkeypatch):
    """The finished folder, in which this process works; what it accepts is written elsewhere."""
    monkeypatch.chdir(finished)
    for module in (accept, equivalence, source_digest, judge, evidence):
        monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(source_digest, "_path", partial(_module_path, ROOT))
    (tmp_path / "resources").mkdir()
    return tmp_path


def _module_path(root, name):
    path = root.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def accepted(root):
    return [(entry.code[0], entry.same_as) for entry in equivalent_code.entries(root)]


def train_digest(monkeypatch, *letters, root):
    """Trainings, by method, have digests of these letters, answered as all digests are."""
    found = {method: 64 * letter for method, letter in zip(("plain", "adapt"), letters, strict=True)}
    answer = lambda study, run: equivalent_code.standing_for(found[run.method], root)  # noqa: E731
    monkeypatch.setattr(digests, "train_digest", answer)


def recorded(method):
    return read_record(Path(MODEL.replace("plain", method)), "safetensors")["source_digest"]


def test_accepting_needs_a_reason_writes_once_and_is_taken_back_by_deleting_an_entry(inside, monkeypatch, capsys):
    options = ["--configfile", "config.yaml"]
    with pytest.raises(ReproError, match="Nothing is accepted without a reason"):
        accept.main([" ", *options])
    accept.main(["no change", *options])
    assert "Nothing to accept" in capsys.readouterr().out
    train_digest(monkeypatch, "b", "c", root=inside)
    accept.main(["tidied", *options, "--dry-run"])
    accept.main(["tidied", *options, "--only", "metrics", "features"])
    assert accepted(inside) == []
    for _ in range(2):
        accept.main(["tidied", *options])
        assert accepted(inside) == [("c", recorded("adapt")), ("b", recorded("plain"))]
    study, path = load_study(load_yaml(Path("config.yaml"))), inside / "bundle.zip"
    bundle.pack(study, "micro", path, lambda line: None)
    assert b"tidied" in bundle.read_bundle(path)[bundle.EQUIVALENT]
    equivalent_code.write_entries(equivalent_code.entries(inside)[1:], inside)
    capsys.readouterr()
    accept.main(["tidied", *options, "--dry-run"])
    assert "cccccccccccc stands for" in capsys.readouterr().out


def test_settings_that_differ_as_well_are_refused_and_the_digest_of_equal_ones_accepted(inside, monkeypatch, capsys):
    recipes = paper()["recipes"]
    recipes["adapt"]["epochs"] = 2
    (inside / "config.yaml").write_text(
        Path("config.yaml").read_text().replace("paper.yaml", str(inside / "paper.yaml"))
    )
    (inside / "paper.yaml").write_text(yaml.safe_dump(paper(recipes=recipes), sort_keys=False))
    train_digest(monkeypatch, "b", "c", root=inside)
    accept.main(["tidied", "--configfile", str(inside / "config.yaml"), "--only", "model"])
    assert accepted(inside) == [("b", recorded("plain"))]
    refused = MODEL.replace("plain", "adapt")
    assert (
        f"Not accepted: model: {refused}: settings differ as well: epochs is 1, expected 2" in capsys.readouterr().out
    )


def test_one_code_for_two_older_ones_asks_which_it_was_refactored_from(inside, monkeypatch):
    options = ["--configfile", "config.yaml", "--only", "model"]
    train_digest(monkeypatch, "b", "b", root=inside)
    with pytest.raises(ReproError, match="cannot stand for several older digests") as refusal:
        accept.main(["tidied", *options])
    assert recorded("plain")[:12] in str(refusal.value)
    accept.main(["tidied", *options, "--from", recorded("adapt")[:8]])
    assert accepted(inside) == [("b", recorded("adapt"))]
