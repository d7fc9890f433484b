"""Rule measure_dilation: how far each candidate outlier set of a benchmark dilates the spectrum of ID features."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.csv_file import csv_text
from methods.data.images import read_images
from methods.features.outlier_spectra import candidate_distances
from methods.files import write_text
from methods.settings.pretrained import ROLE
from methods.training.device import prepare_device
from workflow_scripts.job import files, parents, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware, source = json.loads(snakemake.params.settings), snakemake.config["hardware"], snakemake.input
    device = prepare_device(hardware["device"], settings["cpu_threads"], hardware["deterministic"])
    inside = read_images(source.train, *settings["train"].split("/"))
    parts = zip(files(source.candidates), settings["candidates"].items(), strict=True)
    sets = {name: read_images(path, name, split) for path, (name, split) in parts}
    weights = source.get(ROLE)
    network = {**settings["network"], **({ROLE: weights} if weights else {})}
    rows = candidate_distances({**settings, "network": network}, inside, sets, device)
    write_text(snakemake.output.distances, csv_text(rows))
    record = provenance.record("dilation", settings, snakemake.params.digest, parents(source), settings["seed"])
    provenance.write_sidecar(snakemake.output.distances, record)


run_job(main, snakemake)
