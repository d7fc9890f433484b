"""Published values beside ours: which of them concern a benchmark, and what forbids a comparison.

A value is compared only where ID images, network, OOD images, length of training and convention of the metric are
those of its source, as far as sources tell; whatever differs is a reason, and a value with a reason gets no verdict.
"""

from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any

from methods.registry import records
from methods.settings.parts import complete_part
from methods.settings.published_files import ID_TEST, METRICS, STATUS, Library, Row, library
from methods.settings.study import Study


def concerning(study: Study, paper: str, entry: Mapping[str, Any]) -> dict[str, Any]:
    """What a table of published values shows of one benchmark.

    Returns:
        ``published``: one mapping a value; ``not_offered``: how many values belong to methods or scores that are not
        here; ``unpublished``: labels of methods shown of which no value is known.
    """
    found, benchmark = library(entry.get("published", paper)), study.benchmarks[entry["benchmark"]]
    inside = _id_names(study, benchmark)
    rows, not_offered = [], 0
    for value in found.values:
        if value["id_set"] not in inside or _fits_better(study, paper, entry["benchmark"], found, value):
            continue
        alias = _alias(study, entry, found, value)
        not_offered += alias is None and not _known(found, value)
        if alias is not None:
            rows.append(_shown(study, entry["benchmark"], found, value, alias))
    methods = entry.get("methods", list(study.papers[paper]["evaluate"][entry["benchmark"]]))
    known = {row["recipe"] for row in rows}
    unpublished = [study.recipes[m, entry["benchmark"]]["label"] for m in methods if m not in known]
    return {"published": rows, "not_offered": not_offered, "unpublished": unpublished}


def _id_names(study: Study, benchmark: Mapping[str, Any]) -> list[str]:
    """The ID set and, where it stands in for another, that one."""
    name = benchmark["in_distribution"]["dataset"]
    relation = study.catalog[name].get("relation")
    return [name, relation["of"]] if relation else [name]


def _fits_better(study: Study, paper: str, benchmark: str, found: Library, value: Row) -> bool:
    """Whether a value belongs to another benchmark of the paper: same ID set, and the network that this one has not."""
    if _same_network(study.benchmarks[benchmark], found, value):
        return False
    others = [study.benchmarks[name] for name in study.papers[paper]["evaluate"] if name != benchmark]
    inside = study.benchmarks[benchmark]["in_distribution"]["dataset"]
    return any(b["in_distribution"]["dataset"] == inside and _same_network(b, found, value) for b in others)


def _same_network(benchmark: Mapping[str, Any], found: Library, value: Row) -> bool:
    own = complete_part("networks", "name", benchmark["network"], "weights")
    candidates = found.networks[value["network"]]
    return own in [complete_part("networks", "name", candidate, "weights") for candidate in candidates]


def _known(found: Library, value: Row) -> bool:
    return (value["paper"], value["method"], value["score"]) in found.aliases


def _alias(study: Study, entry: Mapping[str, Any], found: Library, value: Row) -> Row | None:
    """What a published method and score are here: the first alias that the benchmark evaluates and the table shows."""
    evaluated = study.evaluate[entry["benchmark"]]
    for alias in found.aliases.get((value["paper"], value["method"], value["score"]), ()):
        recipe, instance = alias["recipe"], alias["instance"]
        shown = recipe in entry.get("methods", evaluated) and instance in entry.get("scores", ["", instance])
        fits = alias["id_set"] in ("", value["id_set"])
        if fits and shown and recipe in evaluated and (not instance or instance in evaluated[recipe]):
            return alias
    return None


