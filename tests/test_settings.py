"""Claims about config and papers: what they are refused for, how recipes come about, what each step is told."""

import contextlib
import copy
import itertools
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from methods import registry
from methods.data.catalog import load_catalogs
from methods.data.overlap import share_images
from methods.errors import ReproError
from methods.provenance import canonical_json
from methods.settings import digests, outputs, steps
from methods.settings.checks import TARGETS
from methods.settings.load import load_config, load_study
from methods.settings.papers import resolve_recipe
from methods.settings.parts import complete_part, part_problems
from methods.settings.schema import load_schema, load_yaml, nearest
from methods.settings.study import Run
from methods.training.switches import SWITCHES, resolve_switches, switch_problems

ROOT = Path(__file__).resolve().parents[1]
CATALOG, WEIGHTS = load_catalogs()
DROP = type("Drop", (), {"__repr__": lambda self: "DROP"})()
PACKAGES = ("objectives", "networks", "scores", "data.readers", "reporting.figures")
PARTS = [(package, name) for package in PACKAGES for name in registry.records(package)]

SHARED = {
    "normalisation": {"mean": [0.3, 0.3, 0.3], "std": [0.4, 0.4, 0.4]},
    "network": {"name": "cifar_resnet", "blocks": [1], "widths": [4]},
}
TRAINING = {
    "optimiser": {"name": "sgd", "learning_rate": 0.1},
    "schedule": {"name": "cosine"},
    "epochs": 2,
    "batch": 64,
}
PAPER = {
    "name": "study",
    "title": "Label of the paper",
    "benchmarks": {
        "digits": {
            "title": "Label of digits",
            "task": "single_label",
            "in_distribution": {"dataset": "digits"},
            "render": {"size": 8, "resize": "native"},
            "ood": {"digits_held_out": {"groups": ["near"]}, "uniform_noise": {"groups": ["far", "all_sets"]}},
            **SHARED,
        },
        "mosaics": {
            "title": "Label of mosaics",
            "task": "multi_label",
            "in_distribution": {"dataset": "digit_mosaics"},
            "outlier_exposure": {"dataset": "photo_mosaics"},
            "render": {"size": 16, "resize": "native"},
            "ood": {"held_out_mosaics": {"groups": ["near"]}, "scrambled_mosaics": {"groups": ["far"]}},
            "head_classes": 1,
            "tail_steps": [0, 2],
            **SHARED,
        },
    },
    "recipes": {
        "plain": {"label": "Label of plain", "objective": {"name": "cross_entropy"}, "head": {"kind": "linear"}}
        | TRAINING,
        "adapt": {"label": "Label of ADAPT", "objective": {"name": "adapt", "top_k": 2}, "projector": {}} | TRAINING,
        "bce": {"label": "Label of BCE", "objective": {"name": "bce"}, "head": {"kind": "two_layer"}} | TRAINING,
        "edge": {
            "extends": "bce",
            "label": "Label of EDGE",
            "objective": {"name": "edge", "top_k": 16},
            "outlier_batch": 32,
        },
    },
    "scores": {
        "msp": {"score": "msp", "label": "Label of MSP"},
        "knn10": {"score": "knn", "k": 10},
        "joint_energy": {"score": "joint_energy"},
    },
    "evaluate": {
        "digits": {"plain": ["msp", "knn10"], "adapt": ["knn10"]},
        "mosaics": {"bce": ["joint_energy"], "edge": ["joint_energy"]},
    },
    "tables": {"main": {"kind": "main", "benchmark": "digits", "caption": "Label of the table", "groups": ["near"]}},
    "figures": {
        "curves": {"kind": "training_curves", "benchmark": "digits", "caption": "Label of the curves"},
        "energies": {"kind": "energy_histograms", "benchmark": "mosaics", "caption": "Label of the energies"},
    },
}
TAIL_CURVES = {"kind": "tail_curves", "benchmark": "mosaics", "caption": "Label of the tail"}


@pytest.fixture(autouse=True)
def known_catalog(monkeypatch):
    """The real catalog, checked once instead of once a study."""
    monkeypatch.setattr("methods.settings.load.load_catalogs", lambda: (copy.deepcopy(CATALOG), copy.deepcopy(WEIGHTS)))


def changed(document, changes):
    """A copy with values set at (or dropped from) dotted places."""
    document = json.loads(json.dumps(document))
    for place, value in changes.items():
        *parents, last = place.split(".")
        inner = document
        for key in parents:
            inner = inner.setdefault(key, {})
        if value is DROP:
            del inner[last]
        else:
            inner[last] = copy.deepcopy(value)
    return document


def paper_file(folder, document, name="study"):
    path = folder / f"{name}.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return str(path)


def study_of(folder, changes=None, config=None):
    paper = paper_file(folder, changed(PAPER, changes or {}))
    return load_study(changed({"papers": [paper], "seeds": [0, 1]}, config or {}))


def refusal(folder, changes=None, config=None):
    with pytest.raises(ReproError) as found:
        study_of(folder, changes, config)
    return str(found.value)


def extract_settings(study, run):
    return steps.extract_settings(study, run, "digits", "test")


def everything(study):
    """Settings of every step of every run."""
    functions = (steps.train_settings, extract_settings, steps.score_settings, steps.evaluate_settings)
    runs = [run for benchmark in study.evaluate for run in study.runs(benchmark)]
    return {run: [canonical_json(function(study, run)) for function in functions] for run in runs}


def test_the_paper_of_these_tests_is_valid(tmp_path):
    assert len(everything(study_of(tmp_path))) == 8


