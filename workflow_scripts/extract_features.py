"""Rule extract_features: what one model says about one split, and while it is loaded about others that wait for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import provenance
from workflow_scripts.job import hardware_of, run_job
from workflow_scripts.jobs.ahead import Make, Part, make_in_turn

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    make_in_turn(snakemake, lambda: extractor(snakemake))


def extractor(snakemake: Any) -> Make:
    """The function that extracts one split; torch is imported here, for jobs that find their file need none."""
    from methods.data.images import read_images
    from methods.features.extract import extract
    from methods.features.random_views import evaluated_images
    from methods.features.store import KIND, write_features
    from workflow_scripts.network import trained_network

    settings, hardware = json.loads(snakemake.params.settings), hardware_of(snakemake)
    model, device, origin = trained_network(snakemake.input.model, settings, hardware)

    def make(part: Part, path: Path) -> None:
        told = part.told
        images = evaluated_images(read_images(part.inputs["images"], *part.split), told)
        features = extract(model, images, told["normalisation"], device, hardware["extraction_batch"])
        record = provenance.record_of_hashes(KIND, told, part.digest, part.hashes, origin["seed"])
        write_features(path, features, record)

    return make


run_job(main, snakemake)
