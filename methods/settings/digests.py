"""Which code each step of the chain depends on: digests of the engine behind it and of the modules that a run names."""

from collections.abc import Iterable, Mapping
from typing import Any

from methods.registry import module_name
from methods.settings import steps
from methods.settings.study import Run, Study
from methods.source_digest import source_digest

_VIEWS = "methods.features.random_views"
_NETWORK_SCORES = ("methods.features.network_scores", _VIEWS, "methods.features.score_store", "methods.training.device")


def prepare_digest(study: Study, dataset: str, split: str) -> str:
    """Digest of the code that prepares a split."""
    reader = study.catalog[dataset]["splits"][split]["reader"]["name"]
    return source_digest(["methods.data.prepare", module_name("data.readers", reader)])


def train_digest(study: Study, run: Run) -> str:
    """Digest of the engine and of the objective and network the run names, or of the import of a checkpoint."""
    if "checkpoint" in study.recipe(run):
        return source_digest(["methods.networks.foreign", "methods.networks.weights", _network_module(study, run)])
    return source_digest(["methods.training.fit", "methods.networks.weights", *_named(study, run)])


def extract_digest(study: Study, run: Run) -> str:
    """Digest of feature extraction with the network the run names."""
    engine = ["methods.features.extract", "methods.features.store", "methods.training.device", _VIEWS]
    return source_digest([*engine, _network_module(study, run)])


def score_digest(study: Study, run: Run) -> str:
    """Digest of the scores the run names."""
    engine = ["methods.scores.base", "methods.features.score_store"]
    return source_digest([*engine, *_score_modules(steps.score_settings(study, run))])


def tune_digest(study: Study, run: Run) -> str:
    """Digest of tuning, with the scores that the run tunes and its network if one of them needs it."""
    chosen = steps.tune_settings(study, run)
    through = ["methods.features.network_tuning", *_NETWORK_SCORES, _network_module(study, run)]
    scores = _score_modules({**chosen["arrays"], **chosen["network"]})
    engine = ["methods.scores.tuning", "methods.features.score_store", *(through if chosen["network"] else ())]
    return source_digest([*engine, *scores])


def network_score_digest(study: Study, run: Run) -> str:
    """Digest of the network scores that the run names, with its network."""
    scores = _score_modules(steps.network_score_settings(study, run)["instances"])
    return source_digest([*_NETWORK_SCORES, _network_module(study, run), *scores])


def evaluate_digest(study: Study, run: Run) -> str:
    """Digest of the metrics, with those of several labels an image where the benchmark has them."""
    several = study.benchmarks[run.benchmark]["task"] == "multi_label"
    return source_digest(["methods.metrics.evaluation", *(["methods.metrics.multilabel"] if several else ())])


def readout_digest() -> str:
    """Digest of what takes classifier and prototypes from a model."""
    return source_digest(["methods.features.readout", "methods.features.store"])


def table_digest(entry: Mapping[str, Any]) -> str:
    """Digest of the kind of a table."""
    return source_digest([module_name("reporting.tables", entry["kind"]), "methods.reporting.latex"])


def figure_digest(entry: Mapping[str, Any]) -> str:
    """Digest of the kind of a figure."""
    return source_digest([module_name("reporting.figures", entry["kind"])])


def digest(*modules: str) -> str:
    """Digest of a step that names its modules itself."""
    return source_digest(modules)


def _score_modules(instances: Mapping[str, Mapping[str, Any]]) -> set[str]:
    return {module_name("scores", part["score"]) for part in instances.values()}


def _network_module(study: Study, run: Run) -> str:
    return module_name("networks", study.benchmarks[run.benchmark]["network"]["name"])


def _named(study: Study, run: Run) -> Iterable[str]:
    yield module_name("objectives", study.recipe(run)["objective"]["name"])
    yield _network_module(study, run)