def test_the_shipped_config_and_every_shipped_paper_are_valid():
    assert load_study(load_yaml(ROOT / "config.yaml")).papers
    for path in (ROOT / "papers").glob("*.yaml"):
        assert load_study({"papers": [path.stem]}).papers


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"seed": [0]}, "config has the unknown key 'seed': did you mean 'seeds'?"),
        ({"hardware.devices": "cpu"}, "config.hardware.devices is 'cpu', expected a whole number"),
        ({"hardware.device": "gpu"}, "config.hardware.device is 'gpu': did you mean 'cpu'?"),
        ({"hardware.checkpoint_seconds": float("nan")}, "config.hardware.checkpoint_seconds is nan, expected a number"),
        ({"precision": "fp64"}, "config.precision is 'fp64': did you mean 'fp16'?"),
        ({"protocols": ["release"]}, "config.protocols.0 is 'release': did you mean 'released'?"),
        ({"protocols": ["corrected", "corrected"]}, "config.protocols names a protocol twice"),
        ({"seeds": ["a"]}, "config.seeds.0 is 'a', expected a whole number"),
        ({"seeds": [0, 1.5]}, "config.seeds.1 is 1.5, expected a whole number"),
        ({"seeds": [1.0]}, "config.seeds.0 is 1.0, expected a whole number"),
        ({"seeds": [True]}, "config.seeds.0 is True, expected a whole number"),
        ({"seeds": [-1]}, "config.seeds.0: -1 is less than the minimum of 0"),
        ({"seeds": 3}, "config.seeds is 3, expected a list"),
        ({"seeds": []}, "config.seeds: [] should be non-empty"),
        ({"seeds": [2, 0, 2]}, "config.seeds is [2, 0, 2]: a seed given twice"),
        ({"papers": ["demos"]}, "There is no paper 'demos' in papers/: did you mean 'demo'?"),
        ({"papers": ["nowhere/none.yaml"]}, "nowhere/none.yaml does not exist"),
        ({"datasets.unavailable": ["uniform_nose"]}, "names 'uniform_nose': did you mean 'uniform_noise'?"),
        ({"data.source": ["."]}, "config.data has the unknown key 'source': did you mean 'sources'?"),
        ({"data.sources": "."}, "config.data.sources is '.', expected a list"),
        ({"data.sources": [".", "."]}, "config.data.sources: ['.', '.'] has non-unique elements"),
        ({"offlin": True}, "config has the unknown key 'offlin': did you mean 'offline'?"),
        ({"offline": "yes"}, "config.offline is 'yes', expected"),
        (
            {"protocols": ["released"]},
            "config.protocols: Cross-entropy has no protocol released, only corrected",
        ),
    ],
)
def test_a_config_that_does_not_fit_is_refused(tmp_path, config, message):
    assert message in refusal(tmp_path, config=config)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"benchmark": {}}, "papers/study.yaml has the unknown key 'benchmark': did you mean 'benchmarks'?"),
        ({"recipes.plain.epoch": 3}, "study.yaml.recipes.plain has the unknown key 'epoch': did you mean 'epochs'?"),
        ({"recipes.plain.epochs": 2.0}, "study.yaml.recipes.plain.epochs is 2.0, expected a whole number"),
        ({"recipes.plain.epochs": DROP}, "study.yaml.recipes.plain lacks the key 'epochs'"),
        ({"recipes.plain.schedule.name": DROP}, "study.yaml.recipes.plain.schedule lacks the key 'name'"),
        ({"recipes.plain.optimiser.learning_rate": DROP}, "recipes.plain.optimiser lacks the key 'learning_rate'"),
        ({"recipes.plain.schedule.name": "cosin"}, "recipes.plain.schedule.name is 'cosin': did you mean 'cosine'?"),
        ({"recipes.plain.optimiser.learning_rate": "1e-3"}, "learning_rate is '1e-3', expected a number"),
        ({"recipes.plain.optimiser.learning_rate": float("inf")}, "learning_rate is inf, expected a number"),
        ({"recipes.Plain": {}}, "papers/study.yaml.recipes: 'Plain' does not match"),
        ({"recipes.plain.objective.name": "cros_entropy"}, "is 'cros_entropy': did you mean 'cross_entropy'?"),
        ({"recipes.plain.objective": {}}, "recipes.plain.objective.name is None: known: adapt, "),
        (
            {"recipes.adapt.objective.topk": 3},
            "recipes.adapt.objective has the unknown key 'topk': did you mean 'top_k'?",
        ),
        ({"recipes.adapt.objective.top_k": 0}, "recipes.adapt.objective.top_k: 0 is less than the minimum of 1"),
        ({"recipes.adapt.projector": DROP}, "recipes.adapt lacks a projector, which ADAPT trains"),
        ({"recipes.bce.head": DROP}, "recipes.bce lacks a head, which BCE trains"),
        ({"recipes.edge.outlier_batch": DROP}, "recipes.edge lacks the key 'outlier_batch'"),
        ({"recipes.edge.extends": "bcee"}, "study.yaml.recipes.edge needs the recipe 'bcee', which papers/study.yaml"),
        ({"recipes.edge.extends": "bcee"}, "did you mean 'bce'?"),
        (
            {"recipes.adapt.selection": {"rule": "best_validation"}},
            "recipes.adapt.selection.rule is best_validation, which needs a classifier head",
        ),
        (
            {"recipes.plain.switches": {"lr_time": "after_step"}},
            "recipes.plain.switches has the unknown switch 'lr_time': did you mean 'lr_timing'?",
        ),
        (
            {"recipes.plain.switches": {"lr_timing": "never"}},
            "recipes.plain.switches.lr_timing is 'never', expected one of ['after_step', 'before_step']",
        ),
        ({"recipes.plain.switches": {"bn_mode": "mixed"}}, "recipes.plain.switches has the unknown switch 'bn_mode'"),
        ({"recipes.plain.on": {"digit": {"epochs": 3}}}, "recipes.plain.on names 'digit': did you mean 'digits'?"),
        ({"recipes.plain.on": {"digits": {"epoch": 3}}}, "study.yaml.recipes.plain has the unknown key 'epoch'"),
        ({"scores.knn10.score": "knnn"}, "scores.knn10.score is 'knnn': did you mean 'knn'?"),
        ({"scores.knn10.K": 5}, "scores.knn10 has the unknown key 'K': known: k, label, score"),
        ({"scores.knn10.k": DROP}, "scores.knn10 lacks the key 'k'"),
        ({"evaluate.digit": {"plain": ["msp"]}}, "evaluate names 'digit': did you mean 'digits'?"),
        ({"evaluate.digits.plane": ["msp"]}, "evaluate.digits names 'plane': did you mean 'plain'?"),
        ({"evaluate.digits.plain": ["mps"]}, "evaluate.digits.plain names 'mps': did you mean 'msp'?"),
        (
            {"evaluate.digits.adapt": ["msp"]},
            "evaluate.digits.adapt: none of its scores can be computed, msp lacks logits (the recipe has no classifier",
        ),
        (
            {"evaluate.mosaics.bce": ["knn10", "joint_energy"]},
            "evaluate.mosaics.bce: the score 'knn10' is for single_label, the benchmark is multi_label",
        ),
        (
            {"evaluate.mosaics.adapt": ["joint_energy"]},
            "recipes.adapt cannot run on mosaics: ADAPT is for single_label",
        ),
        (
            {"benchmarks.mosaics.outlier_exposure": DROP},
            "recipes.edge trains with outliers, which the benchmark mosaics does not name (outlier_exposure)",
        ),
        (
            {"benchmarks.mosaics.outlier_exposure": {"dataset": "scrambled_mosaics", "split": "test"}},
            "benchmarks.mosaics: scrambled_mosaics/test is outlier exposure and OOD test set at once",
        ),
        ({"benchmarks.digits.ood.digits": {}}, "benchmarks.digits.ood holds the ID set 'digits' itself"),
        (
            {"benchmarks.digits.ood.uniform_nois": {}},
            "benchmarks.digits.ood names 'uniform_nois': did you mean 'uniform",
        ),
        (
            {"benchmarks.digits.ood.uniform_noise": {"split": "tests"}},
            "benchmarks.digits.ood: split of uniform_noise names 'tests': did you mean 'test'?",
        ),
        (
            {"benchmarks.digits.in_distribution.train": "training"},
            "benchmarks.digits.in_distribution: split of digits names 'training': did you mean 'train'?",
        ),
        (
            {"benchmarks.digits.in_distribution.dataset": "digit"},
            "benchmarks.digits.in_distribution names 'digit': did you mean 'digits'?",
        ),
        (
            {"benchmarks.digits.task": "multi_label"},
            "benchmarks.digits.task is multi_label, its ID set has single_label",
        ),
        (
            {"benchmarks.digits.network.name": "cifar_resnt"},
            "network.name is 'cifar_resnt': did you mean 'cifar_resnet'",
        ),
        (
            {"benchmarks.digits.network.block": [1]},
            "digits.network has the unknown key 'block': did you mean 'blocks'?",
        ),
        ({"benchmarks.digits.render.resize": "crop"}, "benchmarks.digits.render.resize is 'crop': "),
        ({"tables.main.benchmark": "digit"}, "study.yaml.tables.main.benchmark names 'digit': did you mean 'digits'?"),
        ({"tables.main.groups": ["nea"]}, "study.yaml.tables.main.groups names 'nea': did you mean 'near'?"),
        ({"tables.main.methods": ["edge"]}, "study.yaml.tables.main.methods names 'edge': known: adapt, plain"),
        ({"tables.main.scores": ["knn"]}, "study.yaml.tables.main.scores names 'knn': did you mean 'knn10'?"),
        ({"tables.main.metrics": ["auroc", "fpr"]}, "study.yaml.tables.main.metrics.1 is 'fpr': did you mean 'fpr95'?"),
        (
            {"tables.main.sets": ["digit_held_out"]},
            "tables.main.sets names 'digit_held_out': did you mean 'digits_held",
        ),
        ({"tables.main.labels": {"plane": "Ours"}}, "tables.main.labels names 'plane': did you mean 'plain'?"),
        ({"tables.main.order": ["plane"]}, "study.yaml.tables.main.order names 'plane': did you mean 'plain'?"),
        (
            {"tables.main.kind": "cost", "tables.main.sets": ["digits_held_out"]},
            "tables.main has sets, which a table of kind cost cannot take: leave it out",
        ),
        (
            {"tables.main.kind": "published", "tables.main.labels": {"plain": "Ours"}},
            "tables.main has labels, which a table of kind published cannot take: leave it out",
        ),
        ({"figures.curves.kind": "training_curve"}, "curves.kind is 'training_curve': did you mean 'training_curves'?"),
        ({"figures.curves.sets": ["digit_held_out"]}, "curves.sets names 'digit_held_out': did you mean 'digits_held"),
        ({"figures.curves.seed": 7}, "study.yaml.figures.curves.seed is 7, config.seeds has [0, 1]"),
        ({"figures.curves.points": 10}, "study.yaml.figures.curves has the unknown key 'points'"),
        ({"figures.energies.head_classes": 1}, "figures.energies has the unknown key 'head_classes'"),
        ({"benchmarks.mosaics.head_classes": 7}, "mosaics.head_classes is 7, the ID set has 7 classes: name fewer"),
        ({"benchmarks.mosaics.head_classes": 0}, "mosaics.head_classes: 0 is less than the minimum of 1"),
        ({"benchmarks.mosaics.tail_steps": [0, 7]}, "mosaics.tail_steps is [0, 7], the ID set has 7 classes"),
        ({"benchmarks.mosaics.tail_steps": [2, 1]}, "mosaics.tail_steps is [2, 1], expected numbers that rise"),
        ({"benchmarks.digits.head_classes": 1}, "digits.head_classes is for several labels an image, the benchmark is"),
        ({"benchmarks.digits.tail_steps": [0]}, "digits.tail_steps is for several labels an image, the benchmark is"),
        (
            {"benchmarks.mosaics.head_classes": DROP},
            "figures.energies shows what the benchmark mosaics does not name: give it the key 'head_classes'",
        ),
        ({"figures.energies.benchmark": "digits"}, "energies.kind energy_histograms is for multi_label, the benchmark"),
        ({"tables.main.kind": "classes"}, "tables.main.kind classes is for multi_label, the benchmark is single_label"),
        ({"figures.energies": TAIL_CURVES | {"group": "nea"}}, "energies.group names 'nea': did you mean 'near'?"),
        (
            {"figures.energies": TAIL_CURVES | {"group": "near", "sets": ["scrambled_mosaics"]}},
            "study.yaml.figures.energies names the group 'near' and sets: name one of them",
        ),
        ({"figures.energies.score": "joint_enrgy"}, "energies.score names 'joint_enrgy': did you mean 'joint_energy'?"),
        ({"name": "Study"}, "papers/study.yaml.name: 'Study' does not match"),
        ({"name": "tables"}, "papers/tables.yaml: the name 'tables' is a target of the workflow"),
        ({"name": "train"}, "papers/train.yaml: the name 'train' is a target of the workflow"),
    ],
)
def test_a_paper_that_does_not_fit_is_refused(tmp_path, changes, message):
    assert message in refusal(tmp_path, changes)


