"""Rule extract_features: what one model says about one split."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import read_images
from methods.features.extract import extract, restore_model
from methods.features.store import KIND, write_features
from methods.networks.weights import load_model, require_architecture
from methods.training.device import prepare_device
from workflow_scripts.job import hardware_of, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware = json.loads(snakemake.params.settings), hardware_of(snakemake)
    tensors, origin = load_model(snakemake.input.model)
    require_architecture(snakemake.input.model, origin, settings["architecture"])
    provenance.require_settings(snakemake.input.model, origin, settings["training"])
    device = prepare_device(hardware["device"], settings["cpu_threads"], hardware["deterministic"])
    model = restore_model(settings["architecture"], tensors, snakemake.input.model)
    images = read_images(snakemake.input.images, settings["dataset"], settings["split"])
    features = extract(model, images, settings["normalisation"], device, hardware["extraction_batch"])
    record = provenance.record(KIND, settings, snakemake.params.digest, dict(snakemake.input.items()), origin["seed"])
    write_features(snakemake.output.features, features, record)


run_job(main, snakemake)
