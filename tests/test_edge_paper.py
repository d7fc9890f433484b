"""Claims about papers/edge.yaml and the small ones beside it: what EDGE and its rivals specify."""

import os
from pathlib import Path

import pytest

from methods.data.catalog import load_catalog
from methods.data.overlap import share_images, shared_classes
from methods.settings.load import load_study
from methods.settings.papers import complete_recipe, load_paper, recipe_on, resolve_recipe

CATALOG = load_catalog()
EDGE, ANIMALS, PLACES = load_paper("edge"), load_paper("voc_animals"), load_paper("miniplaces")
COCO_MINI, ABLATION = load_paper("coco_mini"), load_paper("edge_ablation")
RESNETS, DENSENETS = ("voc", "coco", "nuswide"), ("voc-densenet", "coco-densenet", "nuswide-densenet")
TRAINED = ("bce", "edge", "outlier_exposure", "energy_bounded", "oecc", "asl", "focal", "logitnorm_multilabel")
EXPOSED = ("edge", "outlier_exposure", "energy_bounded", "oecc")


def recipe(name, benchmark="voc", paper=EDGE):
    return complete_recipe(recipe_on(resolve_recipe(paper, name), benchmark), name)


MULTI_LABEL = ["edge", "voc_animals", "miniplaces", "coco_mini", "edge_ablation"]


@pytest.mark.parametrize("paper", [*([name] for name in MULTI_LABEL), ["adapt", "cifar100_small", *MULTI_LABEL]])
def test_the_papers_are_valid_alone_and_together(paper):
    assert set(load_study({"papers": paper, "seeds": [0, 1, 2]}).papers) == set(paper)


@pytest.mark.parametrize("name", TRAINED)
def test_all_methods_have_the_network_and_training_of_the_readme_command(name):
    own = recipe(name)
    assert own["optimiser"] == {
        "name": "sgd",
        "learning_rate": 0.1,
        "momentum": 0.9,
        "nesterov": True,
        "weight_decay": 1e-4,
        "backbone_rate_share": 1.0,
    }
    assert own["schedule"]["name"] == "one_cycle"
    assert (own["epochs"], own["batch"]) == (100, 128)
    assert own.get("outlier_batch") == (128 if name in EXPOSED else None)
    assert own["head"] == {"kind": "two_layer", "hidden": 1000}
    assert own["selection"] == {"rule": "best_validation"}


@pytest.mark.parametrize("name", [*TRAINED, "bce_adam"])
def test_training_views_are_a_flip_and_a_crop_of_at_least_half_the_area(name):
    crop = {"area": [0.5, 1.0], "aspect": [3 / 4, 4 / 3]}
    assert recipe(name)["augmentation"] == {"horizontal_flip": 0.5, "random_resized_crop": crop}


OBJECTIVES = {
    "bce": {"name": "bce"},
    "edge": {"name": "edge", "alpha": 1.0, "beta": 0.1, "top_k": 32, "margin": 0.0, "start_epoch": 50},
    "outlier_exposure": {"name": "outlier_exposure", "id_loss": "bce", "outlier_weight": 0.5},
    "energy_bounded": {
        "name": "energy_bounded",
        "id_loss": "bce",
        "energy_weight": 0.1,
        "margin_in": 25.0,
        "margin_out": 7.0,
    },
    "oecc": {"name": "oecc", "training_accuracy": 0.8801, "lambda1": 0.07, "lambda2": 0.05},
    "asl": {"name": "asl", "gamma_positive": 1.0, "gamma_negative": 4.0, "clip": 0.05, "reduction": "mean"},
    "focal": {"name": "focal", "gamma": 4.0, "reduction": "mean"},
    "logitnorm_multilabel": {"name": "logitnorm", "temperature": 1.0},
}


@pytest.mark.parametrize("name", TRAINED)
def test_objectives_have_the_constants_of_the_release(name):
    assert recipe(name)["objective"] == OBJECTIVES[name]


def test_oecc_is_drawn_to_the_map_of_each_set():
    found = [recipe("oecc", benchmark)["objective"]["training_accuracy"] for benchmark in RESNETS]
    assert found == [0.8801, 0.7573, 0.6018]


def test_joint_energy_is_trained_as_upstream():
    own = recipe("bce_adam", "voc-densenet")
    assert (own["optimiser"]["name"], own["optimiser"]["learning_rate"]) == ("adam", 1e-4)
    assert own["optimiser"]["weight_decay"] == 0
    assert own["optimiser"]["learning_rate"] * own["optimiser"]["backbone_rate_share"] == pytest.approx(1e-5)
    assert (own["epochs"], own["batch"], own["schedule"]["name"]) == (50, 200, "constant")
    assert own["selection"] == {"rule": "last"}


VARIANTS = [name for name in EDGE["recipes"] if name.startswith("edge-")]


