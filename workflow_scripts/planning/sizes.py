"""Bytes of the files that a job will make, from the catalog's counts and the shapes of the network.

Every function gives None where nobody can know before the data are there. What is left out (detectors, tables, figures,
metrics) is small beside images, features and models, but for detectors of very wide embeddings.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import cache

from methods.data.catalog import file_record
from methods.data.render import is_uniform, parse_render
from methods.provenance import canonical_json
from methods.settings import steps
from methods.settings.study import Run, Study

Wildcards = Mapping[str, str]

_CHUNK_ROWS = 512  # of a feature file: its last chunk is stored whole
_IDS, _LABEL, _DIGEST, _SHAPE = 16, 8, 32, 8  # bytes an image: sample id (about), label, SHA-256, height and width
_HEAD = 6000  # of an HDF5 file: its tables and the record of its origin, about
_CHUNKED_HEAD = 7000  # of one with tables of chunks


def images(study: Study, wildcards: Wildcards) -> int | None:
    """Of an image store; unknown where images keep their shape."""
    render = parse_render(wildcards["render"])
    count = _count(study, wildcards["dataset"], wildcards["split"])
    if count is None or not is_uniform(render):
        return None
    return _HEAD + count * (3 * render["size"] ** 2 + _DIGEST + _IDS + _label(study, wildcards["dataset"]))


def features(study: Study, wildcards: Wildcards) -> int | None:
    """Of embedding, pooled features, logits and projection of one split."""
    count = _count(study, wildcards["dataset"], wildcards["split"])
    if count is None:
        return None
    rows = count if count < _CHUNK_ROWS else math.ceil(count / _CHUNK_ROWS) * _CHUNK_ROWS
    values = shapes(study, run_of(wildcards))["row"]
    return _CHUNKED_HEAD + 4 * rows * values + count * (_IDS + _label(study, wildcards["dataset"]))


def scores(study: Study, wildcards: Wildcards) -> int | None:
    """Of all scores of one split that come from features."""
    return _scores(study, wildcards, len(steps.array_score_settings(study, run_of(wildcards))))


def network_scores(study: Study, wildcards: Wildcards) -> int | None:
    """Of those that need the network."""
    return _scores(study, wildcards, len(steps.network_score_settings(study, run_of(wildcards))["instances"]))


def model(study: Study, wildcards: Wildcards) -> int:
    """Of the tensors of network, head and projector, and of as many more as the training keeps snapshots.

    Prototypes are left out.
    """
    run = run_of(wildcards)
    return shapes(study, run)["model"] * (1 + len(study.recipe(run).get("snapshots", ())))


def archive(study: Study, wildcards: Wildcards) -> int | None:
    """Of a source file, as far as the catalog knows it."""
    record = file_record(study.catalog | study.weights, wildcards["dataset"], wildcards["file"])
    return record.get("size", record.get("about"))


# Rule -> what its files are called, whether they lie in the data folder, and how large those of one job are
SIZES: dict[str, tuple[str, bool, Callable[[Study, Wildcards], int | None]]] = {
    "fetch_archive": ("source files", True, archive),
    "prepare_images": ("images", True, images),
    "train": ("models", False, model),
    "extract_features": ("features", False, features),
    "score": ("scores", False, scores),
    "score_network": ("network scores", False, network_scores),
}


def run_of(wildcards: Wildcards) -> Run:
    """The run that a job belongs to."""
    return Run(wildcards["benchmark"], wildcards["method"], wildcards["protocol"], int(wildcards["seed"]))


def shapes(study: Study, run: Run) -> dict[str, int]:
    """``row``: values that a network says about an image; ``model``: bytes of its tensors."""
    return _shapes(canonical_json(steps.architecture(study, run)), study.benchmarks[run.benchmark]["render"]["size"])


@cache
def _shapes(architecture: str, size: int) -> dict[str, int]:
    import torch

    from methods.networks.model import build_model

    with torch.device("meta"):  # shapes alone: no memory, no pretrained file, no arithmetic
        network = build_model(json.loads(architecture)).eval()
        said = network(torch.empty(2, 3, size, size))
    kept = [said.embedding, said.logits, said.projection, *([] if said.pooled is said.embedding else [said.pooled])]
    row = sum(part.shape[1] for part in kept if part is not None)
    return {"row": row, "model": sum(t.numel() * t.element_size() for t in network.state_dict().values())}


def _scores(study: Study, wildcards: Wildcards, instances: int) -> int | None:
    count = _count(study, wildcards["dataset"], wildcards["split"])
    return None if count is None else _HEAD + count * (8 * instances + _IDS + _label(study, wildcards["dataset"]))


def _count(study: Study, dataset: str, split: str) -> int | None:
    return study.catalog[dataset]["splits"][split].get("count")


def _label(study: Study, dataset: str) -> int:
    record = study.catalog[dataset]
    return len(record["classes"]) if record["task"] == "multi_label" else _LABEL
