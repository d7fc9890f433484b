"""Rule score_network: scores of one run on one set that need the network and the images."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import read_images
from methods.features.extract import restore_model
from methods.features.network_scores import network_scores
from methods.features.score_store import SCORES, read_detectors, write_scores
from methods.networks.weights import load_model, require_architecture
from methods.training.device import prepare_device
from workflow_scripts.job import hardware_of, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware, source = json.loads(snakemake.params.settings), hardware_of(snakemake), snakemake.input
    tensors, origin = load_model(source.model)
    require_architecture(source.model, origin, settings["architecture"])
    provenance.require_settings(source.model, origin, settings["training"])
    fitted, fitted_origin = read_detectors(source.detectors, settings["instances"])
    record = provenance.record(SCORES, settings, snakemake.params.digest, dict(source.items()), origin["seed"])
    provenance.require_same(source.model, source.detectors, "model", (record, fitted_origin))
    device = prepare_device(hardware["device"], settings["cpu_threads"], hardware["deterministic"])
    model = restore_model(settings["architecture"], tensors, source.model)
    images = read_images(source.images, snakemake.wildcards.dataset, snakemake.wildcards.split)
    normalisation, batch = settings["normalisation"], hardware["extraction_batch"]
    scores = network_scores(settings["instances"], model, images, fitted, normalisation, device, batch)
    write_scores(snakemake.output.scores, scores, images, record)


run_job(main, snakemake)
