"""Rule extract_readout: classifier and prototypes of one model."""

from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.features.readout import readout_of
from methods.features.store import READOUT_KIND, write_readout
from methods.networks.weights import load_model
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    tensors, origin = load_model(snakemake.input.model)
    parents = {"model": snakemake.input.model}
    record = provenance.record(READOUT_KIND, {}, snakemake.params.digest, parents, origin["seed"])
    write_readout(snakemake.output.readout, readout_of(tensors), record)


run_job(main, snakemake)