@pytest.mark.parametrize("name", VARIANTS)
def test_a_variant_of_edge_differs_in_one_value_of_the_objective(name):
    own, whole = recipe(name), recipe("edge")
    assert [key for key in whole if own[key] != whole[key]] == ["label", "objective"]
    assert len([key for key in whole["objective"] if own["objective"][key] != whole["objective"][key]]) == 1
    assert name in EDGE["evaluate"]["voc"]
    assert any(name in table.get("methods", ()) for table in EDGE["tables"].values())


def test_every_constant_of_edge_is_varied():
    whole = recipe("edge")["objective"]
    varied = {key for name in VARIANTS for key in whole if recipe(name)["objective"][key] != whole[key]}
    assert varied == {"alpha", "beta", "top_k", "margin", "start_epoch"}


@pytest.mark.parametrize("name", EDGE["benchmarks"])
def test_benchmarks_of_edge_have_its_images(name):
    own = EDGE["benchmarks"][name]
    assert own["render"] == {"size": 256, "resize": "square"}
    assert own["normalisation"] == {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}
    resnet = {"name": "resnet", "depth": 50, "weights": "imagenet"}
    assert own["network"] == ({"name": "densenet121", "weights": "imagenet"} if name in DENSENETS else resnet)
    assert own["in_distribution"]["test"] == ("test" if name == "nuswide-densenet" else "val")
    assert ("outlier_exposure" in own) == (name not in DENSENETS)


PAPER = {"textures", "places_mos", "isun", "inaturalist_mos", "lsun_c", "svhn"}
CODE = {"textures", "places_mos", "sun_mos", "inaturalist_mos", "lsun_c", "svhn", "mnist"}


def group(benchmark, name):
    return {ood for ood, part in EDGE["benchmarks"][benchmark]["ood"].items() if name in part["groups"]}


@pytest.mark.parametrize("name", RESNETS)
def test_the_sets_of_the_paper_and_of_the_released_code_are_both_there(name):
    assert EDGE["benchmarks"][name]["outlier_exposure"]["dataset"] == "imagenet22k_subset"
    assert group(name, "edge_paper") == {"nus_ood", *PAPER}
    assert group(name, "edge_code") == {"nus_ood", *CODE}


def test_scenes_as_outliers_leave_the_papers_seven_sets():
    assert group("voc-scenes", "edge_paper") == {"imagenet22k_subset", *PAPER}


@pytest.mark.parametrize("name", DENSENETS)
def test_joint_energy_is_tested_on_its_three_sets(name):
    imagenet = "nus_ood" if name.startswith("nuswide") else "imagenet22k_subset"
    assert group(name, "joint_energy_three") == {imagenet, "textures", "mnist"}


def test_tail_steps_are_those_of_the_release():
    assert EDGE["benchmarks"]["voc"]["tail_steps"] == [0, *range(1, 20, 2)]
    assert EDGE["benchmarks"]["coco"]["tail_steps"] == [*range(11), 20, 40, 60]
    assert EDGE["benchmarks"]["nuswide"]["tail_steps"] == [*range(11), 20, 40, 60]


BENCHMARK = ANIMALS["benchmarks"]["voc-animals"]
CANDIDATES = [("imagenet_1000", "without_voc"), ("miniplaces_objects", "outliers"), ("dtd_128", "outliers")]


def test_voc_animals_normalises_as_its_weights_expect():
    assert BENCHMARK["normalisation"]["mean"] == pytest.approx([127 / 255] * 3)
    assert BENCHMARK["normalisation"]["std"] == pytest.approx([128 / 255] * 3)
    assert BENCHMARK["render"] == {"size": 128, "resize": "square"}
    assert "subset" in BENCHMARK["title"]


@pytest.mark.parametrize("candidate", CANDIDATES)
def test_no_candidate_for_the_outliers_of_voc_animals_overlaps_what_is_tested(candidate):
    assert shared_classes(CATALOG, "voc2012_animals", *candidate) == []
    tested = [(name, part["split"]) for name, part in BENCHMARK["ood"].items()]
    tested += [(name, part["split"]) for name, part in BENCHMARK["ood_validation"].items()]
    assert not any(share_images(CATALOG, candidate, part) for part in tested)


@pytest.mark.parametrize(
    ("name", "benchmark", "paper"),
    [
        ("edge_animals", "voc-animals", ANIMALS),
        ("edge_places", "miniplaces-objects", PLACES),
        ("edge_coco_mini", "coco-mini", COCO_MINI),
    ],
)
def test_edge_on_a_small_set_is_scaled_down_from_the_paper(name, benchmark, paper):
    own, whole = recipe(name, benchmark, paper), recipe("edge")
    assert own["objective"]["top_k"] / own["batch"] == whole["objective"]["top_k"] / whole["batch"]
    assert own["objective"]["start_epoch"] / own["epochs"] == whole["objective"]["start_epoch"] / whole["epochs"]
    same = ("name", "alpha", "beta", "margin")
    assert [own["objective"][key] for key in same] == [whole["objective"][key] for key in same]
    assert own["batch"] == own["outlier_batch"]


