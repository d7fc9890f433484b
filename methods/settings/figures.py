"""What only figures ask for: own names and their order, files and sets, panels over recipe values."""

from collections.abc import Iterable, Mapping
from typing import Any

from methods import registry
from methods.errors import ReproError
from methods.settings.parts import complete_part
from methods.settings.schema import nearest
from methods.settings.study import Run, Study

Entry = Mapping[str, Any]


def files_read(entry: Entry) -> list[str]:
    """Kinds of files that a figure or table reads of every run."""
    own = _record(entry) or registry.records("reporting.tables")[entry["kind"]]
    return [own["needs"], *own.get("also", ())]


def named_methods(entry: Entry) -> list[str] | None:
    """Methods that an entry names, in its panels too; None where it names none and so shows all."""
    if "panels" in entry:
        return list(dict.fromkeys(method for methods in entry["panels"].values() for method in methods))
    if "against" in entry and "methods" in entry:
        return list(dict.fromkeys([*entry["methods"], entry["against"]]))
    return entry.get("methods")


def ordered(entry: Entry, names: Iterable[str]) -> list[str]:
    """``names`` with those first that the entry puts first."""
    kept, order = list(names), entry.get("order", ())
    return [*(name for name in order if name in kept), *(name for name in kept if name not in order)]


def label(entry: Entry, name: str, usual: str) -> str:
    """How the entry calls a method, score, set, group or panel."""
    return entry.get("labels", {}).get(name, usual)


def has_parts(study: Study, benchmark: str, method: str, parts: Iterable[str]) -> bool:
    """Whether the runs of a method have what a kind of figure shows of their readout, such as prototypes."""
    gives = registry.records("objectives")[study.recipes[method, benchmark]["objective"]["name"]]["gives"]
    return not (wanted := set(parts)) or (not study.imported(method, benchmark) and wanted <= set(gives))


def method_order(study: Study, paper: str) -> list[str]:
    """Methods of a paper by the place of their recipe, from which their colours come.

    Neither the benchmark nor what a figure shows, nor what cannot be had here, moves a method to another colour.
    """
    evaluated = (method for methods in study.papers[paper]["evaluate"].values() for method in methods)
    return list(dict.fromkeys([*study.papers[paper]["recipes"], *evaluated]))


def recipe_value(study: Study, benchmark: str, method: str, key: str) -> Any:
    """The value of a recipe at a dotted key such as ``objective.alpha``, defaults of the objective included.

    Raises:
        ReproError: the recipe has no such key; names the nearest one.
    """
    recipe = study.recipes[method, benchmark]
    recipe = {**recipe, "objective": complete_part("objectives", "name", recipe["objective"])}
    inner: Any = recipe
    for part in key.split("."):
        if not isinstance(inner, Mapping) or part not in inner:
            raise ReproError(f"the recipe {method} has no key {key!r}: {nearest(key, _keys(recipe))}")
        inner = inner[part]
    return inner


def panel_values(study: Study, entry: Entry) -> dict[str, Any]:
    """``panels``, for kinds that are drawn over recipe values: key, name, base and (method, value) by value.

    The base is the first method of a panel, which is the one that the others change. A panel of which fewer than two
    methods can be had here is left out.
    """
    panels = []
    for key, methods in entry.get("panels", {}).items():
        here = [method for method in methods if method in study.evaluate[entry["benchmark"]]]
        found = [[method, recipe_value(study, entry["benchmark"], method, key)] for method in here]
        name = label(entry, key, key.rpartition(".")[2].replace("_", " "))
        points = sorted(found, key=lambda pair: pair[1])
        if len(points) > 1:
            panels.append({"key": key, "name": name, "base": here[0], "points": points})
    return {"panels": panels}


def with_snapshots(study: Study, benchmark: str, methods: Iterable[str]) -> list[str]:
    """``methods``, each behind those snapshots of it that are evaluated, by their epochs."""
    found = [method for base in methods for _, method in _course(study, benchmark, base)]
    return list(dict.fromkeys(found))


def courses(study: Study, entry: Entry, methods: Iterable[str]) -> list[dict[str, Any]]:
    """For kinds that are drawn over epochs: method, label, and (epochs, snapshot or the method itself) in rising order.

    A method without an evaluated snapshot has no course.
    """
    benchmark = entry["benchmark"]
    whole = {method: _course(study, benchmark, method) for method in methods}
    return [
        {"method": name, "label": label(entry, name, study.recipes[name, benchmark]["label"]), "points": points}
        for name, points in whole.items()
        if len(points) > 1
    ]


def _course(study: Study, benchmark: str, base: str) -> list[tuple[int, str]]:
    """(epochs, method) of the evaluated snapshots of ``base`` and of itself; of anything else itself alone."""
    checkpoints = {
        method: study.recipes[method, benchmark].get("checkpoint", {}) for method in study.evaluate[benchmark]
    }
    own = [(part["epoch"], method) for method, part in checkpoints.items() if part.get("recipe") == base]
    return [*sorted(own), (study.recipes[base, benchmark].get("epochs", 0), base)]


def shown_classes(study: Study, entry: Entry) -> list[list[Any]]:
    """(index, name) of the ID classes that a figure tells apart by colour: those it names, else the first eight."""
    known = study.catalog[study.benchmarks[entry["benchmark"]]["in_distribution"]["dataset"]]["classes"]
    return [[known.index(name), label(entry, name, name)] for name in entry.get("classes", known[:8])]


