"""Rule make_site: all results as a folder of pages."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.files import whole_folder
from methods.reporting.site.build import build_site
from methods.reporting.site.files import Files
from methods.reporting.site.results import read_results
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, patterns = (json.loads(snakemake.params[key]) for key in ("settings", "patterns"))
    results = read_results(settings, Files(patterns))
    with whole_folder(Path(snakemake.output.index).parent) as folder:
        build_site(results, snakemake.params.digest, folder)


run_job(main, snakemake)