def test_a_table_has_names_order_and_sets_of_its_own_and_still_tells_of_the_sets_behind_its_averages(tmp_path):
    own = {"labels": {"adapt": "Ours", "uniform_noise": "Noise"}, "order": ["adapt"], "sets": ["uniform_noise"]}
    study = study_of(tmp_path, {f"tables.main.{key}": value for key, value in own.items()})
    told = outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])
    assert told["methods"] == [["adapt", "Ours"], ["plain", "Label of plain"]]
    assert told["shown"] == ["uniform_noise"]
    assert [part["title"] for part in told["sets"]] == ["Noise", "Digits 1, 7, 9"]  # the average of near has the second
    study = study_of(tmp_path)
    assert "shown" not in outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])


# The digits are stood in for by sets of other sizes
ANY_SIZE = {f"benchmarks.{name}.render": {"size": 16, "resize": "square"} for name in ("digits", "mosaics")}

SHARED_IMAGES = [
    ("svhn/test_10000", "svhn/test"),
    ("svhn/test_selected", "svhn/test_10000"),
    ("tin/ood_validation", "tin/val"),
    ("tin/ood_test", "tin/val"),
    ("coco2014/validation", "coco2014/train"),
    ("coco2014/train_part", "coco2014/train"),
    ("lsun_mini/test", "lsun_mini/all"),
    ("dtd_128/outliers", "dtd_mini/test"),
    ("dtd_128/outliers", "textures/test"),
    ("miniplaces_objects/outliers", "miniplaces_objects/train"),
]
SEPARATE_IMAGES = [
    ("svhn/train", "svhn/test"),
    ("tin/train", "tin/val"),
    ("tin/ood_validation", "tin/ood_test"),
    ("coco2014/validation", "coco2014/train_part"),
    ("voc2012/validation", "voc2012/train_part"),
    ("lsun_mini/validation", "lsun_mini/test"),
    ("lsun_c/test", "lsun_r/test"),
    ("photo_mosaics/train", "photo_patches/test"),
    ("dtd_128/outliers", "dtd_128/test_seven"),
    ("miniplaces_objects/outliers", "miniplaces_objects/test"),
    ("imagenet_1000/without_voc", "dtd_mini/test"),
]


OUTLIERS_ALLOWED = "benchmarks.mosaics.outlier_exposure.overlap_allowed"


def with_outliers(outliers, ood):
    """Changes that give the mosaics these outliers and this OOD set."""
    dataset, split = ood.split("/")
    exposure = dict(zip(("dataset", "split"), outliers.split("/"), strict=True))
    return ANY_SIZE | {
        "benchmarks.mosaics.outlier_exposure": exposure,
        OUTLIERS_ALLOWED: "digits are digits",
        f"benchmarks.mosaics.ood.{dataset}.split": split,
    }


@pytest.mark.parametrize(("first", "second"), SHARED_IMAGES)
def test_outliers_that_share_images_with_an_ood_set_are_refused(tmp_path, first, second):
    for outliers, ood in ((first, second), (second, first)):
        message = f"benchmarks.mosaics: outlier exposure {outliers} and OOD set {ood} share images"
        assert message in refusal(tmp_path, with_outliers(outliers, ood))


@pytest.mark.parametrize(("first", "second"), SEPARATE_IMAGES)
def test_outliers_and_ood_sets_may_be_separate_parts_of_one_set(tmp_path, first, second):
    for outliers, ood in ((first, second), (second, first)):
        study = study_of(tmp_path, with_outliers(outliers, ood), {"data.folder": str(tmp_path)})
        assert ood.split("/")[0] in study.benchmarks["mosaics"]["ood"]


OVERLAP = {
    "benchmarks.mosaics.in_distribution": {"dataset": "voc2012_animals", "train": "train_part", "test": "val"},
    "benchmarks.mosaics.outlier_exposure": {"dataset": "imagenet_1000", "split": "all"},
}
MOSAICS_TABLE = {"kind": "main", "benchmark": "mosaics", "caption": ""}


@pytest.fixture
def brought(monkeypatch):
    """Sets that must be brought count as there."""
    monkeypatch.setattr("methods.settings.absence.can_be_had", lambda *part: True)


def test_outliers_that_show_a_class_of_the_id_set_are_refused(tmp_path):
    found = refusal(tmp_path, ANY_SIZE | OVERLAP)
    assert found.startswith(
        "benchmarks.mosaics.outlier_exposure: imagenet_1000/all shows classes of the ID set (aeropl"
    )
    assert found.endswith("or state under overlap_allowed why training may call them unknown")
    digits = with_outliers("svhn/train", "textures/test")
    del digits[OUTLIERS_ALLOWED]
    assert "svhn/train shows classes of the ID set (0, 2, 3, 4, 5, 6, 8)" in refusal(tmp_path, digits)


def test_outliers_whose_list_lacks_the_classes_are_taken_without_a_word(tmp_path, brought):
    study = study_of(tmp_path, ANY_SIZE | OVERLAP | {"benchmarks.mosaics.outlier_exposure.split": "without_voc"})
    assert "exposure" not in outputs.table_settings(study, "study", MOSAICS_TABLE)


def test_the_reason_of_an_overlap_stands_in_tables_of_methods_that_see_outliers(tmp_path, brought):
    study = study_of(tmp_path, ANY_SIZE | OVERLAP | {OUTLIERS_ALLOWED: "we measure it"})
    found = outputs.table_settings(study, "study", MOSAICS_TABLE)["exposure"]
    assert (found["reason"], len(found["classes"])) == ("we measure it", 20)
    assert "exposure" not in outputs.table_settings(study, "study", {**MOSAICS_TABLE, "methods": ["bce"]})


