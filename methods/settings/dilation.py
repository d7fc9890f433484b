"""What the dilation distances of a benchmark's candidate outlier sets are told, and what their table and chart are."""

from collections.abc import Iterator, Mapping
from typing import Any

from methods.registry import module_name
from methods.settings.check_sets import split_problems, unknown
from methods.settings.pretrained import weights_name
from methods.settings.study import Study
from methods.source_digest import source_digest

Part = tuple[str, str]  # data set, split


def candidates(study: Study, benchmark: str) -> dict[str, str]:
    """Candidate set -> its split, of those that can be had here, by name."""
    selection = study.benchmarks[benchmark].get("outlier_selection", {"candidates": {}})
    sets = sorted(selection["candidates"].items())
    return {name: part["split"] for name, part in sets if study.available(name, part["split"])}


def dilation_weights(study: Study, benchmark: str) -> Part | None:
    """(name among the weights, file name) that the un-tuned network has."""
    name = weights_name(study.benchmarks[benchmark]["network"])
    return None if name is None else (name, study.weights[name]["files"][0]["name"])


def dilation_settings(study: Study, benchmark: str, seed: int) -> dict[str, Any]:
    """Settings of the distances of one benchmark and seed."""
    own = study.benchmarks[benchmark]
    selection, source = own["outlier_selection"], own["in_distribution"]
    weights = dilation_weights(study, benchmark)
    recipe = selection.get("views_of")
    return {
        "network": own["network"],
        "weights": None if weights is None else "/".join(weights),
        "normalisation": own["normalisation"],
        "augmentation": study.recipes[recipe, benchmark]["augmentation"] if recipe else {},
        "train": f"{source['dataset']}/{source['train']}",
        "candidates": candidates(study, benchmark),
        **{key: selection[key] for key in ("batch", "top_k", "cpu_threads")},
        "seed": seed,
    }


def dilation_digest(study: Study, benchmark: str) -> str:
    """Digest of the code behind the distances, with the network that the benchmark names."""
    network = module_name("networks", study.benchmarks[benchmark]["network"]["name"])
    modules = ["methods.features.outlier_spectra", "methods.training.device", network]
    return source_digest(modules, ["workflow_scripts.measure_dilation"])


def shown(study: Study, benchmark: str) -> dict[str, Any]:
    """What a table or chart of the distances says beside them."""
    own = study.benchmarks[benchmark]
    exposure = own.get("outlier_exposure", {})
    return {
        "title": own["title"],
        "selection": {key: own["outlier_selection"][key] for key in ("form", "select", "batch", "top_k")},
        "views": "random" if own["outlier_selection"].get("views_of") else "plain",
        "network": [own["network"]["name"], weights_name(own["network"])],
        "candidates": [
            {
                "name": name,
                "split": split,
                "title": study.catalog[name]["title"],
                "relation": study.catalog[name].get("relation"),
                "used": (name, split) == (exposure.get("dataset"), exposure.get("split")),
                "tested": name in own["ood"] and own["ood"][name]["split"] == split,
            }
            for name, split in candidates(study, benchmark).items()
        ],
        "absent": [
            study.catalog[name]["title"]
            for name in own["outlier_selection"]["candidates"]
            if name not in candidates(study, benchmark)
        ],
    }


def dilation_problems(study: Study, place: str, name: str, benchmark: Mapping[str, Any]) -> Iterator[str]:
    """What is wrong with the candidates of a benchmark, one sentence each."""
    selection = benchmark.get("outlier_selection")
    if selection is None:
        return
    place = f"{place}.outlier_selection"
    for candidate, part in selection["candidates"].items():
        yield from split_problems(study, f"{place}.candidates", candidate, part["split"])
        if candidate == benchmark["in_distribution"]["dataset"]:
            yield f"{place}.candidates holds the ID set {candidate!r} itself"
    if selection["top_k"] > selection["batch"]:
        yield (
            f"{place}.top_k is {selection['top_k']}, but a batch of {selection['batch']} has no more singular values "
            "than images: choose a smaller top_k or a larger batch"
        )
    if "views_of" in selection:
        yield from unknown(f"{place}.views_of", selection["views_of"], study.evaluate.get(name, {}))
