"""Rule evaluate: every metric of one run."""

import json
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.csv_file import csv_text
from methods.features.score_store import read_scores
from methods.features.store import read_features, read_readout
from methods.files import write_text
from methods.metrics.evaluation import evaluation_rows
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, source = json.loads(snakemake.params.settings), snakemake.input
    names = dict(zip(settings["sets"], source.ood_scores, strict=True))
    ood, parents = {}, {"id_scores": source.id_scores, "train": source.train, "test": source.test}
    id_scores, _, id_origin = read_scores(source.id_scores)
    provenance.require_parent(source.id_scores, id_origin, "features", source.test)
    for name, path in names.items():
        ood[name], _, origin = read_scores(path)
        provenance.require_same(source.id_scores, path, "detectors", (id_origin, origin))
        parents[name] = path
    (train, _), (test, _), (readout, _) = (
        *map(read_features, (source.train, source.test)),
        read_readout(source.readout),
    )
    rows = evaluation_rows(settings, id_scores, ood, train, test, readout)
    record = provenance.record("metrics", settings, snakemake.params.digest, parents, id_origin["seed"])
    write_text(snakemake.output.metrics, csv_text(rows))
    provenance.write_sidecar(snakemake.output.metrics, record)


run_job(main, snakemake)
