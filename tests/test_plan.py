"""What a plan says before anything starts, held against what a run then takes; and why a dry run lists its jobs."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from methods.errors import ReproError
from methods.settings.load import load_study
from methods.settings.study import Run
from tests.workflow import EVALUATION, PAPER, TABLE, arguments, environment, launch, write_inputs
from workflow_scripts.lines.remaining import DURATIONS
from workflow_scripts.planning import hours, report, sizes

RUN = {"benchmark": "digits", "method": "plain", "protocol": "corrected", "seed": "0"}


def plan(folder, *more):
    command = [sys.executable, "-m", "workflow_scripts.plan", *arguments(*more)]
    done = subprocess.run(command, cwd=folder, env=environment(), capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """(folder of a finished run, plan before it, what it printed)."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder)
    before = plan(folder, TABLE, "--rate", "plain=1000")
    assert not (folder / "data").exists()
    done = launch(folder, TABLE)
    assert done.returncode == 0, done.stdout
    return folder, before, done.stdout


@pytest.fixture
def study(tmp_path, monkeypatch):
    """The small paper's study, with its results folder in a folder of its own."""
    monkeypatch.chdir(tmp_path)
    write_inputs(tmp_path)
    return load_study(yaml.safe_load(Path("config.yaml").read_text()))


@pytest.mark.workflow
def test_a_plan_counts_jobs_and_trainings_and_starts_nothing(finished):
    _, before, printed = finished
    jobs = int(before.split(" jobs, of which 0 would claim a GPU:")[0])
    assert f"{jobs} jobs to run" in printed
    assert "       3 score\n" in before
    assert "1 x plain on digits: 1 epoch, 754 images with all views, 0.8 s at 1,000 images/s (stated)" in before
    assert "nothing to download" in before
    assert before.endswith("Nothing was started.\n")


@pytest.mark.workflow
@pytest.mark.parametrize(("kind", "place"), [("images", "data/images"), ("features", f"{EVALUATION}/features")])
def test_planned_sizes_are_within_a_few_percent_of_what_lies_on_the_disk(finished, kind, place):
    folder, before, _ = finished
    told = next(line.split(" files, ")[1] for line in before.splitlines() if line.startswith(f"  {kind}: "))
    number, unit = told.split()
    actual = sum(path.stat().st_size for path in (folder / place).rglob("*.h5"))
    assert float(number) * {"kB": 1e3, "MB": 1e6}[unit] == pytest.approx(actual, rel=0.06)


@pytest.mark.workflow
def test_every_job_of_a_run_has_its_line(finished):
    folder, _, printed = finished
    total = int(printed.split(" jobs to run")[0].rsplit("\n", 1)[1])
    lines = [line for line in printed.splitlines() if line.startswith("[")]
    assert len(lines) == total
    assert any("] " in line and "train plain on digits, seed 0 (corrected): " in line for line in lines)
    assert f"all {total} jobs done in" in printed
    assert "Traceback" not in printed
    assert json.loads((folder / DURATIONS).read_text())["train"]["digits"] > 0


@pytest.mark.workflow
def test_a_dry_run_names_the_key_and_the_module_that_changed(finished, tmp_path):
    folder = tmp_path / "copy"
    shutil.copytree(finished[0], folder)
    code = folder / ".snakemake" / "ood-repro.code.json"
    recorded = json.loads(code.read_text())
    changed = {**PAPER, "scores": {**PAPER["scores"], "knn": {"score": "knn", "k": 7}}}
    (folder / "paper.yaml").write_text(yaml.safe_dump(changed, sort_keys=False))
    listed = launch(folder, TABLE, "-n").stdout
    assert "fit the detectors of plain on digits, seed 0: settings: knn.k 5 -> 7\n" in listed
    assert "evaluate plain on digits, seed 0: made anew before it: " in listed
    assert "train plain" not in listed
    assert "6 jobs would run: 1 evaluate, 1 fit_scores, 1 make_table, 3 score" in listed
    assert any("methods.scores.knn" in modules for modules in recorded.values())


def test_rates_are_taken_out_of_the_arguments():
    assert hours.rates(["adapt", "--rate", "900", "-n", "--rate", "palm=1.5"]) == (
        {"": 900.0, "palm": 1.5},
        ["adapt", "-n"],
    )
    for text in ("fast", "adapt=", "adapt=-1", "0"):
        with pytest.raises(ReproError, match="images a second as a number"):
            hours.rates(["--rate", text])


def cost(run, rate, device="CPU x86_64"):
    folder = Path("results/runs") / run.benchmark / run.method / run.protocol / f"seed{run.seed}"
    folder.mkdir(parents=True)
    (folder / "cost.csv").write_text(f"seconds,images_per_second,device\n1,{rate},{device}\n")


def test_hours_of_a_training_come_from_finished_seeds_of_the_same_method(study):
    run = Run("digits", "plain", "corrected", 0)
    assert hours.trainings(study, [run], {})[0].hours is None
    cost(run, 754)
    (found,) = hours.trainings(study, [run, Run("digits", "plain", "corrected", 1)], {})
    assert found.hours == pytest.approx(2 * 1 / 3600)
    assert found.rate.source == "measured on CPU x86_64"
    assert hours.trainings(study, [run], {"plain": 377})[0].hours == pytest.approx(2 / 3600)


