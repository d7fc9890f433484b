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
    parents = {role: source[role] for role in ("id_scores", "train", "test", "readout")}
    id_scores, _, id_origin = read_scores(source.id_scores)
    provenance.require_parent(source.id_scores, id_origin, "features", source.test)
    ood = {}
    for name, path in names.items():
        ood[name], _, origin = read_scores(path)
        provenance.require_same(source.id_scores, path, "detectors", (id_origin, origin))
    (train, train_origin), (test, test_origin) = read_features(source.train), read_features(source.test)
    readout, readout_origin = read_readout(source.readout)
    provenance.require_same(source.train, source.test, "model", (train_origin, test_origin))
    provenance.require_same(source.readout, source.test, "model", (readout_origin, test_origin))
    rows = evaluation_rows(settings, id_scores, ood, train, test, readout)
    record = provenance.record("metrics", settings, snakemake.params.digest, {**parents, **names}, id_origin["seed"])
    write_text(snakemake.output.metrics, csv_text(rows))
    provenance.write_sidecar(snakemake.output.metrics, record)


run_job(main, snakemake)
