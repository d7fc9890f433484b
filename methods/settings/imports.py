"""Recipes that are no training: a checkpoint of others under this project's names, or a snapshot of another recipe."""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urlparse

from methods.settings.study import Run, Study

Recipe = Mapping[str, Any]


def snapshot_run(study: Study, run: Run) -> Run | None:
    """The training that a run is a snapshot of; None for every other run."""
    base = study.recipe(run).get("checkpoint", {}).get("recipe")
    return None if base is None else replace(run, method=base)


def snapshot_problems(study: Study, benchmark: str, recipe: Recipe, place: str) -> Iterator[str]:
    """What is wrong with a recipe that is a snapshot of another, one sentence each."""
    base, epoch = recipe["checkpoint"]["recipe"], recipe["checkpoint"]["epoch"]
    if base not in study.evaluate[benchmark]:
        yield f"{place} is a snapshot of {base}, which `evaluate` does not name on {benchmark}: add a line for it"
        return
    kept = study.recipes[base, benchmark].get("snapshots", [])
    if epoch not in kept:
        there = f"keeps those after {', '.join(map(str, kept))}" if kept else "keeps none"
        yield (
            f"{place}.checkpoint.epoch is {epoch}, and {base} {there}: name one of these, or add it to `snapshots` "
            "there, for which the recipe is trained anew"
        )


def checkpoint_problems(recipe: Recipe, place: str) -> Iterator[str]:
    """What is wrong with the checkpoint of others in a recipe, one sentence each."""
    checkpoint = recipe["checkpoint"]
    if "epoch" in checkpoint:
        yield f"{place}.checkpoint names an epoch, which goes with a recipe of this paper: leave it out"
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
    """What shapes the imported model: which bytes, and how their tensors are named; of a snapshot, which one."""
    checkpoint = recipe["checkpoint"]
    if "recipe" in checkpoint:
        return {key: checkpoint[key] for key in ("recipe", "epoch")}
    return {key: checkpoint.get(key) for key in ("layout", "ignore", "sha256")}
