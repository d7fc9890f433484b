"""What each step of the chain is told: the canonical settings that shape its result, and the modules it names.

Settings hold nothing that leaves the result as it is (labels, captions, devices), so that changing such a thing
reruns nothing.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from methods.provenance import fingerprint
from methods.registry import module_name, records
from methods.settings.study import Run, Study
from methods.source_digest import source_digest
from methods.training.switches import resolve_switches

TRAINED = (
    "augmentation",
    "optimiser",
    "schedule",
    "epochs",
    "batch",
    "outlier_batch",
    "selection",
    "cpu_threads",
)


PREPARED = ("count", "list", "list_sha256", "select", "exclude", "ids_sha256", "content_sha256")


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
    record = records("objectives")[recipe["objective"]["name"]]
    return {
        "task": benchmark["task"],
        "architecture": architecture(study, run),
        "normalisation": normalisation(study, run),
        "data": {role: "/".join(part) for role, part in train_sets(study, run).items()},
        "objective": recipe["objective"],
        "switches": resolve_switches(record, run.protocol, recipe["switches"]),
        "precision": study.config["precision"],
        "protocol": run.protocol,
        "seed": run.seed,
        **{key: recipe[key] for key in TRAINED if key in recipe},
    }


def architecture(study: Study, run: Run) -> dict[str, Any]:
    """What a model is built from: network, number of classes, head, projector."""
    recipe, benchmark = study.recipe(run), study.benchmarks[run.benchmark]
    classes = len(study.catalog[benchmark["in_distribution"]["dataset"]]["classes"])
    parts = {key: recipe.get(key) for key in ("head", "projector")}
    return {"network": benchmark["network"], "classes": classes, **parts}


def train_sets(study: Study, run: Run) -> dict[str, tuple[str, str]]:
    """Role -> (data set, split) that a training reads."""
    benchmark, recipe = study.benchmarks[run.benchmark], study.recipe(run)
    source = benchmark["in_distribution"]
    sets = {"train": (source["dataset"], source["train"])}
    if recipe["selection"]["rule"] == "best_validation":
        sets["validation"] = (source["dataset"], source["validation"])
    if records("objectives")[recipe["objective"]["name"]]["needs_outliers"]:
        exposure = benchmark["outlier_exposure"]
        sets["outliers"] = (exposure["dataset"], exposure["split"])
    return sets


def normalisation(study: Study, run: Run) -> dict[str, Any]:
    """Channel statistics of the recipe if it has its own, else of the benchmark."""
    return study.recipe(run).get("normalisation", study.benchmarks[run.benchmark]["normalisation"])


def extract_settings(study: Study, run: Run, dataset: str, split: str) -> dict[str, Any]:
    """Settings of the extraction of one split, with the training whose model it must be."""
    return {**_model_settings(study, run), "dataset": dataset, "split": split}


def _model_settings(study: Study, run: Run) -> dict[str, Any]:
    """How a trained network is taken up, and the training whose model it must be."""
    return {
        "architecture": architecture(study, run),
        "training": fingerprint(train_settings(study, run)),
        "normalisation": normalisation(study, run),
        "cpu_threads": study.recipe(run)["cpu_threads"],
    }


def score_settings(study: Study, run: Run) -> dict[str, dict[str, Any]]:
    """Score instances of a run with their hyper-parameters."""
    return {name: _unlabelled(study.scores[name]) for name in study.evaluate[run.benchmark][run.method]}


def network_score_settings(study: Study, run: Run) -> dict[str, Any]:
    """Score instances of a run that need network and images, and the training whose model it must be."""
    return {**_model_settings(study, run), "instances": _with_network(study, run, True)}


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
    return {"task": benchmark["task"], "sets": sets, "groups": groups, "bootstrap": resamples}


def _unlabelled(score: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in score.items() if key != "label"}


def prepare_digest(study: Study, dataset: str, split: str) -> str:
    """Digest of the code that prepares a split."""
    reader = study.catalog[dataset]["splits"][split]["reader"]["name"]
    return source_digest(["methods.data.prepare", module_name("data.readers", reader)])


def train_digest(study: Study, run: Run) -> str:
    """Digest of the engine and of the objective and network the run names."""
    return source_digest(["methods.training.fit", "methods.networks.weights", *_named(study, run)])


def extract_digest(study: Study, run: Run) -> str:
    """Digest of feature extraction with the network the run names."""
    network = study.benchmarks[run.benchmark]["network"]["name"]
    engine = ["methods.features.extract", "methods.features.store", "methods.training.device"]
    return source_digest([*engine, module_name("networks", network)])


def score_digest(study: Study, run: Run) -> str:
    """Digest of the scores the run names."""
    names = {part["score"] for part in score_settings(study, run).values()}
    engine = ["methods.scores.base", "methods.features.score_store"]
    return source_digest([*engine, *(module_name("scores", name) for name in names)])


def network_score_digest(study: Study, run: Run) -> str:
    """Digest of the network scores that the run names, with its network."""
    names = {part["score"] for part in _with_network(study, run, True).values()}
    network = study.benchmarks[run.benchmark]["network"]["name"]
    engine = ["methods.features.network_scores", "methods.features.score_store", "methods.training.device"]
    return source_digest([*engine, module_name("networks", network), *(module_name("scores", name) for name in names)])


def scores_need_training_set(study: Study, run: Run) -> bool:
    """Whether a score of the run works on the training embeddings themselves."""
    known = records("scores")
    return any("train_embedding" in known[part["score"]]["needs"] for part in score_settings(study, run).values())


def digest(*modules: str) -> str:
    """Digest of a step that names its modules itself."""
    return source_digest(modules)


def _named(study: Study, run: Run) -> Iterable[str]:
    yield module_name("objectives", study.recipe(run)["objective"]["name"])
    yield module_name("networks", study.benchmarks[run.benchmark]["network"]["name"])
