"""How a split comes to be here: fetched, taken from a folder of the user's, or not at all. Asks no network."""

from collections.abc import Sequence
from pathlib import Path

from methods.data.catalog import Catalog, owner_of, source_files
from methods.data.places import locate, wanted

Folders = Sequence[str | Path]


def manifest_path(data: str | Path, dataset: str, split: str) -> Path:
    """Where the manifest of a split that lies in a folder of the user's is kept."""
    return Path(data) / "sources" / dataset / f"{split}.json"


def archive_path(data: str | Path, dataset: str, name: str) -> Path:
    """Where a fetched source file is kept."""
    return Path(data) / "archives" / dataset / name


def in_folder(catalog: Catalog, dataset: str, split: str, folders: Folders, data: str | Path) -> bool:
    """Whether a split is read from a folder of the user's.

    It stays so once it was verified there, and a split whose files were fetched keeps them: a folder that comes or goes
    makes nothing run again.
    """
    if manifest_path(data, dataset, split).is_file():
        return True
    fetched = [archive_path(data, owner, name) for name, owner in source_files(catalog, dataset, split).items()]
    if fetched and all(path.is_file() for path in fetched):
        return False
    return locate(wanted(catalog, dataset, split), folders) is not None


def files_to_have(catalog: Catalog, dataset: str, split: str, folders: Folders, data: str | Path) -> dict[str, str]:
    """Source file -> owning set, of every file that must be fetched for a split; with a folder, what that lacks."""
    files = source_files(catalog, dataset, split)
    if not in_folder(catalog, dataset, split, folders, data):
        return files
    want = wanted(catalog, dataset, split)
    if manifest_path(data, dataset, split).is_file():  # stay with what was fetched beside the folder then
        kept = {n: owner for n, owner in files.items() if n in want.needs and archive_path(data, owner, n).is_file()}
        if kept:
            return kept
    place = locate(want, folders)
    return {name: files[name] for name in place.lacking} if place else {}


def can_be_had(catalog: Catalog, dataset: str, split: str, folders: Folders, data: str | Path) -> bool:
    """Whether a split has files to fetch, needs none, or lies in one of ``folders`` (or did, when it was verified)."""
    return "bring" not in catalog[owner_of(catalog, dataset)] or in_folder(catalog, dataset, split, folders, data)
