"""Rule train: one model, its history and what it cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.csv_file import csv_text
from methods.files import write_text
from methods.networks.weights import KIND, save_model
from methods.training.cost import cost_row
from methods.training.processes import fit_on_devices
from methods.training.resume import resume_folder
from workflow_scripts.job import hardware_of, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware = json.loads(snakemake.params.settings), hardware_of(snakemake)
    record = provenance.record(KIND, settings, snakemake.params.digest, dict(snakemake.input.items()), settings["seed"])
    names = {role: name.split("/") for role, name in settings["data"].items()}
    sources = {role: (str(path), *names[role]) for role, path in snakemake.input.items()}
    waiting = Path(snakemake.config["results"]["folder"]) / "resume"
    with resume_folder(waiting, provenance.fingerprint([hardware["name"], record])) as folder:
        result = fit_on_devices(settings, sources, hardware, folder / "checkpoint.safetensors")
        write_text(snakemake.output.history, csv_text(result.history))
        write_text(snakemake.output.cost, csv_text([cost_row(result.cost, hardware)]))
        save_model(snakemake.output.model, {k: v.numpy() for k, v in result.tensors.items()}, record)


run_job(main, snakemake)
