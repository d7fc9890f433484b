"""Rule train: one model, its history and what it cost."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from methods import provenance
from methods.csv_file import csv_text
from methods.files import write_text
from methods.networks.foreign import import_tensors, read_checkpoint, require_sha256
from methods.networks.model import build_model
from methods.networks.weights import KIND, load_model, save_model
from methods.training.cost import COSTS, cost_row
from methods.training.processes import fit_on_devices
from methods.training.resume import resume_folder
from workflow_scripts.job import hardware_of, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, hardware = json.loads(snakemake.params.settings), hardware_of(snakemake)
    record = provenance.record(KIND, settings, snakemake.params.digest, dict(snakemake.input.items()), settings["seed"])
    if "imported" in settings:
        import_run(snakemake, settings, record)
        return
    names = {role: name.split("/") for role, name in settings["data"].items()}
    sources = {role: (str(path), *names[role]) for role, path in snakemake.input.items()}
    waiting = Path(snakemake.config["results"]["folder"]) / "resume"
    with resume_folder(waiting, provenance.fingerprint([hardware["name"], record]), snakemake.output.model) as folder:
        result = fit_on_devices(settings, sources, hardware, folder / "checkpoint.safetensors")
        write_text(snakemake.output.history, csv_text(result.history))
        write_text(snakemake.output.cost, csv_text([cost_row(result.cost, hardware)]))
        save_model(snakemake.output.model, {k: v.numpy() for k, v in result.tensors.items()}, record)


def import_run(snakemake: Any, settings: dict[str, Any], record: dict[str, Any]) -> None:
    """A checkpoint of others under this project's names, or a snapshot: no history, and no cost of a training."""
    path, how = snakemake.input.weights, settings["imported"]
    tensors = load_model(path, how["epoch"])[0] if "epoch" in how else foreign(path, how, settings["architecture"])
    write_text(snakemake.output.history, "epoch\n")
    write_text(snakemake.output.cost, csv_text([cost_row(dict.fromkeys(COSTS, 0.0), hardware_of(snakemake))]))
    save_model(snakemake.output.model, tensors, record)


def foreign(path: str, how: dict[str, Any], architecture: dict[str, Any]) -> dict[str, np.ndarray]:
    """Tensors of a checkpoint of others, by this project's names."""
    require_sha256(path, how["sha256"])
    return import_tensors(
        read_checkpoint(path), build_model(architecture).state_dict(), how["layout"], how["ignore"], path
    )


run_job(main, snakemake)
