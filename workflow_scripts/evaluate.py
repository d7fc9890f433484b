"""Rule evaluate: every metric of one run."""

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from methods import provenance
from methods.csv_file import csv_text
from methods.errors import refuse
from methods.features.score_store import read_scores
from methods.features.store import read_features, read_readout
from methods.files import write_text
from methods.metrics.evaluation import evaluation_rows
from workflow_scripts.job import run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def _scores(path: str, network: Any) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Scores of one set, those that needed the network joined, and the record of the others."""
    scores, labels, origin = read_scores(path)
    if network:
        (file,) = [network] if isinstance(network, str) else network
        more, more_labels, more_origin = read_scores(file)
        provenance.require_same(path, file, "detectors", (origin, more_origin))
        refuse(len(labels) != len(more_labels), f"{path} and {file} do not score the same images: delete both.")
        scores |= more
    return scores, origin


def main(snakemake: Any) -> None:
    settings, source = json.loads(snakemake.params.settings), snakemake.input
    names = dict(zip(settings["sets"], source.ood_scores, strict=True))
    parents = {role: source[role] for role in ("id_scores", "train", "test", "readout")}
    more = [*(source.get("id_network") or []), *(source.get("ood_network") or [])]
    parents |= {f"network_scores_{number}": path for number, path in enumerate(more)}
    id_scores, id_origin = _scores(source.id_scores, source.get("id_network"))
    provenance.require_parent(source.id_scores, id_origin, "features", source.test)
    ood, through = {}, source.get("ood_network") or [None] * len(names)
    for (name, path), network in zip(names.items(), through, strict=True):
        ood[name], origin = _scores(path, network)
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
