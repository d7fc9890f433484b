"""Rule score_network: scores of one run on one set that need the network and the images."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import read_images
from methods.features.network_scores import network_scores
from methods.features.random_views import evaluated_images
from methods.features.score_store import SCORES, read_detectors, write_scores
from workflow_scripts.job import hardware_of, run_job
from workflow_scripts.network import trained_network

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware, source = json.loads(snakemake.params.settings), hardware_of(snakemake), snakemake.input
    model, device, origin = trained_network(source.model, settings, hardware)
    fitted, fitted_origin = read_detectors(source.detectors, settings["instances"])
    instances = {name: fitted_origin["settings"][name] for name in settings["instances"]}  # with what was tuned
    settings = {**settings, "instances": instances}
    record = provenance.record(SCORES, settings, snakemake.params.digest, dict(source.items()), origin["seed"])
    provenance.require_same(source.model, source.detectors, "model", (record, fitted_origin))
    part = (snakemake.wildcards.dataset, snakemake.wildcards.split)
    images = evaluated_images(read_images(source.images, *part), settings)
    normalisation, batch = settings["normalisation"], hardware["extraction_batch"]
    scores = network_scores(instances, model, images, fitted, normalisation, device, batch)
    write_scores(snakemake.output.scores, scores, images, record)


run_job(main, snakemake)
