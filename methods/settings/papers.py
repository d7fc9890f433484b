"""Papers and their recipes: loading, `use`, `extends` and values that differ on a benchmark."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.errors import ReproError, refuse
from methods.settings.schema import ROOT, load_schema, load_yaml, nearest, problems, with_defaults

REQUIRED = ("label", "objective")
TRAINING = ("optimiser", "schedule", "epochs", "batch")  # required where nothing is imported
# What a snapshot does not take over from the recipe it is one of: it is not trained again
_OF_TRAINING = (*TRAINING, "outlier_batch", "precision", "selection", "snapshots")


def paper_path(name: str) -> Path:
    """File of a paper given by name (``papers/<name>.yaml``) or by a path that ends in .yaml."""
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    path = ROOT / "papers" / f"{name}.yaml"
    if not path.is_file():
        known = [file.stem for file in (ROOT / "papers").glob("*.yaml")]
        raise ReproError(f"There is no paper {name!r} in papers/: {nearest(name, known)}")
    return path


def load_paper(name: str) -> dict[str, Any]:
    """One paper, checked against its schema, defaults filled in everywhere but in its recipes.

    Raises:
        ReproError: lists every violation of the schema.
    """
    path, schema = paper_path(name), load_schema("paper")
    document = load_yaml(path)
    if found := problems(document, _written(schema), f"papers/{path.name}"):
        raise ReproError("\n".join(found))
    recipes = document.pop("recipes", {})
    return {**with_defaults(document, schema), "recipes": recipes}


def _written(schema: Mapping[str, Any]) -> dict[str, Any]:
    """The schema for papers as they are written: a recipe may give parts of what it takes over.

    ``complete_recipe`` holds the whole recipe against the whole schema.
    """
    partial = copy.deepcopy(dict(schema))
    for part in partial["properties"]["recipes"]["additionalProperties"]["properties"].values():
        part.pop("required", None)
    return partial


def resolve_recipe(paper: Mapping[str, Any], name: str, trail: tuple[str, ...] = ()) -> dict[str, Any]:
    """A recipe of ``paper`` with `use`, `extends` and the checkpoint of another recipe carried out; `on` is kept.

    Raises:
        ReproError: unknown base, bases that go in a circle, or a snapshot that says more than its label.
    """
    place, here = f"papers/{paper['name']}.yaml.recipes.{name}", f"{paper['name']}.{name}"
    if here in trail:
        raise ReproError(f"{place} rests on itself: {' -> '.join((*trail, here))}")
    recipe, trail = dict(paper["recipes"][name]), (*trail, here)
    if "recipe" in recipe.get("checkpoint", {}):
        return _snapshot(paper, recipe, place, trail)
    other, base = recipe.pop("use", None), recipe.pop("extends", None)
    if other is not None:
        source = load_paper(other)
        _require_recipe(source, name, place)
        return merge(resolve_recipe(source, name, trail), recipe)
    if base is not None:
        _require_recipe(paper, base, place)
        return merge(resolve_recipe(paper, base, trail), recipe)
    return recipe


def _snapshot(paper: Mapping[str, Any], recipe: dict[str, Any], place: str, trail: tuple[str, ...]) -> dict[str, Any]:
    """A recipe that is another one after some of its epochs: all but its label is that one's."""
    name, epoch = recipe["checkpoint"]["recipe"], recipe["checkpoint"].get("epoch")
    more = [*(set(recipe) - {"label", "checkpoint"}), *(set(recipe["checkpoint"]) - {"recipe", "epoch"})]
    refuse(
        bool(more),
        f"{place} is a snapshot of {name}, from which everything is taken, and has {', '.join(sorted(more))}: leave "
        "that out, only a label can stand beside `checkpoint: {recipe: ..., epoch: ...}`.",
    )
    refuse(epoch is None, f"{place}.checkpoint lacks the key 'epoch': name one of the snapshots of {name}.")
    _require_recipe(paper, name, place)
    base = resolve_recipe(paper, name, trail)
    passed = f"{epoch} epoch{'' if epoch == 1 else 's'}"
    return {**base, "label": f"{base.get('label')} after {passed}", **recipe}


def used_benchmark(paper: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The benchmark that ``paper`` takes over from another paper.

    Raises:
        ReproError: that paper does not define it itself.
    """
    source = load_paper(paper["benchmarks"][name]["use"])
    defined = {key for key, benchmark in source["benchmarks"].items() if "use" not in benchmark}
    if name not in defined:
        place = f"papers/{paper['name']}.yaml.benchmarks.{name}"
        raise ReproError(f"{place} is not defined by {source['name']}: {nearest(name, defined)}")
    return source["benchmarks"][name]


def recipe_on(recipe: Mapping[str, Any], benchmark: str) -> dict[str, Any]:
    """The recipe as it stands on ``benchmark``."""
    plain = {key: value for key, value in recipe.items() if key != "on"}
    here = merge(plain, recipe.get("on", {}).get(benchmark, {}))
    if "recipe" not in here.get("checkpoint", {}):
        return here
    return {key: value for key, value in here.items() if key not in _OF_TRAINING}


def complete_recipe(recipe: Mapping[str, Any], place: str) -> dict[str, Any]:
    """A resolved recipe with the schema's defaults.

    Raises:
        ReproError: a key that every recipe needs is missing, or a value set in `on` breaks the schema.
    """
    schema = load_schema("paper")["properties"]["recipes"]["additionalProperties"]
    required = REQUIRED if "checkpoint" in recipe else (*REQUIRED, *TRAINING)
    found = [f"{place} lacks the key {key!r}" for key in required if key not in recipe]
    found += problems(recipe, schema, place)
    if found:
        raise ReproError("\n".join(found))
    return with_defaults(recipe, schema)


def merge(base: Mapping[str, Any], change: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``change``, mapping by mapping; another `name` or `kind` replaces it whole."""
    merged = dict(base)
    for key, value in change.items():
        old = merged.get(key)
        if isinstance(value, Mapping) and isinstance(old, Mapping) and _same_part(old, value):
            merged[key] = merge(old, value)
        else:
            merged[key] = value
    return merged


def _same_part(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    return all(new.get(key, old.get(key)) == old.get(key) for key in ("name", "kind"))


def _require_recipe(paper: Mapping[str, Any], name: str, place: str) -> None:
    if name not in paper["recipes"]:
        raise ReproError(
            f"{place} needs the recipe {name!r}, which papers/{paper['name']}.yaml does not define: "
            f"{nearest(name, paper['recipes'])}"
        )
