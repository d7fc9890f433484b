"""Rule extract_features: what one model says about one split."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import read_images
from methods.features.extract import extract
from methods.features.random_views import evaluated_images
from methods.features.store import KIND, write_features
from workflow_scripts.job import hardware_of, run_job
from workflow_scripts.network import trained_network

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware = json.loads(snakemake.params.settings), hardware_of(snakemake)
    model, device, origin = trained_network(snakemake.input.model, settings, hardware)
    images = evaluated_images(read_images(snakemake.input.images, settings["dataset"], settings["split"]), settings)
    features = extract(model, images, settings["normalisation"], device, hardware["extraction_batch"])
    record = provenance.record(KIND, settings, snakemake.params.digest, dict(snakemake.input.items()), origin["seed"])
    write_features(snakemake.output.features, features, record)


run_job(main, snakemake)