def test_the_reason_of_an_overlap_changes_no_step(tmp_path, brought):
    one, other = (study_of(tmp_path, ANY_SIZE | OVERLAP | {OUTLIERS_ALLOWED: why}) for why in ("one", "another"))
    assert everything(one) == everything(other)


def test_every_split_shares_images_with_itself():
    parts = [(name, split) for name, record in CATALOG.items() for split in record["splits"]]
    assert [part for part in parts if not share_images(CATALOG, part, part)] == []


def selecting_on(rule, **splits):
    """Changes that train `plain` on CIFAR-10 and select its weights by a rule."""
    source = {"benchmarks.digits.in_distribution": {"dataset": "cifar10", **splits}}
    return ANY_SIZE | source | {"recipes.plain.selection": {"rule": rule}}


@pytest.mark.parametrize(
    ("splits", "other"),
    [
        ({"train": "train"}, "cifar10/validation, which shares images with cifar10/train"),
        ({"train": "train_part", "validation": "test"}, "cifar10/test, which shares images with cifar10/test"),
        (
            {"train": "train_part", "validation": "train_part"},
            "cifar10/train_part, which shares images with cifar10/tra",
        ),
    ],
)
def test_weights_cannot_be_selected_on_images_of_training_or_test(tmp_path, splits, other):
    message = f"recipes.plain selects its weights on {other}"
    assert message in refusal(tmp_path, selecting_on("best_validation", **splits))
    assert study_of(tmp_path, selecting_on("last", **splits)).evaluate["digits"]["plain"]


def test_weights_can_be_selected_on_images_kept_apart_from_training(tmp_path):
    study = study_of(tmp_path, selecting_on("best_validation", train="train_part"))
    assert steps.train_sets(study, study.runs("digits")[0])["validation"] == ("cifar10", "validation")


def test_an_id_set_without_classes_is_refused(tmp_path):
    source = {"dataset": "tin", "train": "train", "validation": "val", "test": "val"}
    found = refusal(tmp_path, ANY_SIZE | {"benchmarks.digits.in_distribution": source})
    assert found == "benchmarks.digits: its ID set tin lists no classes in the catalog"


def test_every_problem_is_listed(tmp_path):
    found = refusal(tmp_path, {"evaluate.digits.plain": ["mps"], "tables.main.groups": ["nea"]}, {"seeds": [3, 3]})
    assert len(found.splitlines()) == 3


def test_every_missing_key_is_named(tmp_path):
    found = refusal(tmp_path, {"name": DROP, "title": DROP})
    assert found.splitlines() == [f"papers/study.yaml lacks the key '{key}'" for key in ("name", "title")]


def test_rules_and_named_targets_cannot_be_papers():
    files = [ROOT / "Snakefile", *(ROOT / "rules").glob("*.smk")]
    rules = {name for path in files for name in re.findall(r"^rule (\w+):", path.read_text(), re.MULTILINE)}
    assert rules <= TARGETS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: study\ntitle: a\ntitle: b\n", "the key 'title' is defined twice .* line 1"),
        ("recipes:\n  a: {epochs: 3, batch: 2, epochs: 4}\n", "the key 'epochs' is defined twice .* line 2"),
        ("name: [study\n", "no valid YAML: .* line 2"),
        ("name: {{study}}\n", "'study': None} cannot be a key"),
        ("- name\n", "is \\['name'\\], expected a mapping"),
        ("", "is None, expected a mapping"),
    ],
    ids=["key twice", "key twice inside", "open bracket", "mapping as key", "list", "empty"],
)
def test_a_paper_that_is_no_mapping_of_single_keys_is_refused(tmp_path, text, message):
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(ReproError, match=f"study\\.yaml.*{message}"):
        load_study({"papers": [str(tmp_path / "study.yaml")]})


def test_yaml_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "study.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(ReproError, match=r"study\.yaml is no valid YAML: 'utf-8' codec"):
        load_yaml(tmp_path / "study.yaml")


def test_yaml_takes_only_true_and_false_as_boolean(tmp_path):
    (tmp_path / "a.yaml").write_text("{on: yes, off: no, a: true, b: False}")
    assert load_yaml(tmp_path / "a.yaml") == {"on": "yes", "off": "no", "a": True, "b": False}


def test_a_merged_mapping_may_change_a_value(tmp_path):
    (tmp_path / "a.yaml").write_text("base: &base {x: 1, y: 2}\nother: {<<: *base, y: 3}\n")
    assert load_yaml(tmp_path / "a.yaml")["other"] == {"x": 1, "y": 3}


@pytest.mark.parametrize(
    ("name", "known", "hint"),
    [
        ("edeg", ["edge", "adapt"], "did you mean 'edge'?"),
        ("zzz", ["edge", "adapt"], "known: adapt, edge"),
        ("zzz", [], "known: none"),
    ],
)
def test_the_nearest_known_name_is_offered(name, known, hint):
    assert nearest(name, known) == hint


OTHER = {"name": "other", "title": "Other"}


def two_papers(folder, first, second):
    files = [paper_file(folder, first, "first"), paper_file(folder, second, "second")]
    return load_study({"papers": files})


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("recipes", "The recipe plain is defined by study and by other: .* take it over with `use:`"),
        ("benchmarks", "The benchmark digits is defined by study and by other"),
    ],
)
def test_two_papers_cannot_define_one_name(tmp_path, kind, message):
    name = {"recipes": "plain", "benchmarks": "digits"}[kind]
    with pytest.raises(ReproError, match=message):
        two_papers(tmp_path, PAPER, {**OTHER, kind: {name: PAPER[kind][name]}})


def test_two_papers_cannot_define_one_score_instance_differently(tmp_path):
    with pytest.raises(ReproError, match="The score instance 'knn10' of other is defined otherwise by another paper"):
        two_papers(tmp_path, PAPER, {**OTHER, "scores": {"knn10": {"score": "knn", "k": 11}}})


def test_two_papers_cannot_have_one_name(tmp_path):
    with pytest.raises(ReproError, match=r"config\.papers lists two papers of the name 'study'"):
        two_papers(tmp_path, PAPER, {"name": "study", "title": "Again"})


def user_of(folder, recipe=None, benchmark="digits"):
    """A paper that takes over the recipe `plain` and evaluates it."""
    use = {"use": str(folder / "first.yaml"), **(recipe or {})}
    return {**OTHER, "recipes": {"plain": use}, "evaluate": {benchmark: {"plain": ["knn10"]}}}


def test_use_takes_a_recipe_from_another_paper(tmp_path):
    paper = {**user_of(tmp_path, {"epochs": 9}, "again"), "benchmarks": {"again": PAPER["benchmarks"]["digits"]}}
    recipes = two_papers(tmp_path, PAPER, paper).recipes
    assert recipes["plain", "again"] == {**recipes["plain", "digits"], "epochs": 9}


def test_papers_find_each_other_by_name_in_their_folder(tmp_path, monkeypatch):
    (tmp_path / "papers").mkdir()
    paper_file(tmp_path / "papers", PAPER, "study")
    paper_file(tmp_path / "papers", {**user_of(tmp_path), "recipes": {"plain": {"use": "study"}}}, "other")
    monkeypatch.setattr("methods.settings.papers.ROOT", tmp_path)
    study = load_study({"papers": ["study", "other"]})
    assert list(study.papers) == ["study", "other"]
    assert study.recipes["plain", "digits"]["label"] == "Label of plain"


def test_scores_of_two_papers_join_on_one_run(tmp_path):
    study = two_papers(tmp_path, changed(PAPER, {"evaluate.digits.plain": ["msp"]}), user_of(tmp_path))
    assert study.evaluate["digits"]["plain"] == ["msp", "knn10"]


def test_two_papers_cannot_train_one_recipe_differently_on_one_benchmark(tmp_path):
    with pytest.raises(ReproError, match="The recipe plain stands on digits with different values in two papers"):
        two_papers(tmp_path, PAPER, user_of(tmp_path, {"epochs": 9}))


def test_a_recipe_of_another_paper_is_no_use_without_use(tmp_path):
    benchmarks = {"again": PAPER["benchmarks"]["digits"]}
    paper = {**OTHER, "benchmarks": benchmarks, "evaluate": {"again": {"plain": ["knn10"]}}}
    with pytest.raises(ReproError, match="names the recipe 'plain' of study: take it over with `use: study`"):
        two_papers(tmp_path, PAPER, paper)


