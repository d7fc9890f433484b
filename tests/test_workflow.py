"""The chain through Snakemake: complete, idempotent, precise in its reruns, clear about bad input."""

import copy
import re
import shutil

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import save_file

from methods.csv_file import read_csv
from tests.workflow import EVALUATION, MODEL, PAPER, TABLE, snakemake, write_inputs

pytestmark = pytest.mark.workflow


@pytest.fixture(scope="module")
def finished(micro_run, tmp_path_factory):
    """A folder in which the micro paper was run to the end."""
    return shutil.copytree(micro_run, tmp_path_factory.mktemp("workflow") / "finished")


@pytest.fixture
def folder(finished, tmp_path):
    """A copy with the times of the original."""
    return shutil.copytree(finished, tmp_path / "copy")


def planned(folder, *more):
    """Rule -> number of jobs that a dry run would start."""
    done = snakemake(folder, "micro", "-n", *more)
    assert done.returncode == 0, done.stdout
    table = done.stdout.rpartition("Job stats:")[2]
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", table, flags=re.M)}


def changed(**parts):
    return {**copy.deepcopy(PAPER), **parts}


def test_a_run_leaves_tables_figures_and_report(finished):
    rows = read_csv(finished / TABLE)
    assert [(row["method"], row["score"]) for row in rows] == [("Plain", "msp"), ("Plain", "knn")]
    assert all(0 <= float(row["set:digits_held_out:auroc:mean"]) <= 1 for row in rows)
    assert (finished / "results/papers/micro/figures/curves.svg").read_text().startswith("<?xml")
    assert "environment" in (finished / "results/papers/micro/report.html").read_text()


def test_a_finished_run_has_nothing_to_do(finished):
    done = snakemake(finished, "micro")
    assert done.returncode == 0
    assert "Nothing to be done" in done.stdout


def test_targets_by_kind_are_part_of_the_same_run(finished):
    for target in ("all", "datasets", "tables", "figures"):
        assert "Nothing to be done" in snakemake(finished, target).stdout


def test_every_artifact_leaves_a_log_with_its_time(finished):
    logs = list((finished / "logs").rglob("*.log"))
    assert len(logs) > 10
    assert all("done in" in log.read_text() for log in logs)


def test_sets_that_one_process_made_equal_one_that_was_extracted_alone(finished, folder):
    logs = "".join(path.read_text() for path in (finished / "logs/extract_features").rglob("*.log"))
    name = f"{EVALUATION}/features/uniform_noise/test.h5"
    assert "made ahead of its job" in logs
    (folder / name).unlink()
    assert snakemake(folder, name).returncode == 0
    assert (folder / name).read_bytes() == (finished / name).read_bytes()


def test_no_temporary_file_is_left(finished):
    assert not list(finished.glob("results/**/.*.tmp"))
    assert not list(finished.glob("results/**/.*.ahead"))
    assert not list(finished.glob("data/**/.*.tmp"))
    assert not (finished / "results/resume").exists() or not list((finished / "results/resume").iterdir())


def test_a_changed_label_redraws_the_table_and_trains_nothing(folder):
    recipes = copy.deepcopy(PAPER["recipes"])
    recipes["plain"]["label"] = "Simple"
    write_inputs(folder, changed(recipes=recipes))
    jobs = planned(folder)
    assert jobs["make_table"] == 1
    assert not {"train", "extract_features", "score", "evaluate"} & set(jobs)


def test_a_changed_recipe_value_trains_again(folder):
    recipes = copy.deepcopy(PAPER["recipes"])
    recipes["plain"]["epochs"] = 2
    write_inputs(folder, changed(recipes=recipes))
    assert planned(folder)["train"] == 1


def test_a_new_seed_trains_only_that_seed(folder):
    write_inputs(folder, seeds=[0, 1])
    jobs = planned(folder)
    assert (jobs["train"], jobs["extract_features"], jobs["score"]) == (1, 4, 3)


def test_seeds_can_be_given_on_the_command_line(folder):
    assert planned(folder, "--config", "seeds=[0, 3]")["train"] == 1


def test_the_model_of_another_seed_is_refused(folder):
    write_inputs(folder, seeds=[0, 1])
    assert snakemake(folder, MODEL.replace("seed0", "seed1")).returncode == 0
    shutil.copy(folder / MODEL.replace("seed0", "seed1"), folder / MODEL)
    write_inputs(folder)
    failing(folder, f"{EVALUATION}/features/digits/test.h5", "under other settings or another seed (seed 1)")


def test_an_edited_metrics_file_is_refused(folder):
    path = folder / EVALUATION / "metrics.csv"
    path.write_text(path.read_text().replace("0.", "0.9", 1))
    failing(folder, TABLE, "was changed after it was made")