def _shown(study: Study, name: str, found: Library, value: Row, alias: Row) -> dict[str, Any]:
    """One published value with the place of ours in metrics.csv and the reasons against a comparison."""
    benchmark, source = study.benchmarks[name], found.sources[value["paper"]]
    recipe, instance = study.recipes[alias["recipe"], name], alias["instance"]
    target, differences = _target(study, name, source, value)
    metric, rule = METRICS[value["metric"]]
    offered = records("objectives")[recipe["objective"]["name"]]["protocols"]
    reasons = [*_id_differences(study, benchmark, source, value), *differences]
    if not _same_network(benchmark, found, value):
        reasons.append(f"another network there ({value['network']})")
    if alias["epochs"] and int(alias["epochs"]) != recipe.get("epochs"):
        reasons.append(f"trained there for {alias['epochs']} epochs, here for {recipe.get('epochs', 'none')}")
    return {
        "source": f"{source['title']}, {value['table'].replace('_', ' ')} ({STATUS[value['status']]})",
        "value": float(value["value"]) / 100,
        "recipe": alias["recipe"],
        "instance": instance,
        "method": recipe["label"],
        "score": study.scores[instance].get("label", instance) if instance else "",
        "protocol": "released" if "released" in offered else offered[0],
        "ood": _ood_title(study, source, value),
        "target": target,
        "metric": metric,
        "rule": rule.format(**source),
        "reasons": [*reasons, *([alias["note"]] if alias["note"] else [])],
    }


def _ood_title(study: Study, source: Mapping[str, Any], value: Row) -> str:
    if value["ood_set"] == ID_TEST:
        return "ID test"
    sets = _printed_sets(source, value)
    if len(sets) != 1:
        return value["ood_set"].replace("_", " ")
    (name,) = sets
    return str(study.catalog[name]["title"]) if name in study.catalog else name


def _printed_sets(source: Mapping[str, Any], value: Row) -> Mapping[str, str]:
    """Data set -> split behind a printed column; averages may have other members on another ID set."""
    sets, name = source["sets"], value["ood_set"]
    found: Mapping[str, str] = sets.get(f"{name}@{value['id_set']}", sets[name])
    return found


def _id_differences(study: Study, benchmark: Mapping[str, Any], source: Mapping[str, Any], value: Row) -> Iterator[str]:
    inside = benchmark["in_distribution"]
    tested = source["id_tests"][value["id_set"]]
    if inside["dataset"] != value["id_set"]:
        yield f"the ID set here is a {study.catalog[inside['dataset']]['relation']['kind']} of the one there"
    elif tested == "unknown":
        yield "the ID images tested there are not known"
    elif tested != inside["test"]:
        yield f"the ID images tested there are {tested}, here {inside['test']}"


def _target(study: Study, name: str, source: Mapping[str, Any], value: Row) -> tuple[str, list[str]]:
    """(level and target in metrics.csv, or "" where ours has none; what differs) of a published OOD set or average."""
    if value["ood_set"] == ID_TEST:
        return "id:test", []
    wanted, ood = _printed_sets(source, value), study.benchmarks[name]["ood"]
    if not wanted:
        return "", ["the images of that average are lists of its own"]
    groups = sorted({group for part in ood.values() for group in part["groups"]})
    same = [g for g in groups if {s for s, part in ood.items() if g in part["groups"]} == set(wanted)]
    if len(wanted) > 1 and not same:
        return "", ["no group of OOD sets here has exactly the members of that average"]
    if len(wanted) > 1:
        parts = [_set_differences(study, name, source, wanted, dataset) for dataset in wanted]
        return f"group:{same[0]}", list(chain.from_iterable(parts))
    (dataset,) = wanted
    if dataset in ood:
        return f"set:{dataset}", list(_set_differences(study, name, source, wanted, dataset))
    for other in ood:
        relation = study.catalog[other].get("relation")
        if relation and relation["of"] == dataset:
            return f"set:{other}", [f"the OOD set here, {study.catalog[other]['title']}, is a {relation['kind']}"]
    return "", ["that OOD set is not in the benchmark"]


def _set_differences(
    study: Study, name: str, source: Mapping[str, Any], wanted: Mapping[str, str], dataset: str
) -> Iterator[str]:
    benchmark, tested, title = study.benchmarks[name], wanted[dataset], study.catalog[dataset]["title"]
    split = benchmark["ood"][dataset]["split"]
    if tested == "unknown":
        yield f"the images of {title} tested there are not known"
    elif tested != split:
        yield f"the images of {title} tested there are {tested}, here {split}"
    if dataset in source["square"] and benchmark["render"]["resize"] != "square":
        yield f"{title} is squeezed to a square there, cropped here"
