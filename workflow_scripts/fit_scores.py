"""Rule fit_scores: every detector of one run, fitted once on ID training features."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.features.score_store import DETECTORS, read_tuned, write_detectors
from methods.features.store import read_features, read_readout
from methods.scores.base import fit_instances
from methods.scores.tuning import resolved
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    instances, source = json.loads(snakemake.params.settings), snakemake.input
    train, origin = read_features(source.train, lazy=True)
    readout, readout_origin = read_readout(source.readout)
    provenance.require_same(source.train, source.readout, "model", (origin, readout_origin))
    choices: dict[str, Any] = {}
    if path := source.get("tuned"):
        choices, tuned_origin = read_tuned(path)
        provenance.require_parent(path, tuned_origin, "train", source.train)
    validation = None
    if path := source.get("validation"):
        validation, other = read_features(path)
        provenance.require_same(source.train, path, "model", (origin, other))
    instances = resolved(instances, choices)
    record = provenance.record(DETECTORS, instances, snakemake.params.digest, dict(source.items()), origin["seed"])
    record["parents"]["model"] = origin["parents"]["model"]
    write_detectors(snakemake.output.detectors, fit_instances(instances, train, readout, validation), record)


run_job(main, snakemake)
