"""Recipes that are no training: a checkpoint of others, taken over under this project's names."""

from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

from methods.settings.study import Study

Recipe = Mapping[str, Any]


def checkpoint_problems(recipe: Recipe, place: str) -> Iterator[str]:
    """What is wrong with the checkpoint of a recipe, one sentence each."""
    checkpoint = recipe["checkpoint"]
    given = [key for key in ("file", "url") if key in checkpoint]
    if len(given) != 1:
        yield f"{place}.checkpoint names {' and '.join(given) or 'neither file nor url'}: give one of file and url"
    elif given == ["url"] and "sha256" not in checkpoint:
        yield f"{place}.checkpoint.url needs a sha256: a download that nobody can verify is not used"
    for key in ("epochs", "batch", "optimiser", "schedule", "precision"):
        if key in recipe:
            yield f"{place} has a checkpoint and {key}: what is imported is not trained, leave one of them out"
    if recipe["selection"]["rule"] != "last":
        yield f"{place}.selection chooses among epochs, an imported checkpoint has none"


def add_downloads(study: Study) -> None:
    """Checkpoints with an address become files to fetch and verify, like pretrained weights."""
    for recipe in study.recipes.values():
        checkpoint = recipe.get("checkpoint", {})
        if "url" in checkpoint:
            dataset, name = download(checkpoint)
            file = {"name": name, "urls": [checkpoint["url"]], "sha256": checkpoint["sha256"]}
            study.weights[dataset] = {"title": f"checkpoint of {recipe['label']}", "files": [file]}


def download(checkpoint: Mapping[str, Any]) -> tuple[str, str]:
    """(name among the weights, file name) of a checkpoint with an address."""
    name = PurePosixPath(urlparse(checkpoint["url"]).path).name or "checkpoint"
    kept = "".join(c if c.isalnum() or c in "._-" else "_" for c in name)
    return f"checkpoint_{checkpoint['sha256'][:12]}", kept


def import_settings(recipe: Recipe) -> dict[str, Any]:
    """What shapes the imported model: which bytes, and how their tensors are named."""
    checkpoint = recipe["checkpoint"]
    return {key: checkpoint.get(key) for key in ("layout", "ignore", "sha256")}
