"""What a schema cannot say about a benchmark: sets that must exist, fit, and share no image."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from methods.data.overlap import share_images, shared_classes
from methods.settings.parts import part_problems
from methods.settings.schema import nearest
from methods.settings.study import Study


def benchmark_problems(study: Study) -> Iterator[str]:
    """What is wrong with the benchmarks of a joined study, one sentence each."""
    for name, benchmark in study.benchmarks.items():
        place = f"benchmarks.{name}"
        yield from part_problems("networks", "name", benchmark["network"], f"{place}.network")
        source = benchmark["in_distribution"]
        for role in ("train", "validation", "test"):
            yield from split_problems(study, f"{place}.in_distribution", source["dataset"], source[role])
        if source["dataset"] in study.catalog:
            yield from _task(study, place, benchmark)
            yield from _tail(study, place, benchmark)
        for ood, part in benchmark["ood"].items():
            yield from split_problems(study, f"{place}.ood", ood, part["split"])
        yield from _sizes(study, place, benchmark)
        if source["dataset"] in benchmark["ood"]:
            yield f"{place}.ood holds the ID set {source['dataset']!r} itself"
        train, test = ((source["dataset"], source[role]) for role in ("train", "test"))
        if train == test or share(study, train, test):
            yield f"{place}.in_distribution: the splits {source['train']} and {source['test']} share images"
        if "outlier_exposure" in benchmark:
            yield from _outliers(study, place, benchmark)
        for ood, part in benchmark["ood_validation"].items():
            yield from _ood_validation(study, place, benchmark, (ood, part["split"]))


def _sizes(study: Study, place: str, benchmark: Mapping[str, Any]) -> Iterator[str]:
    """Sets that a render without resizing cannot take."""
    render, exposure = benchmark["render"], benchmark.get("outlier_exposure", {}).get("dataset")
    names = {benchmark["in_distribution"]["dataset"], *benchmark["ood"], *benchmark["ood_validation"]}
    names |= ({exposure} if exposure else set()) | set(benchmark.get("outlier_selection", {}).get("candidates", ()))
    for name in sorted(names & set(study.catalog)) if render["resize"] == "native" else ():
        size = study.catalog[name].get("image_size")  # where it varies, prepare_images finds out
        if size not in (None, [render["size"]] * 2):
            yield f"{place}.render asks for {render['size']} pixels without resizing, {name} has {size[0]}x{size[1]}"


def _task(study: Study, place: str, benchmark: Mapping[str, Any]) -> Iterator[str]:
    record = study.catalog[benchmark["in_distribution"]["dataset"]]
    if record["task"] != benchmark["task"]:
        yield f"{place}.task is {benchmark['task']}, its ID set has {record['task']} labels"
    if not record["classes"]:
        yield f"{place}: its ID set {benchmark['in_distribution']['dataset']} lists no classes in the catalog"


def _tail(study: Study, place: str, benchmark: Mapping[str, Any]) -> Iterator[str]:
    """Numbers of most frequent classes: for several labels an image, and fewer than there are classes."""
    count = len(study.catalog[benchmark["in_distribution"]["dataset"]]["classes"])
    for key in ("head_classes", "tail_steps"):
        if key not in benchmark:
            continue
        if benchmark["task"] == "single_label":
            yield f"{place}.{key} is for several labels an image, the benchmark is single_label: leave it out"
        numbers = benchmark[key] if isinstance(benchmark[key], list) else [benchmark[key]]
        if max(numbers) >= count:
            yield f"{place}.{key} is {benchmark[key]}, the ID set has {count} classes: name fewer than these"
        if sorted(numbers) != numbers:
            yield f"{place}.{key} is {benchmark[key]}, expected numbers that rise"


def _outliers(study: Study, place: str, benchmark: Mapping[str, Any]) -> Iterator[str]:
    exposure = benchmark["outlier_exposure"]
    yield from split_problems(study, f"{place}.outlier_exposure", exposure["dataset"], exposure["split"])
    trained = (exposure["dataset"], exposure["split"])
    source = benchmark["in_distribution"]
    for role in ("train", "test"):
        inside = (source["dataset"], source[role])
        if trained == inside or share(study, trained, inside):
            yield f"{place}: outlier exposure {'/'.join(trained)} shares images with the ID {role} split"
    for name, part in benchmark["ood"].items():
        if trained == (name, part["split"]):
            yield f"{place}: {name}/{part['split']} is outlier exposure and OOD test set at once"
        elif share(study, trained, (name, part["split"])):
            yield f"{place}: outlier exposure {'/'.join(trained)} and OOD set {name}/{part['split']} share images"
    if "overlap_allowed" not in exposure and (found := exposed_classes(study, benchmark)):
        yield (
            f"{place}.outlier_exposure: {'/'.join(trained)} shows classes of the ID set ({', '.join(found)}): take a "
            "split without them, or state under overlap_allowed why training may call them unknown"
        )


def exposed_classes(study: Study, benchmark: Mapping[str, Any]) -> list[str]:
    """ID classes that the outliers of a benchmark are known to show."""
    inside, exposure = benchmark["in_distribution"]["dataset"], benchmark["outlier_exposure"]
    record = study.catalog.get(exposure["dataset"], {"splits": {}})
    if inside not in study.catalog or exposure["split"] not in record["splits"]:
        return []
    return shared_classes(study.catalog, inside, exposure["dataset"], exposure["split"])


def _ood_validation(study: Study, place: str, benchmark: Mapping[str, Any], part: tuple[str, str]) -> Iterator[str]:
    """Nothing that is tuned on may be trained on or tested."""
    source = benchmark["in_distribution"]
    yield from split_problems(study, f"{place}.ood_validation", *part)
    if part[0] == source["dataset"]:
        yield f"{place}.ood_validation holds the ID set {part[0]!r} itself"
    others = [(source["dataset"], source[role]) for role in ("train", "validation", "test")]
    others += [(name, ood["split"]) for name, ood in benchmark["ood"].items()]
    if "outlier_exposure" in benchmark:
        others.append((benchmark["outlier_exposure"]["dataset"], benchmark["outlier_exposure"]["split"]))
    for other in others:
        if part == other or share(study, part, other):
            yield f"{place}.ood_validation: {'/'.join(part)} shares images with {'/'.join(other)}"


def share(study: Study, *parts: tuple[str, str]) -> bool:
    """Whether two (data set, split) are known to share images."""
    known = all(split in study.catalog.get(dataset, {}).get("splits", {}) for dataset, split in parts)
    return known and share_images(study.catalog, *parts)


def split_problems(study: Study, place: str, dataset: str, split: str) -> Iterator[str]:
    """A data set or split that is not in the catalog."""
    yield from unknown(place, dataset, study.catalog)
    if dataset in study.catalog:
        yield from unknown(f"{place}: split of {dataset}", split, study.catalog[dataset]["splits"])


def unknown(place: str, name: object, known: Iterable[str]) -> Iterator[str]:
    """A sentence with the nearest known name, if ``name`` is not known."""
    names = list(known)
    if name not in names:
        yield f"{place} names {name!r}: {nearest(name, names)}"