def test_use_of_a_recipe_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(ReproError, match=r"other\.yaml\.recipes\.plain needs the recipe 'plain', which papers/study"):
        two_papers(tmp_path, changed(PAPER, {"recipes.plain": DROP, "evaluate.digits.plain": DROP}), user_of(tmp_path))


def test_papers_that_use_each_other_are_refused(tmp_path):
    first = {"name": "study", "title": "First", "recipes": {"plain": {"use": str(tmp_path / "second.yaml")}}}
    with pytest.raises(ReproError, match=r"rests on itself: other\.plain -> study\.plain -> other\.plain"):
        two_papers(tmp_path, {**PAPER, **first, "evaluate": {}, "tables": {}, "figures": {}}, user_of(tmp_path))


@pytest.mark.parametrize("circle", [["a", "a"], ["a", "b", "a"], ["a", "b", "c", "a"]])
def test_recipes_that_extend_each_other_are_refused(circle):
    recipes = {name: {"extends": base} for name, base in itertools.pairwise(circle)}
    trail = " -> ".join(f"p.{name}" for name in circle)
    with pytest.raises(ReproError, match=rf"papers/p\.yaml\.recipes\.a rests on itself: {trail}$"):
        resolve_recipe({"name": "p", "recipes": recipes}, "a")


def resolved(base, change):
    return resolve_recipe({"name": "p", "recipes": {"base": base, "new": {"extends": "base", **change}}}, "new")


def test_extends_merges_mapping_by_mapping():
    base = {"epochs": 5, "optimiser": {"name": "sgd", "learning_rate": 0.1, "momentum": 0.8}}
    found = resolved(base, {"optimiser": {"learning_rate": 0.2}, "batch": 3})
    assert found == {"epochs": 5, "batch": 3, "optimiser": {"name": "sgd", "learning_rate": 0.2, "momentum": 0.8}}


def test_a_paper_may_give_one_value_of_a_part_that_it_takes_over(tmp_path):
    more = {"extends": "plain", "label": "More", "optimiser": {"learning_rate": 0.2}}
    study = study_of(tmp_path, {"recipes.more": more, "evaluate.digits.more": ["msp"]})
    plain, own = (study.recipes[name, "digits"]["optimiser"] for name in ("plain", "more"))
    assert own == {**plain, "learning_rate": 0.2}


def test_the_same_objective_name_keeps_the_other_parameters():
    base = {"objective": {"name": "adapt", "top_k": 2, "beta": 0.0}}
    assert resolved(base, {"objective": {"name": "adapt", "top_k": 3}})["objective"] == {
        **base["objective"],
        "top_k": 3,
    }


def test_another_objective_name_replaces_the_mapping_whole():
    base = {"objective": {"name": "adapt", "top_k": 2}}
    assert resolved(base, {"objective": {"name": "bce"}})["objective"] == {"name": "bce"}


def test_another_head_kind_replaces_the_mapping_whole():
    assert resolved({"head": {"kind": "two_layer", "hidden": 7}}, {"head": {"kind": "linear"}})["head"] == {
        "kind": "linear"
    }


def test_extending_leaves_the_base_as_it_was():
    base = {"optimiser": {"name": "sgd", "learning_rate": 0.1}}
    resolved(base, {"optimiser": {"learning_rate": 0.2}})
    assert base == {"optimiser": {"name": "sgd", "learning_rate": 0.1}}


def test_on_changes_values_on_one_benchmark_only(tmp_path):
    twin = {"benchmarks.twin": PAPER["benchmarks"]["digits"], "evaluate.twin": {"plain": ["msp"]}}
    values = {"recipes.plain.on": {"twin": {"epochs": 9, "optimiser": {"learning_rate": 0.5}}}}
    path = Path(paper_file(tmp_path, changed(PAPER, twin | values)))
    path.write_text(path.read_text().replace("'on':", "on:"))
    recipes = load_study({"papers": [str(path)]}).recipes
    assert (recipes["plain", "digits"]["epochs"], recipes["plain", "twin"]["epochs"]) == (2, 9)
    assert recipes["plain", "twin"]["optimiser"] == {**recipes["plain", "digits"]["optimiser"], "learning_rate": 0.5}


def test_a_config_of_nothing_gets_every_default():
    config = load_config({})
    assert config["papers"] == ["demo"]
    assert config["protocols"] == ["corrected"]
    assert config["data"] == {"folder": "data", "sources": []}
    assert config["offline"] is False
    assert config["datasets"] == {"unavailable": []}
    assert set(config["hardware"]) == set(load_schema("config")["properties"]["hardware"]["properties"])


def test_defaults_are_filled_into_recipes_networks_and_scores(tmp_path):
    study = study_of(
        tmp_path, {"recipes.plain.augmentation": {"random_crop": {}}, "benchmarks.digits.network.widths": DROP}
    )
    recipe = study.recipes["plain", "digits"]
    assert recipe["optimiser"] == {
        "name": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 0.0,
        "backbone_rate_share": 1.0,
    }
    assert recipe["selection"] == {"rule": "last"}
    assert recipe["augmentation"] == {"random_crop": {"padding": 4}}
    assert study.recipes["adapt", "digits"]["projector"] == {"hidden": 512, "dimension": 128}
    assert study.recipes["adapt", "digits"]["objective"]["prototype_momentum"] == 0.999
    assert study.benchmarks["digits"]["network"]["widths"] == [64, 128, 256, 512]
    assert study.benchmarks["digits"]["in_distribution"]["validation"] == "validation"


def test_filling_in_defaults_leaves_the_schema_as_it_was():
    load_config({})["datasets"]["unavailable"].append("digits")
    assert load_config({})["datasets"]["unavailable"] == []


def described(schema, place, definitions):
    """(place, description) of every key of a schema, however deep."""
    parts = {f"{place}.{key}": part for key, part in schema.get("properties", {}).items()}
    parts |= {f"{place}.{key}": schema.get(key) for key in ("additionalProperties", "items")}
    for inner, part in parts.items():
        if isinstance(part, dict):
            part = definitions[part["$ref"].removeprefix("#/$defs/")] if "$ref" in part else part
            yield inner, part.get("description")
            yield from described(part, inner, definitions)


@pytest.mark.parametrize("name", ["config", "datasets", "paper"])
def test_every_key_of_a_schema_has_a_description(name):
    schema = load_schema(name)
    Draft202012Validator.check_schema(schema)
    places = dict(described(schema, name, schema.get("$defs", {})))
    assert len(places) > 10
    assert [place for place, text in places.items() if not text] == []


@pytest.mark.parametrize(("package", "name"), PARTS)
def test_every_parameter_of_a_part_has_a_description_and_a_valid_default(package, name):
    record = registry.records(package)[name]
    assert record["title"]
    for parameter in record["parameters"].values():
        assert parameter["description"]
        if "default" in parameter:
            Draft202012Validator(parameter).validate(parameter["default"])


@pytest.mark.parametrize(("package", "name"), PARTS)
def test_a_part_refuses_a_parameter_it_does_not_have(package, name):
    found = part_problems(package, "part", {"part": name, "no_such_thing": 1}, "here")
    assert any(problem.startswith("here has the unknown key 'no_such_thing'") for problem in found)


@pytest.mark.parametrize("name", SWITCHES)
def test_every_switch_has_a_description_and_valid_protocols(name):
    switch = SWITCHES[name]
    assert switch["description"]
    assert {switch["released"], switch["corrected"]} <= set(switch["values"])


def test_a_switch_set_by_hand_wins_over_the_protocol():
    record = registry.records("objectives")["edge"]
    assert resolve_switches(record, "released", {})["oe_iteration"] == "zip_truncate"
    assert resolve_switches(record, "corrected", {})["oe_iteration"] == "cycle_oe"
    assert resolve_switches(record, "corrected", {"oe_iteration": "zip_truncate"})["oe_iteration"] == "zip_truncate"
    assert switch_problems(record, {"oe_iteration": "zip_truncate"}, "here") == []


