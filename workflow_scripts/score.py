"""Rule score: all scores of one run on one set."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.features.score_store import SCORES, read_detectors, write_scores
from methods.features.store import read_features
from methods.scores.base import score_instances
from workflow_scripts.gpus import gpus_claimed
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    names, source = json.loads(snakemake.params.settings), snakemake.input
    fitted, fitted_origin = read_detectors(source.detectors, names)
    instances = {name: fitted_origin["settings"][name] for name in names}  # with what was tuned
    train = None
    if path := source.get("train"):
        provenance.require_parent(source.detectors, fitted_origin, "train", path)
        train, _ = read_features(path, arrays=(), lazy=True)
    features, origin = read_features(source.features)
    provenance.require_same(source.features, source.detectors, "model", (origin, fitted_origin))
    accelerate = bool(gpus_claimed(snakemake.config["hardware"]["device"]))
    scores = score_instances(instances, features, fitted, train, accelerate)
    record = provenance.record(SCORES, instances, snakemake.params.digest, dict(source.items()), origin["seed"])
    write_scores(snakemake.output.scores, scores, features, record)


run_job(main, snakemake)
