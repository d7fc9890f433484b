"""Rule make_table: one table of a paper in three forms."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from methods import provenance, registry
from methods.csv_file import read_csv
from methods.features.score_store import read_scores
from methods.files import write_text
from methods.reporting.latex import to_latex
from methods.reporting.layout import to_csv, to_html, to_markdown
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings = json.loads(snakemake.params.settings)
    names = [tuple(run) for run in settings["runs"]]
    kind = settings["kind"]
    needs = registry.records("reporting.tables")[kind]["needs"]
    if needs in ("metrics", "dilation"):
        for path in snakemake.input.runs:
            provenance.require_sidecar(path)
    read: Callable[[str], Any] = (lambda path: read_scores(path)[:2]) if needs == "scores" else read_csv
    runs = [(name, read(path)) for name, path in zip(names, snakemake.input.runs, strict=True)]
    table = registry.load("reporting.tables", kind).make(settings, runs)
    write_text(snakemake.output.csv, to_csv(table))
    write_text(snakemake.output.md, to_markdown(table))
    write_text(snakemake.output.html, to_html(table))
    write_text(snakemake.output.tex, to_latex(table, f"{snakemake.wildcards.paper}-{snakemake.wildcards.name}"))
    parents = {"/".join(map(str, name)): path for name, path in zip(names, snakemake.input.runs, strict=True)}
    record = provenance.record("table", settings, snakemake.params.digest, parents)
    provenance.write_sidecar(snakemake.output.csv, record)


run_job(main, snakemake)
