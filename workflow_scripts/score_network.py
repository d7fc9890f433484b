"""Rule score_network: scores of one run on one set that need the network and the images, and while it is loaded those
of other sets that wait for it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import provenance
from workflow_scripts.job import hardware_of, run_job
from workflow_scripts.jobs.ahead import Make, Part, make_in_turn

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    make_in_turn(snakemake, lambda: scorer(snakemake))


def scorer(snakemake: Any) -> Make:
    """The function that scores one split; torch is imported here, for jobs that find their file need none."""
    from methods.data.images import read_images
    from methods.features.network_scores import network_scores
    from methods.features.random_views import evaluated_images
    from methods.features.score_store import SCORES, read_detectors, write_scores
    from workflow_scripts.network import trained_network

    settings, hardware, source = json.loads(snakemake.params.settings), hardware_of(snakemake), snakemake.input
    model, device, origin = trained_network(source.model, settings, hardware)
    fitted, fitted_origin = read_detectors(source.detectors, settings["instances"])
    instances = {name: fitted_origin["settings"][name] for name in settings["instances"]}  # with what was tuned

    def make(part: Part, path: Path) -> None:
        told = {**part.told, "instances": instances}
        record = provenance.record_of_hashes(SCORES, told, part.digest, part.hashes, origin["seed"])
        provenance.require_same(source.model, source.detectors, "model", (record, fitted_origin))
        images = evaluated_images(read_images(part.inputs["images"], *part.split), told)
        batch = hardware["extraction_batch"]
        scores = network_scores(instances, model, images, fitted, told["normalisation"], device, batch)
        write_scores(path, scores, images, record)

    return make


run_job(main, snakemake)
