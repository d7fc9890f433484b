"""Rule report: Snakemake's own report of tables, figures and environment, in one HTML file."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.errors import ReproError
from methods.files import atomic
from workflow_scripts.job import LOG, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    call = json.loads(snakemake.params.call)
    with tempfile.TemporaryDirectory() as folder:
        config, html = Path(folder) / "config.yaml", Path(folder) / "report.html"
        config.write_text(json.dumps(call["config"]), encoding="utf-8")
        command = [sys.executable, "-m", "snakemake", *map(str, snakemake.input), "--report", str(html)]
        command += ["--snakefile", call["snakefile"], "--configfile", str(config), "--nolock", "--cores", "1"]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "MPLBACKEND": "Agg"})
        LOG.info("%s", done.stderr)
        if done.returncode or not html.is_file():
            raise ReproError(f"Snakemake could not make the report: {done.stderr.strip().splitlines()[-1:]}")
        with atomic(snakemake.output.html) as temporary:
            temporary.write_bytes(html.read_bytes())


run_job(main, snakemake)
