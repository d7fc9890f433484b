"""Rule make_bundle: a paper's tables, figures, histories, metrics and records in one archive for other labs."""

import json
from typing import TYPE_CHECKING, Any

from methods.settings.load import load_study
from workflow_scripts.job import LOG, run_job
from workflow_scripts.verification.bundle import pack

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    asked = json.loads(snakemake.params.settings)
    study = load_study(snakemake.config)
    count = pack(study, asked["paper"], snakemake.output.bundle, lambda line: LOG.info("%s", line))
    LOG.info("%d files in %s", count, snakemake.output.bundle)


run_job(main, snakemake)
