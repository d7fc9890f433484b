"""The model file: named tensors in safetensors form (no pickle), with the record of their origin.

Names start with ``backbone.``, ``head.``, ``projector.`` or ``objective.``.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from safetensors import SafetensorError, safe_open

from methods.errors import ReproError
from methods.files import atomic
from methods.networks.snapshots import is_snapshot, names_after

KIND = "model"


def save_model(path: str | Path, tensors: Mapping[str, np.ndarray], provenance: Mapping[str, Any]) -> None:
    """Write a model file, whole or not at all; the same content gives the same bytes."""
    from safetensors.numpy import save_file

    plain = {name: np.asarray(tensor, order="C") for name, tensor in sorted(tensors.items())}
    with atomic(path) as temporary:
        save_file(plain, temporary, metadata={"provenance": json.dumps(provenance, sort_keys=True)})


def load_model(path: str | Path, epoch: int | None = None) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Tensors and provenance of a model file; with ``epoch`` the tensors of the snapshot after so many epochs.

    Raises:
        ReproError: the file is missing, damaged, was not made by this project, or has no such snapshot.
    """
    if not Path(path).is_file():
        raise ReproError(f"The model file {path} does not exist.")
    try:
        with safe_open(path, framework="np") as file:
            provenance = _require_record(path, file.metadata() or {})
            names = list(file.keys())
            wanted = {n: n for n in names if not is_snapshot(n)} if epoch is None else names_after(epoch, names)
            tensors = {own: file.get_tensor(name) for name, own in wanted.items()}
    except (SafetensorError, OSError, ValueError) as error:
        raise ReproError(
            f"The model file {path} is damaged ({error}): delete it and run the same command again."
        ) from error
    if not tensors:
        raise ReproError(f"The model file {path} has no snapshot after {epoch} epochs: delete it and run again.")
    return tensors, provenance


def require_architecture(path: str | Path, provenance: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    """Refuse a model file of another network than ``expected``, naming what differs."""
    found = provenance["settings"]["architecture"]
    differing = [key for key in expected if found.get(key) != expected[key]]
    if differing:
        details = "; ".join(f"{key} is {found.get(key)}, expected {expected[key]}" for key in differing)
        raise ReproError(f"The model file {path} is from another network: {details}. Delete it and run again.")


def _require_record(path: str | Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    provenance = json.loads(metadata.get("provenance", "{}"))
    if not isinstance(provenance, dict) or provenance.get("kind") != KIND:
        raise ReproError(f"{path} is no model file of this project: it has no record of its origin.")
    return provenance
