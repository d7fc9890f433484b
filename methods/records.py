"""Reading the record of any artifact: an HDF5 attribute, safetensors metadata, or a JSON file beside it."""

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open

from methods.errors import ReproError, refuse
from methods.hdf5 import open_hdf5
from methods.provenance import sidecar

Record = dict[str, Any]
_KEYS = {"kind": str, "settings": dict, "source_digest": str, "parents": dict}


def read_record(path: Path, form: str) -> Record:
    """The record of an artifact that carries it in ``form``: hdf5, safetensors or sidecar.

    Raises:
        ReproError: it has none, or none that can be read; the message completes "PATH ...".
    """
    record = parsed_record(path, form)
    whole = isinstance(record, dict) and all(isinstance(record.get(key), kind) for key, kind in _KEYS.items())
    refuse(not whole, f"has a record of its origin without {', '.join(_KEYS)}")
    return record


def parsed_record(path: Path, form: str) -> Any:
    """What an artifact carries as its record, whatever that holds.

    Raises:
        ReproError: it carries none, or one that is no JSON; the message completes "PATH ...".
    """
    text = {"hdf5": _attribute, "safetensors": _metadata, "sidecar": _beside}[form](path)
    try:
        return json.loads(text)
    except ValueError as error:
        raise ReproError(f"has a record of its origin that is no JSON ({error})") from error


def _attribute(path: Path) -> str:
    try:
        with open_hdf5(path) as file:
            text = file.attrs.get("provenance")
    except ReproError as error:
        raise ReproError(f"cannot be read as HDF5 ({error.__cause__})") from error
    refuse(text is None, "has no record of its origin")
    return str(text)


def _metadata(path: Path) -> str:
    try:
        with safe_open(path, framework="np") as file:
            text = (file.metadata() or {}).get("provenance")
    except (SafetensorError, OSError, ValueError) as error:
        raise ReproError(f"cannot be read as safetensors ({error})") from error
    refuse(text is None, "has no record of its origin")
    return str(text)


def _beside(path: Path) -> str:
    try:
        return sidecar(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ReproError("has no record of its origin beside it that can be read") from error