def run_sources(study: Study, entry: Entry, run: Run) -> list[dict[str, Any]]:
    """Files that a figure reads of one run, and what they are."""
    name, found = label(entry, run.method, study.recipe(run)["label"]), []
    for needs in files_read(entry):
        common = {"method": run.method, "label": name, "needs": needs}
        if needs in ("scores", "features"):
            found += [{**common, **part} for part in figure_sets(study, entry)]
        else:
            found.append({**common, "seed": run.seed} if needs in ("metrics", "cost") else common)
    return found


def role_of(source: Entry) -> str:
    """What tells a file from the others that a figure reads: method, set or kind of file, seed, further benchmark."""
    parts = [source.get("benchmark", ""), source["method"], source.get("dataset") or source["needs"]]
    seed = source.get("seed")
    return "/".join([*filter(None, parts), *([] if seed is None else [f"seed{seed}"])])


def further(study: Study, entry: Entry, methods: list[str]) -> list[dict[str, Any]]:
    """The entry as it would be for each benchmark of ``also_on`` that is here and has one of ``methods``.

    Sets and groups that a benchmark does not have are left out there.
    """
    found = []
    for name in entry.get("also_on", ()):
        here = [method for method in methods if method in study.evaluate.get(name, ())]
        if not here:
            continue
        ood = study.benchmarks[name]["ood"]
        groups = {group for part in ood.values() for group in part["groups"]}
        own = {**entry, "benchmark": name, "methods": here}
        own |= {
            key: [n for n in entry[key] if n in known]
            for key, known in (("sets", ood), ("groups", groups))
            if key in entry
        }
        found.append({key: value for key, value in own.items() if key != "also_on"})
    return found


def columns_of(study: Study, entry: Entry, more: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """(target, title) of every column; those of further benchmarks have the benchmark before the target.

    Where there are several, every title says which.
    """
    columns = shown_targets(study, entry)["columns"]
    if not more:
        return columns
    found = [(target, f"{title}, {_called(study, entry, entry['benchmark'])}") for target, title in columns]
    for own in more:
        title = _called(study, entry, own["benchmark"])
        pairs = shown_targets(study, own)["columns"]
        found += [(f"{own['benchmark']}/{target}", f"{column}, {title}") for target, column in pairs]
    return found


def _called(study: Study, entry: Entry, benchmark: str) -> str:
    return label(entry, benchmark, study.benchmarks[benchmark]["title"])


def figure_sets(study: Study, entry: Entry) -> list[dict[str, Any]]:
    """The ID test split, and the OOD sets that a figure shows and that can be had here."""
    source, ood = study.benchmarks[entry["benchmark"]]["in_distribution"], study.ood_sets(entry["benchmark"])
    title = label(entry, source["dataset"], "ID test")
    inside = {"role": "id", "dataset": source["dataset"], "split": source["test"], "title": title}
    sets = [(name, label(entry, name, study.catalog[name]["title"])) for name in _asked_sets(study, entry)]
    outside = [{"dataset": n, "split": ood[n]["split"], "title": called} for n, called in sets if n in ood]
    return [inside, *({"role": "ood", **part} for part in outside)]


def sets_are_here(study: Study, entry: Entry) -> bool:
    """Whether an OOD set that a figure shows can be had here, and its whole group; true if it asks for none."""
    here, ood = study.ood_sets(entry["benchmark"]), study.benchmarks[entry["benchmark"]]["ood"]
    group = [name for name, part in ood.items() if entry.get("group") in part["groups"]]
    asked = _asked_sets(study, entry)
    return not asked or (any(name in here for name in asked) and all(name in here for name in group))


def shown_targets(study: Study, entry: Entry) -> dict[str, Any]:
    """What a figure of metrics shows, as metrics.csv calls it: ``targets`` it averages over, ``columns`` one by one.

    ``against`` is how the average is called; a column is (target, how it is called), a set or the average of a group.
    """
    sets = [part for part in figure_sets(study, entry) if part["role"] == "ood"]
    groups = [(f"group:{name}", label(entry, name, f"average {name}")) for name in entry.get("groups", ())]
    columns = [*((f"set:{part['dataset']}", part["title"]) for part in sets), *groups]
    if "group" in entry:
        name = label(entry, entry["group"], entry["group"])
        return {"targets": [f"group:{entry['group']}"], "against": f"average of {name}", "columns": columns}
    titles = " and ".join(part["title"] for part in sets) if len(sets) < 3 else f"{len(sets)} OOD sets"
    against = f"average of {titles}" if len(sets) > 1 else titles
    return {"targets": [f"set:{part['dataset']}" for part in sets], "against": against, "columns": columns}


def _record(entry: Entry) -> Mapping[str, Any]:
    return registry.records("reporting.figures").get(entry["kind"], {})


def _asked_sets(study: Study, entry: Entry) -> list[str]:
    """All by default, none where the kind shows only those that are named."""
    ood = study.benchmarks[entry["benchmark"]]["ood"]
    return ordered(entry, entry.get("sets", () if _record(entry).get("sets") == "named" else ood))


def _keys(inner: Mapping[str, Any], before: str = "") -> Iterable[str]:
    """Dotted keys of all numbers in a recipe."""
    for key, value in inner.items():
        if isinstance(value, Mapping):
            yield from _keys(value, f"{before}{key}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{before}{key}"
