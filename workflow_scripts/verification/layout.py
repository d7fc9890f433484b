"""Which files there are and which file each one was made from.

A file has a key, ``data/...`` or ``results/...``, whatever the folders of this checkout are called. A record names its
parents by role; here each role gets the key of the file that the workflow reads in that role, with ``*`` where neither
the record nor the study says which one. A test holds this against the workflow's own inputs.
"""

import re
from collections.abc import Mapping
from dataclasses import astuple, dataclass, replace
from functools import cache
from typing import Any

from methods.data.catalog import owner_of
from methods.data.render import render_name
from methods.settings import imports
from methods.settings.checks import output_record
from methods.settings.figures import role_of
from methods.settings.outputs import shown_protocol
from methods.settings.study import Run, Study

_RUN = "results/runs/{benchmark}/{method}/{protocol}/seed{seed}"
_EVALUATION = f"{_RUN}/eval-{{evaluation}}"

# Kind -> key, and the form of the record, in the order from table to archive: what is read stands below who reads it.
KINDS: dict[str, tuple[str, str | None]] = {
    "table": ("results/papers/{paper}/tables/{name}.csv", "sidecar"),
    "figure": ("results/papers/{paper}/figures/{name}.svg", "sidecar"),
    "metrics": (f"{_EVALUATION}/metrics.csv", "sidecar"),
    "network_scores": (f"{_EVALUATION}/network_scores/{{dataset}}/{{split}}.h5", "hdf5"),
    "scores": (f"{_EVALUATION}/scores/{{dataset}}/{{split}}.h5", "hdf5"),
    "detectors": (f"{_EVALUATION}/detectors.h5", "hdf5"),
    "tuned": (f"{_EVALUATION}/tuned.json", "sidecar"),
    "readout": (f"{_EVALUATION}/readout.h5", "hdf5"),
    "features": (f"{_EVALUATION}/features/{{dataset}}/{{split}}.h5", "hdf5"),
    "model": (f"{_RUN}/model.safetensors", "safetensors"),
    "history": (f"{_RUN}/history.csv", None),
    "cost": (f"{_RUN}/cost.csv", None),
    "dilation": ("results/outlier_selection/{benchmark}/seed{seed}.csv", "sidecar"),
    "images": ("data/images/{dataset}/{split}@{render}.h5", "hdf5"),
    "source": ("data/sources/{dataset}/{split}.json", None),
    "archive": ("data/archives/{dataset}/{file}", None),
}
# What records call these kinds where it is another word.
RECORDED_KINDS = {"network_scores": "scores"}
OUTPUT_FORMS = {"table": ("csv", "md", "tex", "html"), "figure": ("svg", "pdf")}
SIDECAR = ".provenance.json"
OUTSIDE = "file:"  # begins the key of a file of yours that lies in neither folder
SOMEWHERE = f"{OUTSIDE}*"  # such a file, or a downloaded one, that only a paper beyond the config names


@dataclass(frozen=True)
class Place:
    """Kind of the file at ``key`` and the names in its path."""

    key: str
    kind: str
    names: Mapping[str, str]

    @property
    def part(self) -> str:
        """Data set and split."""
        return f"{self.names['dataset']}/{self.names['split']}"

    @property
    def run(self) -> Run:
        """The run whose file this is."""
        names = self.names
        return Run(names["benchmark"], names["method"], names["protocol"], int(names["seed"]))

    def beside(self, kind: str, part: str = "*/*") -> str:
        """Key of another file of the same run."""
        dataset, split = part.split("/")
        names = {**self.names, "evaluation": self.names.get("evaluation", ""), "dataset": dataset, "split": split}
        return KINDS[kind][0].format(**names)


def place_of(key: str) -> Place | None:
    """The place of a key; None for a file of no kind."""
    for kind in KINDS:
        if found := _pattern(kind).fullmatch(key):
            return Place(key, kind, found.groupdict())
    return None


def parents_of(place: Place, record: Mapping[str, Any], study: Study) -> dict[str, list[str]]:
    """Role -> keys of the file read in it, possibly with ``*``; none for a role that is not known."""
    rule = _RULES.get(place.kind, _of_evaluation)
    return {role: rule(place, role, record["settings"], study) for role in record["parents"]}


@cache
def _pattern(kind: str) -> re.Pattern[str]:
    text = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/@]+)", re.escape(KINDS[kind][0]))
    last = r"(?P<file>[^/]+)" if kind == "archive" else r"(?P<file>[^/@]+)"
    return re.compile(text.replace(r"(?P<file>[^/@]+)", last))


def _key(kind: str, **names: object) -> str:
    return KINDS[kind][0].format(**names)


