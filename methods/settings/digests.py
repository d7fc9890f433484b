"""Which code each step depends on: digests of its script, of the engine behind it and of the modules that a
run names.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from methods.registry import module_name
from methods.settings import steps
from methods.settings.study import Run, Study
from methods.source_digest import source_digest

_NETWORK = "workflow_scripts.network"
_VIEWS = "methods.features.random_views"
_NETWORK_SCORES = ("methods.features.network_scores", _VIEWS, "methods.features.score_store", "methods.training.device")


def prepare_digest(study: Study, dataset: str, split: str) -> str:
    """Digest of the code that prepares a split."""
    reader = study.catalog[dataset]["splits"][split]["reader"]["name"]
    return step_digest("prepare_images", "methods.data.prepare", module_name("data.readers", reader))


def train_digest(study: Study, run: Run) -> str:
    """Digest of the engine and of the objective and network the run names, or of the import of a checkpoint."""
    if "checkpoint" in study.recipe(run):
        readers = ["methods.networks.foreign"] if study.imported(run.method, run.benchmark) else []
        return step_digest("train", *readers, "methods.networks.weights", _network_module(study, run))
    return step_digest("train", "methods.training.fit", "methods.networks.weights", *_named(study, run))


def extract_digest(study: Study, run: Run) -> str:
    """Digest of feature extraction with the network the run names."""
    engine = ["methods.features.extract", "methods.features.store", "methods.training.device", _VIEWS]
    return source_digest([*engine, _network_module(study, run)], _scripts("extract_features", _NETWORK))


def score_digest(study: Study, run: Run) -> str:
    """Digest of the scores the run names."""
    engine = ["methods.scores.base", "methods.features.score_store"]
    modules = [*engine, *_score_modules(steps.score_settings(study, run))]
    return source_digest(modules, _scripts("fit_scores", "score"))


def tune_digest(study: Study, run: Run) -> str:
    """Digest of tuning, with the scores that the run tunes and its network if one of them needs it."""
    chosen = steps.tune_settings(study, run)
    through = ["methods.features.network_tuning", *_NETWORK_SCORES, _network_module(study, run)]
    scores = _score_modules({**chosen["arrays"], **chosen["network"]})
    engine = ["methods.scores.tuning", "methods.features.score_store", *(through if chosen["network"] else ())]
    return source_digest([*engine, *scores], _scripts("tune_scores", _NETWORK))


def network_score_digest(study: Study, run: Run) -> str:
    """Digest of the network scores that the run names, with its network."""
    scores = _score_modules(steps.network_score_settings(study, run)["instances"])
    modules = [*_NETWORK_SCORES, _network_module(study, run), *scores]
    return source_digest(modules, _scripts("score_network", _NETWORK))


def evaluate_digest(study: Study, run: Run) -> str:
    """Digest of the metrics, with those of several labels an image where the benchmark has them."""
    several = study.benchmarks[run.benchmark]["task"] == "multi_label"
    labels = ["methods.metrics.multilabel"] if several else []
    return step_digest("evaluate", "methods.metrics.evaluation", *labels)


def readout_digest() -> str:
    """Digest of what takes classifier and prototypes from a model."""
    return step_digest("extract_readout", "methods.features.readout", "methods.features.store")


def table_digest(entry: Mapping[str, Any]) -> str:
    """Digest of the kind of a table."""
    return step_digest("make_table", module_name("reporting.tables", entry["kind"]), "methods.reporting.latex")


def figure_digest(entry: Mapping[str, Any]) -> str:
    """Digest of the kind of a figure."""
    return step_digest("make_figure", module_name("reporting.figures", entry["kind"]))


def step_digest(rule: str, *modules: str) -> str:
    """Digest of a rule's script and of the modules behind it."""
    return source_digest(modules, _scripts(rule))


def _scripts(*names: str) -> list[str]:
    """Modules of the scripts of rules; what has a dot is one already."""
    return [name if "." in name else f"workflow_scripts.{name}" for name in names]


def _score_modules(instances: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {module_name("scores", part["score"]) for part in instances.values()}


def _network_module(study: Study, run: Run) -> str:
    return module_name("networks", study.benchmarks[run.benchmark]["network"]["name"])


def _named(study: Study, run: Run) -> Iterable[str]:
    yield module_name("objectives", study.recipe(run)["objective"]["name"])
    yield _network_module(study, run)
