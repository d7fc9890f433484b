"""Rule make_figure: one figure of a paper as SVG and PDF."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance, registry
from methods.reporting.figures.sources import Source
from methods.reporting.style import save
from methods.settings.figures import role_of
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake

KEYS = ("method", "label", "needs", "role", "dataset", "title", "seed", "benchmark")


def main(snakemake: Any) -> None:
    settings, files = json.loads(snakemake.params.settings), snakemake.input.files
    parts = [{key: part[key] for key in KEYS if key in part} for part in settings["sources"]]
    sources = [Source(path=path, **part) for part, path in zip(parts, files, strict=True)]
    for part, path in zip(settings["sources"], files, strict=True):
        if part["needs"] in ("metrics", "dilation"):
            provenance.require_sidecar(path)
    figure = registry.load("reporting.figures", settings["kind"]).draw(settings, sources)
    save(figure, snakemake.output.svg, snakemake.output.pdf)
    parents = {role_of(part): path for part, path in zip(settings["sources"], files, strict=True)}
    record = provenance.record("figure", settings, snakemake.params.digest, parents, settings["seed"])
    provenance.write_sidecar(snakemake.output.svg, record)


run_job(main, snakemake)
