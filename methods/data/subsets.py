"""Frozen lists: which images of a data set make a split, one entry a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.files import sha256_bytes, write_text

SPLITS = Path(__file__).resolve().parents[2] / "resources" / "splits"


@dataclass(frozen=True)
class Lists:
    """The frozen list of a split (empty without one) and the sample ids that it leaves out."""

    entries: Sequence[str] = ()
    excluded: Sequence[str] = ()


def read_lists(settings: Mapping[str, Any]) -> Lists:
    """The lists that the settings of a split name, hash checked: ``list``, ``without`` and ``exclude``."""
    entries = read_list(SPLITS / settings["list"], settings["list_sha256"]) if "list" in settings else []
    others = [sample for name, sha256 in settings.get("without", ()) for sample in read_list(SPLITS / name, sha256)]
    return Lists(entries, [*others, *settings.get("exclude", ())])


def read_list(path: str | Path, sha256: str) -> list[str]:
    """Entries of a frozen list, after its hash was compared with the catalog's.

    Raises:
        ReproError: the file is missing, is not the listed one, or holds no entry.
    """
    file = Path(path)
    if not file.is_file():
        raise ReproError(f"The split list {file} is missing: restore it with `git checkout {file}`.")
    content = file.read_bytes()
    if (found := sha256_bytes(content)) != sha256:
        raise ReproError(
            f"The split list {file} has sha256 {found[:12]}, the catalog expects {sha256[:12]}: restore the "
            "list with git, or enter the new hash in resources/datasets.yaml if the change is meant."
        )
    entries = content.decode("utf-8").removesuffix("\n").split("\n") if content else []
    if not entries:
        raise ReproError(f"The split list {file} is empty: a split needs at least one image.")
    return entries


def write_list(path: str | Path, entries: list[str]) -> str:
    """Write a frozen list; returns the SHA-256 that the catalog records."""
    text = "".join(f"{entry}\n" for entry in entries)
    write_text(path, text)
    return sha256_bytes(text.encode())