def test_a_figure_whose_sets_cannot_be_had_is_left_out(folder):
    roc = {"kind": "roc_curves", "benchmark": "digits", "caption": "ROC", "sets": ["uniform_noise"]}
    write_inputs(folder, changed(figures={"roc": roc}), datasets={"unavailable": ["uniform_noise"]})
    assert "make_figure" not in planned(folder)


def test_a_new_ood_set_is_extracted_and_scored_alone(folder):
    benchmarks = copy.deepcopy(PAPER["benchmarks"])
    benchmarks["digits"]["ood"]["photo_patches"] = {"groups": ["far"]}
    write_inputs(folder, changed(benchmarks=benchmarks))
    jobs = planned(folder)
    assert (jobs["prepare_images"], jobs["extract_features"], jobs["score"]) == (1, 1, 1)
    assert not {"train", "fit_scores"} & set(jobs)


def test_an_unavailable_set_leaves_the_run_and_marks_the_table(folder):
    write_inputs(folder, datasets={"unavailable": ["uniform_noise"]})
    assert snakemake(folder, "micro").returncode == 0
    row = read_csv(folder / TABLE)[0]
    assert row["set:uniform_noise:auroc:mean"] == "n/a"
    assert row["group:far:auroc:mean"] == "0 of 1"
    assert float(row["group:near:auroc:mean"]) > 0


def test_hardware_settings_cause_no_rerun(folder):
    write_inputs(folder, hardware={"device": "cpu", "extraction_batch": 7, "checkpoint_seconds": 1})
    assert "Nothing to be done" in snakemake(folder, "micro").stdout


def failing(folder, output, *fragments):
    """Run a folder that must fail: exit code, the sentence on the terminal and in a log, no output."""
    done = snakemake(folder, output)  # alone: a failure elsewhere would keep its job from starting
    assert done.returncode != 0
    logs = "\n".join(path.read_text() for path in (folder / "logs").rglob("*.log"))
    for fragment in fragments:
        assert fragment in done.stdout, done.stdout
        assert fragment in logs
    assert not (folder / output).exists()


def test_a_truncated_feature_file_is_named(folder):
    path = folder / EVALUATION / "features/uniform_noise/test.h5"
    path.write_bytes(path.read_bytes()[:2000])
    failing(folder, f"{EVALUATION}/scores/uniform_noise/test.h5", "features/uniform_noise/test.h5", "truncated")


def test_features_of_another_model_are_refused(folder):
    import h5py

    path = folder / EVALUATION / "features/uniform_noise/test.h5"
    with h5py.File(path, "r+") as file:
        text = file.attrs["provenance"]
        digest = re.search(r'"model": "([0-9a-f]+)"', text)[1]
        file.attrs["provenance"] = text.replace(digest, "0" * 64)
    failing(folder, f"{EVALUATION}/scores/uniform_noise/test.h5", "do not come from the same model")


def test_a_model_file_of_another_network_is_refused(folder):
    path = folder / MODEL
    with safe_open(path, "np") as file:
        tensors, record = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    save_file(tensors, path, metadata={"provenance": record["provenance"].replace('"widths": [8]', '"widths": [16]')})
    failing(folder, f"{EVALUATION}/features/digits/test.h5", "is from another network")


def test_nan_weights_stop_the_extraction(folder):
    path = folder / MODEL
    with safe_open(path, "np") as file:
        tensors, record = {name: file.get_tensor(name) for name in file.keys()}, file.metadata()  # noqa: SIM118
    tensors["head.classifier.bias"][:] = np.nan
    save_file(tensors, path, metadata=record)
    failing(folder, f"{EVALUATION}/features/digits/test.h5", "NaN or infinite")


def test_a_diverging_training_names_its_step_and_leaves_no_model(folder):
    recipes = copy.deepcopy(PAPER["recipes"])
    recipes["plain"]["optimiser"]["learning_rate"] = 1.0e30
    write_inputs(folder, changed(recipes=recipes))
    failing(folder, MODEL, "NaN or infinite at step")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"evaluate": {"digits": {"plian": ["msp"]}}}, "did you mean 'plain'"),
        ({"scores": {"msp": {"score": "msq"}, "knn": {"score": "knn", "k": 5}}}, "did you mean 'msp'"),
        ({"tables": {"main": {"kind": "main", "benchmark": "digit", "caption": "x"}}}, "did you mean 'digits'"),
    ],
)
def test_a_wrong_name_stops_before_the_first_job(tmp_path, change, sentence):
    write_inputs(tmp_path, changed(**change))
    done = snakemake(tmp_path, "all")
    assert done.returncode != 0
    assert sentence in done.stdout
    assert not (tmp_path / "data").exists()
