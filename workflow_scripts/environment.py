"""Rule environment: versions and hardware this was computed with."""

import os
import platform
from importlib.metadata import distributions
from typing import TYPE_CHECKING, Any

from methods.csv_file import csv_text
from methods.files import write_text
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    rows = [
        {"part": "python", "version": platform.python_version()},
        {"part": "system", "version": f"{platform.system()} {platform.release()} {platform.machine()}"},
        {"part": "CPU cores", "version": str(os.cpu_count())},
    ]
    packages = {dist.metadata["Name"]: dist.version for dist in distributions()}
    rows += [{"part": name, "version": packages[name]} for name in sorted(packages, key=str.lower)]
    write_text(snakemake.output.csv, csv_text(rows))


run_job(main, snakemake)