def test_switches_of_outliers_do_not_reach_objectives_without_them():
    names = {
        name: set(resolve_switches(registry.records("objectives")[name], "corrected", {})) for name in ("bce", "edge")
    }
    of_outliers = {"bn_mode", "oe_iteration", "schedule_steps"}
    assert of_outliers <= names["edge"]
    assert not of_outliers & names["bce"]
    assert names["bce"] - names["edge"] == {"bn_freeze_after_first_epoch"}


def test_an_unavailable_set_leaves_the_ood_sets_and_stays_in_its_group(tmp_path):
    study = study_of(tmp_path, config={"datasets.unavailable": ["uniform_noise"]})
    told = steps.evaluate_settings(study, study.runs("digits")[0])
    assert list(study.ood_sets("digits")) == told["sets"] == ["digits_held_out"]
    assert told["groups"] == {"near": ["digits_held_out"], "far": ["uniform_noise"], "all_sets": ["uniform_noise"]}
    table = outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])
    assert {part["name"]: part["available"] for part in table["sets"]} == {
        "digits_held_out": True,
        "uniform_noise": False,
    }


TEXTURES = {"dataset": "dtd_mini", "train": "test", "validation": "validation", "test": "validation"}
BRING = "list a folder that holds dtd_mini/<class>/<picture>.png under data.sources"
# (changes, config, reason) that leave the benchmark `digits` without its ID set, and the mosaics without outliers
NO_ID_SET = [
    (ANY_SIZE | {"benchmarks.digits.in_distribution": TEXTURES}, {}, f"dtd_mini is not available here: {BRING}"),
    ({}, {"datasets.unavailable": ["digits"]}, "digits is not available here (config.datasets.unavailable)"),
]
BROUGHT = {"benchmarks.mosaics.outlier_exposure": {"dataset": "dtd_mini", "split": "all"}}
NO_OUTLIERS = [
    (ANY_SIZE | BROUGHT, {}, f"dtd_mini is not available here: {BRING}"),
    (
        {},
        {"datasets.unavailable": ["photo_mosaics"]},
        "photo_mosaics is not available here (config.datasets.unavailable)",
    ),
]


def absent_study(folder, changes, config):
    """A study in which only data below ``folder`` are found."""
    return study_of(folder, changes, {"data": {"folder": str(folder / "data"), "sources": [str(folder)]}, **config})


@pytest.mark.parametrize(("changes", "config", "why"), NO_ID_SET, ids=["brought", "unavailable"])
def test_a_benchmark_without_its_id_set_is_left_out_with_its_tables_and_figures(tmp_path, changes, config, why):
    study = absent_study(tmp_path, changes, config)
    assert study.notices == [f"benchmark digits is left out, its ID set {why}"]
    assert list(study.evaluate) == list(study.papers["study"]["evaluate"]) == ["mosaics"]
    entries = {**study.papers["study"]["tables"], **study.papers["study"]["figures"]}
    possible = {name: outputs.possible(study, "study", entry) for name, entry in entries.items()}
    assert possible == {"main": False, "curves": False, "energies": True}
    assert {run.benchmark for run in everything(study)} == {"mosaics"}


@pytest.mark.parametrize(("changes", "config", "why"), NO_OUTLIERS, ids=["brought", "unavailable"])
def test_methods_without_their_outliers_are_left_out_and_others_stay(tmp_path, changes, config, why):
    told = {"kind": "main", "benchmark": "mosaics", "caption": "Table"}
    new = {"tables.both": told, "tables.one": {**told, "methods": ["edge"]}}
    study = absent_study(tmp_path, changes | new, config)
    assert study.notices == [f"edge is left out on mosaics, its outlier set {why}"]
    assert list(study.evaluate["mosaics"]) == list(study.papers["study"]["evaluate"]["mosaics"]) == ["bce"]
    assert study.left_out == {("mosaics", "edge"): why.split()[0]}
    assert not outputs.possible(study, "study", study.papers["study"]["tables"]["one"])
    table = outputs.table_settings(study, "study", study.papers["study"]["tables"]["both"])
    assert table["methods"] == [["bce", "Label of BCE"]]
    assert table["left_out"] == [["Label of EDGE", CATALOG[why.split()[0]]["title"]]]


def test_a_recipe_that_nothing_evaluates_is_told_of(tmp_path):
    forgotten = {
        "recipes.base": {"extends": "bce", "label": "Base"},
        "recipes.mine": {"extends": "base", "label": "Mine"},
    }
    study = absent_study(tmp_path, forgotten, {})
    assert study.notices == ["mine of the paper study stands under no `evaluate` and will not be trained"]
    evaluated = {"evaluate.mosaics.mine": ["joint_energy"]}
    assert absent_study(tmp_path, forgotten | evaluated, {}).notices == []


def test_methods_that_lack_one_set_share_a_notice_and_its_owner_is_told_of_once(tmp_path):
    ood = {"benchmarks.digits.ood.dtd_mini": {"split": "test", "groups": ["far"]}}
    more = {"recipes.other": {"extends": "edge", "label": "Other"}, "evaluate.mosaics.other": ["joint_energy"]}
    study = absent_study(tmp_path, ANY_SIZE | BROUGHT | ood | more, {})
    assert study.notices == [
        f"the OOD set dtd_mini of digits is not available here: {BRING}",
        "edge, other are left out on mosaics, their outlier set dtd_mini is not available here (see above)",
    ]


@pytest.mark.parametrize(("absent", "runs"), [("digits", 4), ("photo_mosaics", 6)])
def test_what_is_left_out_changes_no_step_of_what_stays(tmp_path, absent, runs):
    left = everything(study_of(tmp_path, config={"datasets.unavailable": [absent]}))
    assert len(left) == runs
    assert left.items() <= everything(study_of(tmp_path)).items()


def test_sets_that_are_found_in_a_folder_leave_nothing_out(tmp_path):
    (tmp_path / "dtd_mini" / "banded").mkdir(parents=True)
    for changes, _, _ in (NO_ID_SET[0], NO_OUTLIERS[0]):
        study = absent_study(tmp_path, changes, {})
        assert (study.notices, study.absent, study.left_out) == ([], frozenset(), {})
        assert study.evaluate == PAPER["evaluate"]


def test_an_ood_set_that_is_not_brought_is_noted_and_stays_as_a_column(tmp_path):
    histogram = {"kind": "score_histograms", "benchmark": "digits", "caption": "Figure", "scores": ["knn10"]}
    figures = {"all_sets": histogram, "textures": {**histogram, "sets": ["dtd_mini"]}}
    ood = {"benchmarks.digits.ood.dtd_mini": {"split": "test", "groups": ["far", "near"]}}
    study = absent_study(tmp_path, ANY_SIZE | ood | {"figures": figures}, {})
    assert study.notices == [f"the OOD set dtd_mini of digits is not available here: {BRING}"]
    told = steps.evaluate_settings(study, study.runs("digits")[0])
    assert told["sets"] == ["digits_held_out", "uniform_noise"]
    assert told["groups"]["far"] == ["uniform_noise", "dtd_mini"]
    table = outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])
    assert [(part["name"], part["available"]) for part in table["sets"]][-1] == ("dtd_mini", False)
    drawable = {
        name: outputs.drawable(study, "study", entry) for name, entry in study.papers["study"]["figures"].items()
    }
    assert drawable == {"all_sets": True, "textures": False}


def test_an_absent_set_leaves_out_what_two_papers_make_of_it(tmp_path):
    document = {"papers": ["demo", guest_paper(tmp_path, use="demo")], "datasets": {"unavailable": ["digits"]}}
    study = load_study(document)
    assert len(study.notices) == 1
    assert list(study.evaluate) == ["digit_mosaics"]
    assert study.papers["guest"]["evaluate"] == {}
    for entry in study.papers["demo"]["tables"].values():
        assert outputs.possible(study, "demo", entry) == (entry["benchmark"] == "digit_mosaics")


