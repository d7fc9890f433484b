"""The page of methods: objectives, switches, networks and schedules, from their records and docstrings."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from methods import registry
from methods.reporting.pages import anchored, classes, code, docstring, fenced, listed, parameters, prose, table
from methods.training import schedules
from methods.training.switches import ENGINE, OUTLIERS, SWITCHES, resolve_switches, switches_of

_HEAD = """# Methods

Made from the modules in `methods/objectives/`, `methods/networks/` and `methods/training/` by `make docs`; do not edit.

A recipe of a paper names an [objective](#objectives), the loss that a network is trained with, and says how: head,
projector, augmentation, optimiser and schedule ([keys of a recipe](papers.md#recipes)). The [network](#networks) is the
benchmark's. [Add a method](../tutorials/add-a-method.md) shows how to write one.
"""

_OBJECTIVES = """## Objectives

*Labels*: what kind of ID set it is for. *Views*: augmented copies of every image in a step. *Trains*: the part on top
of the network that the recipe must have. Under the protocol `corrected` a method does what its paper describes, under
`released`, if it offers that, what its published code does.
"""

_LETTERS = """In the formulas `z` are logits, or unit rows of the projection where a method trains a `projector`; `p`
and `mu` prototypes; `tau` a temperature; B images a batch, C classes, K prototypes.
"""

_SWITCHES = """## Switches

Each place where published code does something else than its paper says, or than one would expect, is a named switch.
The protocol sets it; a recipe can set one by hand under [`switches`](papers.md#recipes.switches). *Corrected* is the
value under the protocol `corrected`. What each objective does under `released` stands in its section above.
"""

_OVERVIEW = ("name", "labels", "views", "outliers", "trains", "released")
_PARTS = {"head": "`head` (a classifier)", "projector": "`projector`"}


def page() -> str:
    """The whole page in Markdown."""
    records = registry.records("objectives")
    rows = (_overview_row(name, record) for name, record in records.items())
    parts = [_HEAD, _OBJECTIVES, table(_OVERVIEW, rows), _LETTERS]
    parts += [line for name, record in records.items() for line in _objective(name, record)]
    return "\n".join([*parts, *_switches(records), *_networks(), *_schedules()])


def loss(name: str) -> str:
    """What the docstrings of an objective's class and module say of its loss, without the line that names it."""
    path = _path("objectives", name)
    _, _, text = docstring(path).partition("\n\n")
    own = [*classes(path, "Objective"), *classes(path, "MultiPrototype")]
    return "\n\n".join(filter(None, [docstring(path, own[0]), text]))


def _path(package: str, name: str) -> Path:
    return registry.ROOT / package / f"{name}.py"


def _overview_row(name: str, record: Mapping[str, Any]) -> list[str]:
    return [
        f"[{name}](#{name})",
        ", ".join(record["tasks"]).replace("_", " "),
        str(record["views"]),
        "yes" if record["needs_outliers"] else "",
        listed(record["needs"]),
        "yes" if "released" in record["protocols"] else "",
    ]


def _objective(name: str, record: Mapping[str, Any]) -> Iterator[str]:
    yield f"### {name}\n"
    yield f"{record['title']}: {record['paper']}.\n"
    yield fenced(loss(name))
    yield f"{_facts(record)}\n"
    yield parameters(record) or "No parameters.\n"
    if "released" in record["protocols"]:
        yield f"{_released(record)}\n"


def _facts(record: Mapping[str, Any]) -> str:
    views = "one view" if record["views"] == 1 else f"{record['views']} views"
    needs = " and ".join(_PARTS[part] for part in record["needs"])
    outliers = ", with [outliers](papers.md#benchmarks.outlier_exposure)" if record["needs_outliers"] else ""
    gives = " Scores find its `prototypes`." if "prototypes" in record["gives"] else ""
    return f"Trains a {needs} on {views} of every image{outliers}.{gives}"


def _released(record: Mapping[str, Any]) -> str:
    """Which switches a method's released protocol sets otherwise than the corrected one."""
    released, corrected = (resolve_switches(record, protocol, {}) for protocol in ("released", "corrected"))
    pairs = [
        f"* {_switch_link(name)}: {code(released[name])} instead of {code(corrected[name])}"
        for name in switches_of(record)
        if released[name] != corrected[name]
    ]
    return "\n".join(["Under the protocol `released`:\n", *pairs])


def _switch_link(name: str) -> str:
    return f"[`{name}`](#switch-{name})"


def _switches(records: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    own = [name for name in SWITCHES if name not in (*ENGINE, *OUTLIERS)]
    yield _SWITCHES
    yield "### Of every training\n"
    yield table(_SWITCH_HEAD, map(_switch_row, ENGINE))
    yield "### Of every training with outliers\n"
    yield table(_SWITCH_HEAD, map(_switch_row, OUTLIERS))
    yield "### Of single methods\n"
    used = {name: [key for key, record in records.items() if name in record.get("switches", {})] for name in own}
    rows = ([*_switch_row(name), ", ".join(f"[{key}](#{key})" for key in used[name])] for name in own)
    yield table((*_SWITCH_HEAD, "methods"), rows)


_SWITCH_HEAD = ("switch", "corrected", "otherwise", "what it decides")


def _switch_row(name: str) -> list[str]:
    switch = SWITCHES[name]
    others = [value for value in switch["values"] if value is not switch["corrected"] and value != switch["corrected"]]
    return [
        anchored(f"switch-{name}", f"`{name}`"),
        code(switch["corrected"]),
        listed(others),
        prose(switch["description"]),
    ]


def _networks() -> Iterator[str]:
    yield "## Networks\n"
    yield "What stands under [`network`](papers.md#benchmarks.network) of a benchmark.\n"
    for name, record in registry.records("networks").items():
        first, _, text = docstring(_path("networks", name)).partition("\n\n")
        yield f"### {name}\n"
        yield f"{record['title']}: {record['paper']}.\n"
        yield fenced(text or first)
        yield parameters(record) or "No parameters.\n"


def _schedules() -> Iterator[str]:
    yield "## Schedules\n"
    yield "`name` under [`schedule`](papers.md#recipes.schedule) of a recipe: the learning rate over the steps.\n"
    path = _path("training", "schedules")
    rows = ([anchored(f"schedule-{name}", f"`{name}`"), prose(docstring(path, name))] for name in schedules.SCHEDULES)
    yield table(("schedule", "rate"), rows)
    yield "The keys of an optimiser stand under [`optimiser`](papers.md#recipes.optimiser).\n"
