"""Rule fetch_archive: one verified source file."""

import json
from typing import TYPE_CHECKING, Any

from methods.data.fetch import fetch
from workflow_scripts.job import lock_file, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    file = json.loads(snakemake.params.file)
    fetch(
        snakemake.wildcards.dataset,
        file,
        snakemake.output.archive,
        lock=lock_file(snakemake),
        folders=snakemake.config["data"]["sources"],
        offline=snakemake.config["offline"],
    )


run_job(main, snakemake)