def test_absent_outliers_leave_out_a_method_of_two_papers_once(tmp_path):
    first = paper_file(tmp_path, PAPER, "first")
    second = {**OTHER, "recipes": {"edge": {"use": first}}, "evaluate": {"mosaics": {"edge": ["joint_energy"]}}}
    papers = [first, paper_file(tmp_path, second, "second")]
    study = load_study({"papers": papers, "datasets": {"unavailable": ["photo_mosaics"]}})
    assert len(study.notices) == 1
    assert list(study.evaluate["mosaics"]) == ["bce"]
    assert study.papers["other"]["evaluate"] == {"mosaics": {}}


def test_a_study_of_which_nothing_is_left_says_so_and_has_no_run(tmp_path):
    study = study_of(tmp_path, config={"datasets.unavailable": ["digits", "digit_mosaics"]})
    assert [notice.split(" is ")[0] for notice in study.notices] == ["benchmark digits", "benchmark mosaics"]
    assert everything(study) == {}


def test_runs_stand_in_paper_order_and_seeds_inside(tmp_path):
    study = study_of(tmp_path)
    assert [(run.method, run.seed) for run in study.runs("digits")] == [
        ("plain", 0),
        ("plain", 1),
        ("adapt", 0),
        ("adapt", 1),
    ]
    assert study.runs("digits", ["adapt"])[0] == Run("digits", "adapt", "corrected", 0)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "Other"},
        {"recipes.plain.label": "Other"},
        {"scores.msp.label": "Other"},
        {"scores.msp.label": DROP},
        {"benchmarks.digits.title": "Other"},
        {"tables.main.caption": "Other"},
        {"figures.curves": DROP},
    ],
    ids=str,
)
def test_a_label_or_caption_changes_no_step(tmp_path, change):
    assert everything(study_of(tmp_path, change)) == everything(study_of(tmp_path))


@pytest.mark.parametrize(
    "config",
    [
        {"hardware": {"device": "cpu", "deterministic": False, "extraction_batch": 7, "checkpoint_seconds": 1}},
        {"hardware": {"compile": "default", "fused_optimiser": True, "channels_last": False, "devices": 2}},
        {"data.folder": "elsewhere"},
        {"results.folder": "elsewhere"},
    ],
    ids=str,
)
def test_hardware_and_folders_change_no_step(tmp_path, config):
    assert everything(study_of(tmp_path, config=config)) == everything(study_of(tmp_path))


def precisions(study):
    runs = [run for benchmark in study.evaluate for run in study.runs(benchmark)]
    return {run.method: steps.train_settings(study, run)["precision"] for run in runs}


def test_a_precision_of_the_recipe_counts_where_the_config_asks_for_it_and_nowhere_else(tmp_path):
    change = {"recipes.adapt.precision": "fp16"}
    by_recipe = precisions(study_of(tmp_path, change, {"precision": "recipe"}))
    assert by_recipe == {"plain": "fp32", "adapt": "fp16", "bce": "fp32", "edge": "fp32"}
    assert set(precisions(study_of(tmp_path, change, {"precision": "bf16"})).values()) == {"bf16"}
    assert everything(study_of(tmp_path, change)) == everything(study_of(tmp_path))


def test_a_table_names_the_precision_of_every_method_where_they_differ(tmp_path):
    def told(config):
        study = study_of(tmp_path, {"recipes.adapt.precision": "fp16"}, config)
        return outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])["precision"]

    assert told({}) == "fp32"
    assert told({"precision": "recipe"}) == "fp32 (Label of plain); fp16 (Label of ADAPT)"


def test_the_papers_precision_is_that_of_the_releases():
    study = load_study({"papers": ["adapt"], "precision": "recipe"})
    half = {method for (method, benchmark) in study.recipes if study.precision(method, benchmark) == "fp16"}
    assert {"adapt", "palm", "adapt-beta0"} <= half
    assert not {"cider", "supcon", "cross_entropy", "logitnorm"} & half


def test_no_step_is_told_a_label_or_caption(tmp_path):
    told = [text for texts in everything(study_of(tmp_path)).values() for text in texts]
    assert all("Label of" not in text for text in told)


@pytest.mark.parametrize(
    ("change", "methods"),
    [
        ({"recipes.plain.epochs": 3}, {"plain"}),
        ({"recipes.adapt.objective.beta": 0.0}, {"adapt"}),
        ({"recipes.bce.optimiser.learning_rate": 0.2}, {"bce", "edge"}),
        ({"recipes.edge.switches": {"bn_mode": "mixed"}}, {"edge"}),
        ({"evaluate.digits.plain": ["msp"]}, {"plain"}),
        ({"scores.knn10.k": 11}, {"plain", "adapt"}),
        ({"benchmarks.mosaics.normalisation.mean": [0.1, 0.1, 0.1]}, {"bce", "edge"}),
    ],
    ids=lambda value: str(sorted(value) if isinstance(value, set) else value),
)
def test_a_changed_value_changes_the_runs_it_concerns_and_no_other(tmp_path, change, methods):
    before, after = everything(study_of(tmp_path)), everything(study_of(tmp_path, change))
    assert {run.method for run in before if before[run] != after[run]} == methods


def test_the_order_of_keys_changes_no_step(tmp_path):
    turned = {key: dict(reversed(value.items())) if isinstance(value, dict) else value for key, value in PAPER.items()}
    path = paper_file(tmp_path, turned)
    assert everything(load_study({"papers": [path], "seeds": [0, 1]})) == everything(study_of(tmp_path))


def test_a_new_method_score_or_ood_set_changes_no_training(tmp_path):
    new = {
        "recipes.more": {"extends": "plain", "label": "More"},
        "evaluate.digits.more": ["msp"],
        "evaluate.digits.adapt": ["knn10", "maha"],
        "scores.maha": {"score": "mahalanobis_total"},
        "benchmarks.digits.ood.photo_patches": {},
    }
    before, after = everything(study_of(tmp_path)), everything(study_of(tmp_path, new))
    assert all(after[run][0] == told[0] for run, told in before.items())


def test_training_reads_only_the_sets_its_recipe_needs(tmp_path):
    study = study_of(
        tmp_path, {"recipes.bce.selection": {"rule": "best_validation"}, "recipes.edge.selection": {"rule": "last"}}
    )
    sets = {run.method: steps.train_sets(study, run) for name in study.evaluate for run in study.runs(name)}
    assert sets["plain"] == {"train": ("digits", "train")}
    assert set(sets["bce"]) == {"train", "validation"}
    assert sets["edge"] == {"train": ("digit_mosaics", "train"), "outliers": ("photo_mosaics", "train")}


def test_a_table_keeps_the_labels_in_paper_order(tmp_path):
    study = study_of(tmp_path)
    told = outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])
    assert told["methods"] == [["plain", "Label of plain"], ["adapt", "Label of ADAPT"]]
    assert told["scores"] == [["msp", "Label of MSP"], ["knn10", "knn10"]]
    assert told["runs"][0] == ["plain", "corrected", 0]


def test_a_figure_has_one_source_for_every_file_it_reads(tmp_path):
    study = study_of(tmp_path)
    told = outputs.figure_settings(study, "study", study.papers["study"]["figures"]["energies"])
    assert (told["head_classes"], told["score"], told["seed"]) == (1, "joint_energy", 0)
    assert "tail_steps" not in told
    assert [(part["method"], part["role"], part["dataset"]) for part in told["sources"]] == [
        (method, role, dataset)
        for method in ("bce", "edge")
        for role, dataset in (("id", "digit_mosaics"), ("ood", "held_out_mosaics"), ("ood", "scrambled_mosaics"))
    ]


def test_a_figure_of_metrics_reads_every_seed_unless_it_names_one(tmp_path):
    study = study_of(tmp_path, {"figures.tail": TAIL_CURVES, "figures.first": TAIL_CURVES | {"seed": 1}})
    figures = study.papers["study"]["figures"]
    told = outputs.figure_settings(study, "study", figures["tail"])
    assert [(part["method"], part["seed"]) for part in told["sources"]] == [
        ("bce", 0),
        ("bce", 1),
        ("edge", 0),
        ("edge", 1),
    ]
    assert (told["tail_steps"], told["targets"]) == ([0, 2], ["set:held_out_mosaics", "set:scrambled_mosaics"])
    assert (told["seed"], "head_classes" in told) == (None, False)
    assert outputs.figure_caption(study, figures["tail"]).endswith(
        "Mean over seeds 0, 1 (band: standard deviation), protocol corrected."
    )
    alone = outputs.figure_settings(study, "study", figures["first"])
    assert [part["seed"] for part in alone["sources"]] == [1, 1]
    assert alone["seed"] == 1
    assert "Seed 1, protocol" in outputs.figure_caption(study, figures["first"])


