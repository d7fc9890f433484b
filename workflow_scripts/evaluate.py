"""Rule evaluate: every metric of one run."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from methods import provenance
from methods.csv_file import csv_text
from methods.errors import refuse
from methods.features.score_store import read_scores, read_tuned
from methods.features.store import read_features, read_readout
from methods.files import write_text
from methods.metrics.evaluation import evaluation_rows, tuned_rows
from methods.metrics.multilabel import multilabel_rows
from workflow_scripts.job import files, parents, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def _scores(path: str, network: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Scores of one set, those that needed the network joined, and the record of the others."""
    scores, labels, origin = read_scores(path)
    for file in files(network):
        more, more_labels, more_origin = read_scores(file)
        provenance.require_same(path, file, "detectors", (origin, more_origin))
        refuse(len(labels) != len(more_labels), f"{path} and {file} do not score the same images: delete both.")
        scores |= more
    return scores, origin


def main(snakemake: Any) -> None:
    settings, source = json.loads(snakemake.params.settings), snakemake.input
    id_scores, id_origin = _scores(source.id_scores, source.get("id_network"))
    provenance.require_parent(source.id_scores, id_origin, "features", source.test)
    ood: dict[str, dict[str, np.ndarray]] = {}
    through: list[Any] = files(source.get("ood_network")) or [None] * len(settings["sets"])
    for name, path, network in zip(settings["sets"], files(source.ood_scores), through, strict=True):
        ood[name], origin = _scores(path, network)
        provenance.require_same(source.id_scores, path, "detectors", (id_origin, origin))
    (train, train_origin), (test, test_origin) = read_features(source.train), read_features(source.test)
    readout, readout_origin = read_readout(source.readout)
    provenance.require_same(source.train, source.test, "model", (train_origin, test_origin))
    provenance.require_same(source.readout, source.test, "model", (readout_origin, test_origin))
    rows = evaluation_rows(settings, id_scores, ood, train, test, readout)
    if settings["task"] == "multi_label":
        rows += multilabel_rows(settings, id_scores, ood, test)
    if path := source.get("tuned"):
        choices, tuned_origin = read_tuned(path)
        provenance.require_parent(path, tuned_origin, "train", source.train)
        rows += tuned_rows(choices)
    digest, seed = snakemake.params.digest, id_origin["seed"]
    record = provenance.record("metrics", settings, digest, parents(source), seed)
    write_text(snakemake.output.metrics, csv_text(rows))
    provenance.write_sidecar(snakemake.output.metrics, record)


run_job(main, snakemake)
