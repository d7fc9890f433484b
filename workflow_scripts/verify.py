"""Rule verify: from every table and figure back to the archives, without making anything."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.errors import refuse
from methods.settings.load import load_study
from workflow_scripts.job import run_job
from workflow_scripts.verification.verify import STATES, summary, verify

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    study = load_study(snakemake.config)
    content = verify(study)
    refuse(STATES[content["state"]][0] != 0, summary(content, Path(study.config["results"]["folder"])))


run_job(main, snakemake)
