"""What a bundle of a paper's results says of how they were made: the config, and the paper with those it takes from."""

from collections.abc import Mapping
from typing import Any

from methods.files import sha256_bytes
from methods.settings.papers import load_paper, paper_path
from methods.settings.study import Study


def packed_config(study: Study) -> dict[str, Any]:
    """The config with its defaults, without the folders of this machine."""
    return {key: value for key, value in study.config.items() if key not in ("data", "results")}


def paper_files(study: Study, paper: str) -> dict[str, bytes]:
    """File name -> content of the paper's file, and of the papers that it takes recipes or benchmarks from."""
    entries = {load_paper(entry)["name"]: entry for entry in study.config["papers"]}
    waiting, found = [entries[paper]], dict[str, bytes]()
    for entry in waiting:  # grows while it is walked
        path = paper_path(entry)
        if path.name not in found:
            found[path.name] = path.read_bytes()
            waiting += _used(load_paper(entry))
    return found


def packed_settings(study: Study, paper: str) -> dict[str, Any]:
    """What the bundle of a paper depends on besides its files."""
    hashes = {name: sha256_bytes(content) for name, content in paper_files(study, paper).items()}
    return {"paper": paper, "config": packed_config(study), "files": hashes}


def _used(paper: Mapping[str, Any]) -> list[str]:
    parts = [*paper["recipes"].values(), *paper["benchmarks"].values()]
    return [part["use"] for part in parts if "use" in part]
