"""Rule fetch_archive: one verified source file."""

import json
from typing import TYPE_CHECKING, Any

from methods.data.fetch import fetch
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    file = json.loads(snakemake.params.file)
    fetch(snakemake.wildcards.dataset, file, snakemake.output.archive)


run_job(main, snakemake)
