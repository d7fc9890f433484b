"""What this checkout would record of an artifact: settings, digest of the code, seed."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from methods.data.render import parse_render
from methods.errors import ReproError
from methods.scores.tuning import resolved
from methods.settings import digests, dilation, outputs, steps
from methods.settings.study import Run, Study
from workflow_scripts.verification.layout import Place

Choices = Callable[[Run], Mapping[str, Any]]  # what was tuned in a run, read from the disk


@dataclass(frozen=True)
class Expected:
    """Settings, digest and seed of an artifact that this checkout would make."""

    settings: Mapping[str, Any]
    digest: str
    seed: int | None


def expected(place: Place, study: Study, choices: Choices) -> Expected | None:
    """What is expected of the record at ``place``; None for what config and papers do not ask for, or not here."""
    if place.kind in ("table", "figure"):
        return _of_output(place, study)
    if place.kind == "images":
        return _of_images(place, study)
    if place.kind == "dilation":
        return _of_dilation(place, study)
    if place.kind in _STEPS and in_study(place.run, study):
        settings, digest = _STEPS[place.kind](place, study, choices)
        return Expected(settings, digest, place.run.seed)
    return None


def in_study(run: Run, study: Study) -> bool:
    """Whether config and papers ask for a run."""
    asked = run.method in study.evaluate.get(run.benchmark, {})
    return asked and run in study.runs(run.benchmark, [run.method])


def _of_output(place: Place, study: Study) -> Expected | None:
    paper = study.papers.get(place.names["paper"], {})
    entry = paper.get(f"{place.kind}s", {}).get(place.names["name"])
    if entry is None:
        return None
    if place.kind == "table" and outputs.possible(study, paper["name"], entry):
        return Expected(outputs.table_settings(study, paper["name"], entry), digests.table_digest(entry), None)
    if place.kind == "figure" and outputs.drawable(study, paper["name"], entry):
        settings = outputs.figure_settings(study, paper["name"], entry)
        return Expected(settings, digests.figure_digest(entry), settings["seed"])
    return None


def _of_images(place: Place, study: Study) -> Expected | None:
    dataset, split = place.names["dataset"], place.names["split"]
    if split not in study.catalog.get(dataset, {}).get("splits", {}):
        return None
    try:
        render = parse_render(place.names["render"])
    except ReproError:
        return None
    return Expected(
        steps.prepare_settings(study, dataset, split, render), digests.prepare_digest(study, dataset, split), None
    )


def _of_dilation(place: Place, study: Study) -> Expected | None:
    benchmark, seed = place.names["benchmark"], int(place.names["seed"])
    if "outlier_selection" not in study.benchmarks.get(benchmark, {}) or seed not in study.config["seeds"]:
        return None
    settings = dilation.dilation_settings(study, benchmark, seed)
    return Expected(settings, dilation.dilation_digest(study, benchmark), seed)


Step = tuple[Mapping[str, Any], str]  # settings, digest


def _model(place: Place, study: Study, choices: Choices) -> Step:
    return steps.train_settings(study, place.run), digests.train_digest(study, place.run)


def _features(place: Place, study: Study, choices: Choices) -> Step:
    settings = steps.extract_settings(study, place.run, place.names["dataset"], place.names["split"])
    return settings, digests.extract_digest(study, place.run)


def _readout(place: Place, study: Study, choices: Choices) -> Step:
    return {}, digests.readout_digest()


def _tuned(place: Place, study: Study, choices: Choices) -> Step:
    return steps.tune_settings(study, place.run), digests.tune_digest(study, place.run)


def _detectors(place: Place, study: Study, choices: Choices) -> Step:
    instances = resolved(steps.score_settings(study, place.run), choices(place.run))
    return instances, digests.score_digest(study, place.run)


def _scores(place: Place, study: Study, choices: Choices) -> Step:
    instances, digest = _detectors(place, study, choices)
    return {name: instances[name] for name in steps.array_score_settings(study, place.run)}, digest


def _network_scores(place: Place, study: Study, choices: Choices) -> Step:
    asked = steps.network_score_settings(study, place.run, place.names["dataset"], place.names["split"])
    instances, _ = _detectors(place, study, choices)
    found = {**asked, "instances": {name: instances[name] for name in asked["instances"]}}
    return found, digests.network_score_digest(study, place.run)


def _metrics(place: Place, study: Study, choices: Choices) -> Step:
    return steps.evaluate_settings(study, place.run), digests.evaluate_digest(study, place.run)


_STEPS: dict[str, Callable[[Place, Study, Choices], Step]] = {
    "model": _model,
    "features": _features,
    "readout": _readout,
    "tuned": _tuned,
    "detectors": _detectors,
    "scores": _scores,
    "network_scores": _network_scores,
    "metrics": _metrics,
}