def _run_key(kind: str, benchmark: str, method: str, protocol: str, seed: object, part: str = "*/*") -> str:
    names = {"benchmark": benchmark, "method": method, "protocol": protocol, "seed": str(seed)}
    return Place("", kind, {**names, "evaluation": protocol}).beside(kind, part)


def _of_table(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    method, protocol, seed, *dataset = role.split("/")
    needs = output_record(settings).get("needs")
    if needs == "dilation":
        return [_key("dilation", benchmark=settings["benchmark"], seed=seed)]
    part = f"{dataset[0]}/*" if dataset else "*/*"
    return [_run_key(str(needs), settings["benchmark"], method, protocol, seed, part)] if needs else []


def _of_figure(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    """Files of the runs shown, by the role that the figure's settings give them."""
    found = []
    for source in settings["sources"]:
        needs, seed = source["needs"], source.get("seed", settings["seed"])
        benchmark = source.get("benchmark", settings["benchmark"])
        if role != role_of(source):
            continue
        if needs == "dilation":
            found.append(_key("dilation", benchmark=benchmark, seed=seed))
            continue
        part = f"{source['dataset']}/{source['split']}" if "dataset" in source else "*/*"
        run = Run(benchmark, source["method"], "", seed)
        known = (run.method, benchmark) in study.recipes
        protocols = [shown_protocol(study, run)] if known else ["corrected", "released"]
        found += [_run_key(needs, benchmark, run.method, protocol, seed, part) for protocol in protocols]
    return found


def _of_images(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    if role == "source":
        return [_key("source", **place.names)]
    known = place.names["dataset"] in study.catalog
    owner = owner_of(study.catalog, place.names["dataset"]) if known else "*"
    return [_key("archive", dataset=owner, file=role)]


def _of_model(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    data = settings.get("data", {})
    if role == "pretrained":
        return [f"data/archives/{data[role]}"]
    if role in data:
        return [_image(study, place.names["benchmark"], data[role])]
    if "recipe" in (how := settings.get("imported", {})):
        return [_run_key("model", *astuple(replace(place.run, method=how["recipe"])))]
    checkpoint = study.recipes.get((place.run.method, place.run.benchmark), {}).get("checkpoint", {})
    if "file" in checkpoint:
        return [f"{OUTSIDE}{checkpoint['file']}"]
    if not checkpoint:
        return [SOMEWHERE]
    dataset, file = imports.download(checkpoint)
    return [_key("archive", dataset=dataset, file=file)]


def _of_dilation(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    if role == "pretrained":
        return [f"data/archives/{settings['weights']}"]
    parts = [f"{name}/{split}" for name, split in settings["candidates"].items()]
    part = settings["train"] if role == "train" else parts[_number(role)]
    return [_image(study, place.names["benchmark"], part)]


def _of_evaluation(place: Place, role: str, settings: Mapping[str, Any], study: Study) -> list[str]:
    """Files behind an evaluation of a run, in roles that mean the same for all of its steps."""
    name, benchmark = re.sub(r"_\d+$", "", role), place.names["benchmark"]
    if name in ("model", "readout", "detectors", "tuned"):
        return [place.beside(name)]
    if name in ("train", "validation", "test"):
        return [place.beside("features", _id_part(study, benchmark, name))]
    if name in ("id_scores", "id_network"):
        return [place.beside(_SCORES[name], _id_part(study, benchmark, "test"))]
    if name in ("ood_scores", "ood_network"):
        return [place.beside(_SCORES[name], _ood_part(study, benchmark, settings["sets"][_number(role)]))]
    if name in ("features", "images"):
        part = place.part if role == name else "/".join(settings["parts"][_number(role)])
        return [place.beside("features", part) if name == "features" else _image(study, benchmark, part)]
    return []


_RULES = {
    "table": _of_table,
    "figure": _of_figure,
    "images": _of_images,
    "model": _of_model,
    "dilation": _of_dilation,
}
_SCORES = {
    "id_scores": "scores",
    "ood_scores": "scores",
    "id_network": "network_scores",
    "ood_network": "network_scores",
}


def _number(role: str) -> int:
    return int(role.rpartition("_")[2])


def _image(study: Study, benchmark: str, part: str) -> str:
    render = "*"
    if benchmark in study.benchmarks:
        render = render_name(study.benchmarks[benchmark]["render"])
    dataset, split = part.split("/")
    return _key("images", dataset=dataset, split=split, render=render)


def _id_part(study: Study, benchmark: str, role: str) -> str:
    if benchmark not in study.benchmarks:
        return "*/*"
    source = study.benchmarks[benchmark]["in_distribution"]
    return f"{source['dataset']}/{source[role]}"


def _ood_part(study: Study, benchmark: str, name: str) -> str:
    sets = study.benchmarks.get(benchmark, {}).get("ood", {})
    return f"{name}/{sets[name]['split'] if name in sets else '*'}"