def test_voc_animals_compares_the_three_methods_of_one_training():
    methods = ANIMALS["evaluate"]["voc-animals"]
    assert {"bce_animals", "outlier_exposure_animals", "edge_animals"} <= set(methods)
    whole = recipe("bce_animals", "voc-animals", ANIMALS)
    for name in ANIMALS["recipes"]:
        own = recipe(name, "voc-animals", ANIMALS)
        assert {key for key in whole if own[key] != whole[key]} <= {"label", "objective"}


SCENES = PLACES["benchmarks"]["miniplaces-objects"]


@pytest.mark.parametrize("candidate", [("imagenet_1000", "without_miniplaces"), ("dtd_128", "outliers")])
def test_no_candidate_for_the_outliers_of_miniplaces_overlaps_what_is_tested(candidate):
    assert SCENES["outlier_selection"]["candidates"][candidate[0]]["split"] == candidate[1]
    assert shared_classes(CATALOG, "miniplaces_objects", *candidate) == []
    tested = [(name, part["split"]) for name, part in (*SCENES["ood"].items(), *SCENES["ood_validation"].items())]
    assert not any(share_images(CATALOG, candidate, part) for part in tested)


def test_the_outliers_of_voc_animals_show_what_miniplaces_labels():
    shared = shared_classes(CATALOG, "miniplaces_objects", "imagenet_1000", "without_voc")
    assert {"wall", "sky", "plate", "building", "cup"} <= set(shared)


def test_no_animal_picture_has_a_label_of_miniplaces():
    for split in ("animals_alone", "ood_validation"):
        assert shared_classes(CATALOG, "miniplaces_objects", "voc2012_animals", split) == []


@pytest.mark.parametrize("name", ["bce", "edge", "outlier_exposure"])
def test_miniplaces_trains_as_voc_animals_for_half_the_epochs(name):
    own = recipe(f"{name}_places", "miniplaces-objects", PLACES)
    whole = recipe(f"{name}_animals", "voc-animals", ANIMALS)
    assert {key for key in whole if own[key] != whole[key]} <= {"epochs", "selection", "objective"}
    assert own["objective"] == whole["objective"] | ({"start_epoch": 2} if name == "edge" else {})
    assert (own["epochs"], whole["epochs"], own["selection"]) == (4, 8, {"rule": "last"})
    for key in ("render", "normalisation", "network"):
        assert SCENES[key] == BENCHMARK[key]


FEW = COCO_MINI["benchmarks"]["coco-mini"]


@pytest.mark.parametrize("candidate", [("imagenet_1000", "without_coco"), ("dtd_128", "outliers")])
def test_no_candidate_for_the_outliers_of_coco_mini_overlaps_what_is_tested(candidate):
    assert FEW["outlier_selection"]["candidates"][candidate[0]]["split"] == candidate[1]
    assert shared_classes(CATALOG, "coco_mini", *candidate) == []
    assert not any(share_images(CATALOG, candidate, (name, part["split"])) for name, part in FEW["ood"].items())
    assert not share_images(CATALOG, ("coco_mini", "train_part"), ("coco_mini", "val"))


@pytest.mark.parametrize("name", ["bce", "edge", "outlier_exposure"])
def test_coco_mini_trains_as_voc_animals_but_for_the_number_of_epochs(name):
    own, whole = recipe(f"{name}_coco_mini", "coco-mini", COCO_MINI), recipe(f"{name}_animals", "voc-animals", ANIMALS)
    assert {key for key in whole if own[key] != whole[key]} <= {"epochs", "selection", "objective"}
    assert own["objective"] == whole["objective"] | ({"start_epoch": 12} if name == "edge" else {})
    for key in ("render", "normalisation", "network"):
        assert FEW[key] == BENCHMARK[key]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("edge_animals", {}),
        ("edge_animals-without-gap", {"beta": 0.0}),
        ("edge_animals-without-outlier-term", {"alpha": 0.0}),
        ("edge_animals-k64", {"top_k": 64}),
        ("edge_animals-start0", {"start_epoch": 0}),
    ],
)
def test_the_ablation_changes_one_part_of_edge_and_shares_its_training(name, change):
    study = load_study({"papers": ["voc_animals", "edge_ablation"], "seeds": [0]})
    whole = recipe("edge_animals", "voc-animals", ANIMALS)
    own = study.recipe(next(iter(study.runs("voc-animals", [name]))))
    assert {key for key in whole if own[key] != whole[key]} <= {"label", "objective"}
    assert own["objective"] == whole["objective"] | change


@pytest.mark.skipif(
    not os.environ.get("OOD_REPRO_TEST_DATA"), reason="OOD_REPRO_TEST_DATA names no folder of real sets"
)
@pytest.mark.parametrize("paper", ["voc_animals", "miniplaces", "coco_mini", "edge_ablation"])
def test_a_small_paper_has_all_its_sets_in_the_real_data(tmp_path, paper):
    data = {"sources": [os.environ["OOD_REPRO_TEST_DATA"]], "folder": str(Path(tmp_path))}
    study = load_study({"papers": [paper], "seeds": [0], "data": data})
    assert not [notice for notice in study.notices if "ID set" in notice or "OOD set" in notice or "outlier" in notice]