def test_another_objective_tells_nothing_about_the_speed_of_a_training(study):
    adapt = {"label": "A", "objective": {"name": "adapt"}, "projector": {"hidden": 8, "dimension": 4}}
    study.recipes["other", "digits"] = {**study.recipes["plain", "digits"], **adapt, "switches": {}}
    study.evaluate["digits"]["other"] = ["knn"]
    cost(Run("digits", "plain", "corrected", 0), 754)
    (found,) = hours.trainings(study, [Run("digits", "other", "corrected", 0)], {})
    assert found.hours is None
    assert found.images == 2 * 754


def test_the_same_work_under_another_name_is_as_fast(study):
    study.recipes["twin", "digits"] = study.recipes["plain", "digits"] | {"label": "Twin"}
    study.evaluate["digits"]["twin"] = ["knn"]
    cost(Run("digits", "plain", "corrected", 0), 754)
    assert hours.trainings(study, [Run("digits", "twin", "corrected", 0)], {})[0].hours == pytest.approx(1 / 3600)


def test_a_rate_stated_for_one_benchmark_holds_for_the_same_work_there_alone(study):
    study.recipes["twin", "digits"] = study.recipes["plain", "digits"] | {"label": "Twin"}
    study.evaluate["digits"]["twin"] = ["knn"]
    twin = [Run("digits", "twin", "corrected", 0)]
    assert hours.trainings(study, twin, {"digits/plain": 754.0})[0].hours == pytest.approx(1 / 3600)
    assert hours.trainings(study, twin, {"plain": 754.0, "other/plain": 1.0})[0].hours is None


def test_features_are_counted_in_whole_chunks_with_every_array(study):
    assert sizes.shapes(study, sizes.run_of(RUN))["row"] == 8 + 7
    wide = sizes.features(study, {**RUN, "dataset": "digits", "split": "train"})
    assert wide == pytest.approx(1024 * 15 * 4 + 754 * 24, abs=12000)


def test_a_head_of_two_layers_and_a_projector_add_their_arrays(study):
    recipe = study.recipes["plain", "digits"]
    recipe |= {"head": {"kind": "two_layer", "hidden": 20}, "projector": {"hidden": 9, "dimension": 5}}
    assert sizes.shapes(study, sizes.run_of(RUN))["row"] == 20 + 7 + 5 + 8


def test_snapshots_count_in_the_size_of_a_model_file(study):
    alone = sizes.model(study, RUN)
    study.recipes["plain", "digits"]["snapshots"] = [1, 2]
    assert sizes.model(study, RUN) == 3 * alone


def job(rule, output="none.h5", **wildcards):
    return {"rule_name": rule, "wildcards": wildcards, "output": [output], "gpu": 1, "threads": 1, "reason": ""}


def told(study, *jobs, stated=(), recorded=()):
    return "\n".join(report.plan_lines(study, jobs, dict(stated), dict(recorded)))


def test_what_nobody_knows_is_said_to_be_unknown(study):
    study.catalog["digits"]["splits"]["test"] = {**study.catalog["digits"]["splits"]["test"], "count": None}
    text = told(
        study,
        job("train", **RUN),
        job("extract_features", **RUN, dataset="digits", split="test"),
        job("prepare_images", dataset="digits", split="train", render="224px-short_side"),
    )
    assert "time unknown\n  how long they take is unknown here: state the images a second" in text
    assert "features: 1 file, unknown for 1\n" in text
    assert "images: 1 file, unknown for 1\n" in text
    assert "2 other jobs: not timed yet" in text


def test_a_finished_target_has_nothing_to_plan(study):
    assert told(study) == "Nothing to do: all files are there and up to date."


def test_downloads_are_counted_with_what_is_known_of_their_size(study):
    cifar = job("fetch_archive", dataset="cifar100", file="cifar-100-python.tar.gz")
    assert "to download: 1 file, 169 MB\n" in told(study, cifar)
    study.config["offline"] = True
    assert "to bring, for offline is set: 1 file, 169 MB\n" in told(study, cifar)


def test_a_disk_that_is_too_small_is_told_before_anything_starts(study, monkeypatch):
    cifar = job("fetch_archive", dataset="cifar100", file="cifar-100-python.tar.gz")
    monkeypatch.setattr(report.shutil, "disk_usage", lambda place: shutil._ntuple_diskusage(10**9, 0, 10**8))
    assert "NOT ENOUGH ROOM: data lacks 69 MB" in told(study, cifar)


def test_a_file_made_anew_takes_only_what_it_grows(study):
    Path("old.h5").write_bytes(bytes(50000))
    part = {"dataset": "digits", "split": "test", "render": "8px-native"}
    fresh, again = (report.space(study, [job("prepare_images", name, **part)])[0].size for name in ("new.h5", "old.h5"))
    assert fresh - again == 50000


def test_other_jobs_are_timed_by_earlier_runs_on_the_same_benchmark(study):
    score = job("score", **RUN, dataset="digits", split="test")
    fit = job("fit_scores", **RUN)
    text = told(study, score, score, fit, recorded={"score": {"digits": 30.0}, "fit_scores": {"other": 5.0}})
    assert "3 other jobs: 1 min, one after the other, as earlier runs took; unknown for fit_scores" in text
