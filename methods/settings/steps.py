"""What each step of the chain is told: the canonical settings that shape its result.

Settings hold nothing that leaves the result as it is (labels, captions, devices), so that changing such a thing
reruns nothing.
"""

from collections.abc import Mapping
from typing import Any

from methods.provenance import fingerprint
from methods.registry import records
from methods.settings import tuning
from methods.settings.imports import import_settings, snapshot_run
from methods.settings.pretrained import ROLE, weights_file
from methods.settings.study import Run, Study
from methods.training.switches import resolve_switches, told_switches

TRAINED = (
    "augmentation",
    "optimiser",
    "schedule",
    "epochs",
    "snapshots",
    "batch",
    "outlier_batch",
    "selection",
    "cpu_threads",
)

PREPARED = ("count", "list", "list_sha256", "select", "exclude", "ids_sha256", "content_sha256")
# Switches that shape other settings, not the training itself
_SETTLED = ("checkpoint_rule", "eval_transform", "final_model", "train_eval_norm")
TAIL_KEYS = ("head_classes", "tail_steps")  # of benchmarks with several labels an image


def prepare_settings(study: Study, dataset: str, split: str, render: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of one split of the image store."""
    record = study.catalog[dataset]
    part = record["splits"][split]
    known = {key: part[key] for key in PREPARED if key in part}
    if "without" in part:
        others = [record["splits"][name] for name in part["without"]]
        known["without"] = [[other["list"], other["list_sha256"]] for other in others]
    if record["classes"] or record["task"] == "none":
        known["classes"] = record["classes"]
    return {"dataset": dataset, "split": split, "reader": part["reader"], "render": dict(render), **known}


def train_settings(study: Study, run: Run) -> dict[str, Any]:
    """Settings of one training."""
    recipe, benchmark = study.recipe(run), study.benchmarks[run.benchmark]
    switches = resolved_switches(study, run)
    if "checkpoint" in recipe:
        imported = {"imported": import_settings(recipe), "architecture": architecture(study, run)}
        if (base := snapshot_run(study, run)) is not None:
            imported["imported"]["training"] = fingerprint(train_settings(study, base))
        return {**imported, "protocol": run.protocol, "seed": run.seed, "objective": recipe["objective"]}
    return {
        "task": benchmark["task"],
        "architecture": architecture(study, run),
        "normalisation": normalisation(study, run),
        "data": {role: "/".join(part) for role, part in _read_by_training(study, run).items()},
        "objective": recipe["objective"],
        "switches": {name: value for name, value in told_switches(switches).items() if name not in _SETTLED},
        "precision": study.precision(run.method, run.benchmark),
        "protocol": run.protocol,
        "seed": run.seed,
        **{key: recipe[key] for key in TRAINED if key in recipe},
        "selection": {"rule": selection_rule(study, run)},
    }


def resolved_switches(study: Study, run: Run) -> dict[str, Any]:
    """Every switch that concerns the objective of a run, with its value under the protocol or the recipe's own."""
    recipe = study.recipe(run)
    return resolve_switches(records("objectives")[recipe["objective"]["name"]], run.protocol, recipe["switches"])


def selection_rule(study: Study, run: Run) -> str:
    """Which weights are kept: what the recipe says, unless a switch knows better what the release does.

    checkpoint_rule speaks where the recipe says `last`, final_model where it says `best_validation`.
    """
    own, switches = study.recipe(run)["selection"]["rule"], resolved_switches(study, run)
    if own == "best_validation":
        return "last" if switches.get("final_model") == "last_epoch" else own
    return switches.get("checkpoint_rule", own) if own == "last" else own


def architecture(study: Study, run: Run) -> dict[str, Any]:
    """What a model is built from: network, number of classes, head, projector."""
    recipe, benchmark = study.recipe(run), study.benchmarks[run.benchmark]
    classes = len(study.catalog[benchmark["in_distribution"]["dataset"]]["classes"])
    parts = {key: recipe.get(key) for key in ("head", "projector")}
    return {"network": benchmark["network"], "classes": classes, **parts}


def train_sets(study: Study, run: Run) -> dict[str, tuple[str, str]]:
    """Role -> (data set, split) that a training reads; a checkpoint reads none."""
    benchmark, recipe = study.benchmarks[run.benchmark], study.recipe(run)
    if "checkpoint" in recipe:
        return {}
    source = benchmark["in_distribution"]
    sets = {"train": (source["dataset"], source["train"])}
    if recipe["selection"]["rule"] == "best_validation":
        sets["validation"] = (source["dataset"], source["validation"])
    if records("objectives")[recipe["objective"]["name"]]["needs_outliers"]:
        exposure = benchmark["outlier_exposure"]
        sets["outliers"] = (exposure["dataset"], exposure["split"])
    return sets


def _read_by_training(study: Study, run: Run) -> dict[str, tuple[str, str]]:
    """Role -> (data set, split) of the images, and (name, file) of the weights that the network starts from."""
    weights = weights_file(study, run)
    return {**train_sets(study, run), **({ROLE: weights} if weights else {})}


def normalisation(study: Study, run: Run) -> dict[str, Any]:
    """Channel statistics of the recipe if it has its own, else of the benchmark."""
    return study.recipe(run).get("normalisation", study.benchmarks[run.benchmark]["normalisation"])


def evaluation_normalisation(study: Study, run: Run) -> dict[str, Any]:
    """That of training or, where the switch train_eval_norm says so, the other one that the recipe names."""
    other = study.recipe(run).get("evaluation_normalisation")
    mismatched = resolved_switches(study, run).get("train_eval_norm") == "mismatched"
    return other if other and mismatched else normalisation(study, run)


def extract_settings(study: Study, run: Run, dataset: str, split: str) -> dict[str, Any]:
    """Settings of the extraction of one split, with the training whose model it must be."""
    views = evaluation_views(study, run, dataset, split)
    return {**_model_settings(study, run), "dataset": dataset, "split": split, **views}


def evaluation_views(study: Study, run: Run, dataset: str, split: str) -> dict[str, Any]:
    """``views``: the random ones of a split's images, where the switch eval_transform evaluates through them.

    They concern OOD sets, and ID test images where the benchmark says that the release takes these so too.
    """
    benchmark = study.benchmarks[run.benchmark]
    source = benchmark["in_distribution"]
    parts = [(name, part["split"]) for name, part in benchmark["ood"].items()]
    if benchmark.get("released_id_transform") == "random":
        parts.append((source["dataset"], source["test"]))
    if resolved_switches(study, run).get("eval_transform") != "released_random" or (dataset, split) not in parts:
        return {}
    augmentation = study.recipe(run)["augmentation"]
    return {"views": {"augmentation": augmentation, "seed": run.seed, "name": f"{dataset}/{split}"}}


def _model_settings(study: Study, run: Run) -> dict[str, Any]:
    """How a trained network is taken up, and the training whose model it must be."""
    return {
        "architecture": architecture(study, run),
        "training": fingerprint(train_settings(study, run)),
        "normalisation": evaluation_normalisation(study, run),
        "cpu_threads": study.recipe(run)["cpu_threads"],
    }


def score_settings(study: Study, run: Run) -> dict[str, dict[str, Any]]:
    """Score instances of a run with their hyper-parameters, and for those that are tuned the values to try."""
    return {name: tuning.settled(study, run.benchmark, name) for name in study.evaluate[run.benchmark][run.method]}


def tune_settings(study: Study, run: Run) -> dict[str, Any]:
    """Tuned instances of a run by what they are computed from, the splits, and the training behind network scores."""
    parts = {key: _with_network(study, run, key == "network") for key in ("arrays", "network")}
    parts = {key: {n: part for n, part in found.items() if "tune" in part} for key, found in parts.items()}
    model = _model_settings(study, run) if parts["network"] else {}
    return {**model, **parts, "parts": [list(part) for part in tuning.splits(study, run.benchmark)]}


def tuned(study: Study, run: Run) -> bool:
    """Whether an instance of the run is tuned."""
    return any("tune" in part for part in score_settings(study, run).values())


def fits_on_validation(study: Study, run: Run) -> bool:
    """Whether an instance of the run learns from ID validation features, or may be chosen to."""
    return any(map(tuning.fits_on_validation, score_settings(study, run).values()))


def validation_parts(study: Study, run: Run) -> list[tuple[str, str]]:
    """(data set, split) whose images a run needs to tune or fit its scores."""
    parts = tuning.splits(study, run.benchmark)
    if tuned(study, run):
        return parts
    return parts[:1] if fits_on_validation(study, run) else []


def network_score_settings(study: Study, run: Run, *part: str) -> dict[str, Any]:
    """Score instances of a run that need network and images, and the training whose model it must be.

    ``part`` is the data set and split that are scored.
    """
    views = evaluation_views(study, run, *part) if part else {}
    return {**_model_settings(study, run), "instances": _with_network(study, run, True), **views}


def array_score_settings(study: Study, run: Run) -> dict[str, dict[str, Any]]:
    """Score instances of a run that need features alone."""
    return _with_network(study, run, False)


def _with_network(study: Study, run: Run, wanted: bool) -> dict[str, dict[str, Any]]:
    known = records("scores")
    instances = score_settings(study, run)
    return {name: part for name, part in instances.items() if ("network" in known[part["score"]]["needs"]) == wanted}


def evaluate_settings(study: Study, run: Run) -> dict[str, Any]:
    """Which sets and groups are evaluated; the groups keep sets that cannot be had here."""
    benchmark = study.benchmarks[run.benchmark]
    groups: dict[str, list[str]] = {}
    for dataset, part in benchmark["ood"].items():
        for group in part["groups"]:
            groups.setdefault(group, []).append(dataset)
    sets, resamples = sorted(study.ood_sets(run.benchmark)), study.config["bootstrap"]
    common = {"task": benchmark["task"], "sets": sets, "groups": groups, "bootstrap": resamples}
    if benchmark["task"] == "single_label":
        return common
    classes = study.catalog[benchmark["in_distribution"]["dataset"]]["classes"]
    return {**common, "classes": classes, **{key: benchmark[key] for key in TAIL_KEYS if key in benchmark}}


def scores_need_training_set(study: Study, run: Run) -> bool:
    """Whether a score of the run works on the training embeddings themselves."""
    known = records("scores")
    return any("train_embedding" in known[part["score"]]["needs"] for part in score_settings(study, run).values())


def scores_use_gpu(study: Study, run: Run) -> bool:
    """Whether a score of the run that is computed from features searches on a GPU where there is one."""
    known = records("scores")
    return any(known[part["score"]].get("accelerated") for part in array_score_settings(study, run).values())
