"""Tuning through Snakemake: what is chosen reaches detectors, scores, metrics and the table, and reruns are precise."""

import copy
import json
import re
import shutil

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from methods.csv_file import read_csv
from methods.features.score_store import read_detectors, read_scores, read_tuned
from methods.features.store import read_features
from methods.scores.base import score_instances
from tests.workflow import EVALUATION, PAPER, TABLE, snakemake, write_inputs

pytestmark = pytest.mark.workflow

KS, TEMPERATURES = (1, 5, 60), (1, 1000)
SCORES = {
    "msp": {"score": "msp"},
    "knn": {"score": "knn", "k": 60, "label": "KNN", "tune": {"k": [*KS]}},
    "odin": {"score": "odin", "temperature": 1, "label": "ODIN & co", "tune": {"temperature": [*TEMPERATURES]}},
    **{f"knn{k}": {"score": "knn", "k": k} for k in KS},
    **{f"odin{t}": {"score": "odin", "temperature": t} for t in TEMPERATURES},
}
SETS = ("digits", "digits_held_out")
TUNED = f"{EVALUATION}/tuned.json"


def paper(scores=SCORES, ood_validation=("digits_blended",)):
    """The micro paper with these scores, all of them evaluated on one OOD set."""
    found = copy.deepcopy(PAPER)
    found["scores"], found["evaluate"] = copy.deepcopy(scores), {"digits": {"plain": list(scores)}}
    found["benchmarks"]["digits"]["ood_validation"] = {name: {} for name in ood_validation}
    del found["benchmarks"]["digits"]["ood"]["uniform_noise"]
    found["tables"]["main"]["groups"] = ["near"]
    return found


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which two scores were tuned, one through the network."""
    folder = tmp_path_factory.mktemp("finished")
    write_inputs(folder, paper())
    done = snakemake(folder, TABLE)
    assert done.returncode == 0, done.stdout
    return folder


@pytest.fixture
def folder(finished, tmp_path):
    """A copy with the times of the original."""
    return shutil.copytree(finished, tmp_path / "copy")


def planned(folder):
    """Rule -> number of jobs that a dry run would start."""
    done = snakemake(folder, TABLE, "-n")
    assert done.returncode == 0, done.stdout
    return {name: int(count) for name, count in re.findall(r"^(\w+)\s+(\d+)$", done.stdout, flags=re.M)}


def features(folder, dataset, split):
    return read_features(folder / EVALUATION / f"features/{dataset}/{split}.h5")[0]


def test_what_was_chosen_reaches_everything_that_follows(finished):
    choices, record = read_tuned(finished / TUNED)
    assert list(choices) == ["knn", "odin"]
    assert record["settings"]["parts"] == [["digits", "validation"], ["digits_blended", "validation"]]
    # Tried: the areas of a search by hand, on features of the validation images
    train = features(finished, "digits", "train")
    inside, outside = (features(finished, name, "validation") for name in ("digits", "digits_blended"))
    areas = []
    for k in KS:
        part = {"one": {"score": "knn", "k": k}}
        pair = [score_instances(part, one, {"one": {}}, train)["one"] for one in (inside, outside)]
        areas.append(roc_auc_score(np.repeat([1, 0], [len(one) for one in pair]), np.concatenate(pair)))
    assert [(t["k"], t["auroc"]) for t in choices["knn"]["tried"]] == [
        (k, pytest.approx(value, abs=1e-3)) for k, value in zip(KS, areas, strict=True)
    ]
    assert choices["knn"]["chosen"] == {"k": KS[int(np.argmax(areas))]}
    areas = [tried["auroc"] for tried in choices["odin"]["tried"]]
    assert len(set(areas)) == 2
    assert choices["odin"]["chosen"] == {"temperature": TEMPERATURES[int(np.argmax(areas))]}
    k, temperature = choices["knn"]["chosen"]["k"], choices["odin"]["chosen"]["temperature"]
    # Detectors say what was chosen, scores are those of the fixed instances, for every set
    _, origin = read_detectors(finished / EVALUATION / "detectors.h5", SCORES)
    assert origin["settings"]["knn"] == {"score": "knn", "k": k}
    assert origin["settings"]["odin"] == {"score": "odin", "noise": 0.0014, "temperature": temperature}
    for name in SETS:
        for kind, tuned, fixed in (("scores", "knn", f"knn{k}"), ("network_scores", "odin", f"odin{temperature}")):
            scores = read_scores(finished / EVALUATION / f"{kind}/{name}/test.h5")[0]
            assert np.array_equal(scores[tuned], scores[fixed])
            others = [key for key in scores if key.startswith(tuned) and key not in (tuned, fixed)]
            assert not any(np.array_equal(scores[tuned], scores[key]) for key in others)
    # Metrics and the table name it
    rows = read_csv(finished / EVALUATION / "metrics.csv")
    assert [(r["score"], r["target"], r["rule"], r["value"]) for r in rows if r["level"] == "tuned"] == [
        ("knn", "k", "auroc", str(k)),
        ("odin", "temperature", "auroc", str(temperature)),
    ]
    table = {row["score"]: row for row in read_csv(finished / TABLE)}
    assert [label for label in table if "†" in label] == ["KNN†", "ODIN & co†"]
    assert table["KNN†"]["group:near:auroc:mean"] == table[f"knn{k}"]["group:near:auroc:mean"]
    text = (finished / TABLE).with_suffix(".md").read_text()
    words = "chosen by mean AUROC of ID validation against Blended digits."
    assert f"† KNN, Plain: k = {k}, {words}" in text
    assert f"† ODIN & co, Plain: temperature = {temperature}, {words}" in text


def test_a_changed_grid_tunes_and_scores_again_and_neither_trains_nor_extracts(folder):
    scores = copy.deepcopy(SCORES)
    scores["knn"]["tune"]["k"] = [1, 5, 60, 70]
    write_inputs(folder, paper(scores))
    jobs = planned(folder)
    assert (jobs["tune_scores"], jobs["fit_scores"], jobs["score"], jobs["evaluate"]) == (1, 1, 2, 1)
    assert not {"train", "extract_features", "extract_readout", "prepare_images"} & set(jobs)


def test_a_finished_tuning_has_nothing_to_do_and_refuses_an_edited_file(folder):
    assert "Nothing to be done" in snakemake(folder, TABLE, "-n").stdout
    path = folder / TUNED
    found = json.loads(path.read_text())
    found["knn"]["chosen"]["k"] = 7
    path.write_text(json.dumps(found))
    done = snakemake(folder, f"{EVALUATION}/detectors.h5")
    assert done.returncode != 0
    assert "tuned.json was changed after it was made: delete it and run the same command again" in done.stdout
    assert not (folder / EVALUATION / "detectors.h5").exists()


def test_without_ood_validation_fixed_values_hold_and_nothing_is_tuned(folder):
    scores = {name: SCORES[name] for name in ("knn", "knn5", "knn60")}
    write_inputs(folder, paper(scores, ()))
    jobs = planned(folder)
    assert (jobs["fit_scores"], jobs["score"]) == (1, 2)
    assert not {"tune_scores", "train", "extract_features", "score_network"} & set(jobs)
    done = snakemake(folder, TABLE)
    assert done.returncode == 0, done.stdout
    found = read_scores(folder / EVALUATION / "scores/digits_held_out/test.h5")[0]
    assert np.array_equal(found["knn"], found["knn60"])
    assert not np.array_equal(found["knn"], found["knn5"])
    assert [row["score"] for row in read_csv(folder / TABLE)] == ["KNN", "knn5", "knn60"]
    assert (
        "KNN is not tuned, there is no OOD validation set: k = 60." in (folder / TABLE).with_suffix(".md").read_text()
    )
    assert not any(row["level"] == "tuned" for row in read_csv(folder / EVALUATION / "metrics.csv"))
