"""Rule make_report: Snakemake's own report of a paper's tables and figures and the environment, in one HTML file."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.errors import ReproError
from methods.files import atomic
from workflow_scripts.job import LOG, run_job
from workflow_scripts.launch import child_environment

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    with tempfile.TemporaryDirectory() as folder:
        config, html = Path(folder) / "config.yaml", Path(folder) / "report.html"
        config.write_text(json.dumps(snakemake.config), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", *map(str, snakemake.input), "--report", str(html)]
        command += ["--snakefile", snakemake.params.snakefile, "--configfile", str(config), "--nolock", "--cores", "1"]
        done = subprocess.run(command, capture_output=True, text=True, env=child_environment())
        LOG.info("%s", done.stderr)
        if done.returncode or not html.is_file():
            raise ReproError(f"Snakemake could not make the report: {done.stderr.strip().splitlines()[-1:]}")
        with atomic(snakemake.output.html) as temporary:
            temporary.write_bytes(html.read_bytes())


run_job(main, snakemake)
