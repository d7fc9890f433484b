"""What lies on the disk: files, their hashes, their records, and which file each one says it was made from."""

import fnmatch
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from methods.equivalent_code import entries, standing_for
from methods.errors import ReproError
from methods.records import Record, read_record
from methods.settings.study import Run, Study
from methods.source_digest import ROOT
from workflow_scripts.verification import hashes
from workflow_scripts.verification.layout import KINDS, OUTSIDE, SIDECAR, Place, parents_of, place_of

# Not results: hashes vouch for themselves, checkpoints are in progress, the site only shows what is checked here.
LEFT_OUT = ("results/hashes/", "results/resume/", "results/site/", "results/verify.json")
DATA_FOLDERS = ("archives", "images", "sources")


@dataclass(frozen=True)
class Link:
    """One parent in a record: ``keys`` are the files on the disk that may have been read in ``role``."""

    role: str
    sha256: str
    places: tuple[str, ...]
    keys: tuple[str, ...]


@dataclass
class Evidence:
    """Files by key, and what is known of each.

    Attributes:
        roots: folders of the keys ``data/...`` and ``results/...``.
        files: key -> path.
        sha256: key -> hash as found.
        own: key -> hash that the job kept which made the file.
        damaged: key -> its file under ``hashes/``, which cannot be trusted.
        records: key -> record of its origin; ``unreadable``: key -> what is wrong with it.
    """

    study: Study
    roots: Mapping[str, Path]
    files: dict[str, Path]
    sha256: dict[str, str] = field(default_factory=dict)
    own: dict[str, str] = field(default_factory=dict)
    damaged: dict[str, Path] = field(default_factory=dict)
    records: dict[str, Record] = field(default_factory=dict)
    unreadable: dict[str, str] = field(default_factory=dict)

    @cached_property
    def places(self) -> dict[str, Place]:
        """Key -> place of the files that have one."""
        found = {key: place_of(key) for key in self.files}
        return {key: place for key, place in found.items() if place is not None}

    @cached_property
    def links(self) -> dict[str, list[Link]]:
        """Key -> what its record says it was made from."""
        return {key: self.links_of(key) for key in self.records}

    @property
    def equivalent_code(self) -> list[dict[str, str]]:
        """What was recorded as equivalent to code that made one of these files, with its reason."""
        recorded = {record["source_digest"] for record in self.records.values()}
        return [asdict(entry) for entry in entries(ROOT) if standing_for(entry.code, ROOT) in recorded]

    def choices(self, run: Run) -> Mapping[str, Any]:
        """What was tuned in a run; empty if there is nothing that can be read."""
        path = self.path(f"results/runs/{run.benchmark}/{run.method}/{run.protocol}/seed{run.seed}")
        try:
            found = json.loads((path / f"eval-{run.protocol}/tuned.json").read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def path(self, key: str) -> Path:
        """Where the file of a key lies, or would lie."""
        return path_of(self.roots, key)

    def links_of(self, key: str) -> list[Link]:
        """What the record of a file says it was made from."""
        parents, place = self.records[key]["parents"], self.places.get(key)
        try:
            found = parents_of(place, self.records[key], self.study) if place else {}
        except (KeyError, IndexError, ValueError, TypeError, AttributeError):  # a role or settings of another version
            found = {}
        return [
            Link(role, str(sha256), tuple(found.get(role, ())), tuple(self._present(found.get(role, ()))))
            for role, sha256 in parents.items()
        ]

    def _present(self, patterns: Iterable[str]) -> Iterable[str]:
        for pattern in patterns:
            if "*" not in pattern:
                yield from [pattern] if pattern in self.files or self._outside(pattern) else []
            else:
                fits = re.compile(fnmatch.translate(pattern)).match
                yield from (key for key in self.files if fits(key))

    def _outside(self, key: str) -> bool:
        """Take up a file of the user's that a record names; it is hashed with the others."""
        if key.startswith(OUTSIDE) and self.path(key).is_file():
            self.files[key] = self.path(key)
            return True
        return False


def path_of(roots: Mapping[str, Path], key: str) -> Path:
    """The path of a key."""
    if key.startswith(OUTSIDE):
        return Path(key.removeprefix(OUTSIDE))
    root, _, name = key.partition("/")
    return roots[root] / name


def gather(study: Study, starts: Iterable[str] | None = None) -> Evidence:
    """Find files and read their records, hashing nothing yet.

    Args:
        study: whose folders are looked at.
        starts: keys; with them, only these files and all that stand behind them.
    """
    config = study.config
    roots = {"data": Path(config["data"]["folder"]), "results": Path(config["results"]["folder"])}
    evidence = Evidence(study, roots, scan(roots))
    for name, root in roots.items():
        own, damaged = hashes.read_hashes(root)
        evidence.own |= {f"{name}/{key}": sha256 for key, sha256 in own.items()}
        evidence.damaged |= {f"{name}/{key}": path for key, path in damaged.items()}
    for key in list(evidence.files) if starts is None else ():
        _read(evidence, key)
    if starts is not None:
        _keep_behind(evidence, starts)
    return evidence


def scan(roots: Mapping[str, Path]) -> dict[str, Path]:
    """Key -> path of every file that may be a result or what one is made from."""
    folders = [("data", roots["data"] / name) for name in DATA_FOLDERS] + [("results", roots["results"])]
    found = {}
    for name, folder in folders:
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(roots[name])
            key = f"{name}/{relative.as_posix()}"
            hidden = any(part.startswith(".") for part in relative.parts)
            if not hidden and not key.startswith(LEFT_OUT) and path.is_file():
                found[key] = path
    return found


def _read(evidence: Evidence, key: str) -> None:
    place = evidence.places.get(key)
    form = KINDS[place.kind][1] if place else "sidecar" if f"{key}{SIDECAR}" in evidence.files else None
    if form is None:
        return
    try:
        evidence.records[key] = read_record(evidence.files[key], form)
    except ReproError as error:
        evidence.unreadable[key] = str(error)


def _keep_behind(evidence: Evidence, starts: Iterable[str]) -> None:
    """Cut ``evidence`` to ``starts``, what stands behind them, and the records beside these."""
    waiting, kept = [key for key in starts if key in evidence.files], set()
    while waiting:
        key = waiting.pop()
        if key in kept:
            continue
        kept.add(key)
        if f"{key}{SIDECAR}" in evidence.files:
            kept.add(f"{key}{SIDECAR}")
        _read(evidence, key)
        if key in evidence.records:
            waiting += [other for link in evidence.links_of(key) for other in link.keys]
        place = place_of(key)
        if place and place.kind == "model" and place.beside("history") in evidence.files:
            waiting.append(place.beside("history"))
    evidence.files = {key: path for key, path in evidence.files.items() if key in kept}
    evidence.own = {key: sha256 for key, sha256 in evidence.own.items() if key in kept}
    evidence.damaged = {key: path for key, path in evidence.damaged.items() if key in kept}
    evidence.__dict__.pop("places", None)