def test_a_figure_of_a_group_is_drawn_only_where_the_group_is_whole(tmp_path):
    changes = {
        "figures.tail": TAIL_CURVES | {"group": "near"},
        "benchmarks.mosaics.ood.scrambled_mosaics.groups": ["near"],
    }
    whole = study_of(tmp_path, changes)
    entry = whole.papers["study"]["figures"]["tail"]
    assert outputs.drawable(whole, "study", entry)
    assert outputs.figure_settings(whole, "study", entry)["targets"] == ["group:near"]
    part = study_of(tmp_path, changes, {"datasets.unavailable": ["scrambled_mosaics"]})
    assert not outputs.drawable(part, "study", entry)


def test_steps_and_head_are_told_to_several_labels_and_to_nothing_else(tmp_path):
    study = study_of(tmp_path)
    digits, mosaics = (steps.evaluate_settings(study, study.runs(name)[0]) for name in ("digits", "mosaics"))
    assert set(digits) == {"task", "sets", "groups", "bootstrap"}
    assert (mosaics["head_classes"], mosaics["tail_steps"]) == (1, [0, 2])
    assert mosaics["classes"] == ["0", "2", "3", "4", "5", "6", "8"]
    bare = {"benchmarks.mosaics.head_classes": DROP, "benchmarks.mosaics.tail_steps": DROP, "figures.energies": DROP}
    without = study_of(tmp_path, bare)
    told = steps.evaluate_settings(without, without.runs("mosaics")[0])
    assert set(mosaics) - set(told) == {"head_classes", "tail_steps"}
    before, after = everything(study), everything(without)
    assert all(before[run][:3] == after[run][:3] for run in before)  # nothing but the evaluation changes


def test_the_code_of_several_labels_concerns_no_evaluation_of_one(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr("methods.settings.digests.source_digest", lambda modules, scripts: asked.append(list(modules)))
    study = study_of(tmp_path)
    for name in ("digits", "mosaics"):
        digests.evaluate_digest(study, study.runs(name)[0])
    assert asked == [["methods.metrics.evaluation"], ["methods.metrics.evaluation", "methods.metrics.multilabel"]]


def guest_paper(folder, **benchmark):
    paper = {
        "name": "guest",
        "title": "Guest",
        "benchmarks": {"digits": benchmark},
        "recipes": {"guest": PAPER["recipes"]["plain"]},
        "scores": {"msp": {"score": "msp", "label": "MSP"}},
        "evaluate": {"digits": {"guest": ["msp"]}},
    }
    path = folder / "guest.yaml"
    path.write_text(yaml.safe_dump(paper))
    return str(path)


def test_a_benchmark_can_be_used_from_a_paper_that_is_not_run(tmp_path):
    study = load_study({"papers": [guest_paper(tmp_path, use="demo")]})
    assert list(study.evaluate["digits"]) == ["guest"]
    assert study.benchmarks["digits"]["title"] == "Digits"
    both = load_study({"papers": ["demo", guest_paper(tmp_path, use="demo")]})
    assert set(both.evaluate["digits"]) == {"cross_entropy", "adapt", "guest"}
    assert both.benchmarks["digits"] == study.benchmarks["digits"]


def test_a_used_benchmark_must_exist_and_carry_nothing_else(tmp_path):
    with pytest.raises(ReproError, match=r"lacks the key 'task'"):
        load_study({"papers": [guest_paper(tmp_path, title="Digits")]})
    with pytest.raises(ReproError, match=r"benchmarks.digits"):
        load_study({"papers": [guest_paper(tmp_path, use="demo", title="Digits")]})


def test_the_tables_of_a_paper_do_not_depend_on_other_papers(tmp_path):
    alone = study_of(tmp_path)
    joined = study_of(tmp_path)
    joined.evaluate["digits"]["guest"] = ["msp"]
    joined.evaluate["digits"]["plain"].append("knn10")
    for study in (alone, joined):
        study.papers["study"]["evaluate"] = {"digits": {"plain": ["msp"]}, **study.papers["study"]["evaluate"]}
    entry = alone.papers["study"]["tables"]["main"]
    assert outputs.table_settings(joined, "study", entry) == outputs.table_settings(alone, "study", entry)


@pytest.mark.parametrize("text", ["[0, 1, 2]", "[7]"])
def test_seeds_given_on_the_command_line_arrive_as_texts_and_become_numbers(text):
    leaves = yaml.load(text, Loader=yaml.BaseLoader)
    assert load_config({"seeds": leaves})["seeds"] == yaml.safe_load(text)


def test_numbers_and_truth_values_inside_mappings_become_what_the_schema_asks_for():
    found = load_config({"hardware": {"checkpoint_seconds": "5", "deterministic": "false", "extraction_batch": "7"}})
    assert found["hardware"]["checkpoint_seconds"] == 5
    assert found["hardware"]["deterministic"] is False
    assert found["hardware"]["extraction_batch"] == 7


@pytest.mark.parametrize(("text", "value"), [("true", True), ("False", False)])
def test_offline_given_on_the_command_line_becomes_a_truth_value(text, value):
    assert load_config({"offline": text})["offline"] is value


def test_a_native_render_of_another_size_is_found_before_the_first_job(tmp_path):
    with pytest.raises(ReproError, match=r"benchmarks.digits.render asks for 12 pixels .* digits has 8x8"):
        study_of(tmp_path, {"benchmarks.digits.render.size": 12})


def test_settings_of_prepared_images_hold_what_identifies_them(tmp_path):
    told = steps.prepare_settings(study_of(tmp_path), "digits", "test", {"size": 8, "resize": "native"})
    hashes = ("list", "list_sha256", "content_sha256")
    assert set(told) == {"dataset", "split", "reader", "render", "classes", "count", *hashes}


def test_a_study_is_checked_without_torch_or_pandas():
    code = (
        "import sys; from methods.settings.load import load_study; from methods.settings import digests\n"
        "study = load_study({'papers': ['demo']})\n"
        "[digests.train_digest(study, run) for name in study.evaluate for run in study.runs(name)]\n"
        "print({'torch', 'pandas', 'torchvision'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_complete_part_has_every_parameter_with_a_default():
    for package, name in PARTS:
        parameters = registry.records(package)[name]["parameters"]
        filled = complete_part(package, "part", {"part": name}, "part")
        assert set(filled) == {"part", *(key for key, part in parameters.items() if "default" in part)}


def places(document, prefix=()):
    """Every place of a document, as a tuple of keys."""
    for key, value in document.items():
        yield (*prefix, key)
        if isinstance(value, dict):
            yield from places(value, (*prefix, key))


JUNK = [None, True, -1, 2.5, "", "digits", [], [None], ["plain"], {}, {"name": []}, {1: 2}, 10**30]


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(list(places(PAPER))), st.sampled_from(JUNK))
def test_a_wrong_value_anywhere_is_taken_or_refused_in_a_sentence(place, junk):
    document = json.loads(json.dumps(PAPER))
    inner = document
    for key in place[:-1]:
        inner = inner[key]
    inner[place[-1]] = junk
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(ReproError):
        assert everything(load_study({"papers": [paper_file(Path(folder), document)]})) != {}


def test_a_score_that_a_run_cannot_give_is_left_out_with_the_reason(tmp_path):
    study = study_of(tmp_path, {"evaluate.digits.adapt": ["msp", "knn10"]})
    assert study.evaluate["digits"]["adapt"] == ["knn10"]
    assert "msp" in study.evaluate["digits"]["plain"]
    notice = "msp is left out for adapt on digits: it needs logits (the recipe has no classifier head)"
    assert notice in study.notices
    shown = outputs.table_settings(study, "study", study.papers["study"]["tables"]["main"])
    assert [part[0] for part in shown["left_out_scores"]] == ["Label of MSP"]
    assert steps.score_settings(study, Run("digits", "adapt", "corrected", 0)).keys() == {"knn10"}
