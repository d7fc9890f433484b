"""Rule tune_scores: hyper-parameters of one run's scores, chosen on ID validation images and OOD validation sets."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import read_images
from methods.features.arrays import Features, Readout
from methods.features.score_store import TUNED, write_tuned
from methods.features.store import read_features, read_readout
from methods.scores.tuning import Measure, on_features, tune
from workflow_scripts.job import files, hardware_of, parents, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, source = json.loads(snakemake.params.settings), snakemake.input
    train, origin = read_features(source.train, lazy=True)
    readout, readout_origin = read_readout(source.readout)
    provenance.require_same(source.train, source.readout, "model", (origin, readout_origin))
    record = provenance.record(TUNED, settings, snakemake.params.digest, parents(source), origin["seed"])
    choices = {}
    if settings["arrays"]:
        sets = []
        for path in files(source.features):
            features, other = read_features(path)
            provenance.require_same(source.train, path, "model", (origin, other))
            sets.append(features)
        choices = tune(settings["arrays"], on_features(train, readout, sets))
    if settings["network"]:
        provenance.require_parent(source.train, origin, "model", source.model)
        choices |= tune(settings["network"], _measure(snakemake, settings, train, readout))
    write_tuned(snakemake.output.tuned, choices, record)


def _measure(snakemake: Any, settings: dict[str, Any], train: Features, readout: Readout) -> Measure:
    """Scores through the network; torch is imported only where one of them is tuned."""
    from methods.features.network_tuning import through_network
    from workflow_scripts.network import trained_network

    hardware = hardware_of(snakemake)
    model, device, _ = trained_network(snakemake.input.model, settings, hardware)
    paths = files(snakemake.input.images)
    images = [read_images(path, *part) for path, part in zip(paths, settings["parts"], strict=True)]
    batch = hardware["extraction_batch"]
    return through_network(model, train, readout, images, settings["normalisation"], device, batch)


run_job(main, snakemake)
