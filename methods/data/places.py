"""Finding the files of a split in folders of your own, by names alone.

Folders of ``config.data.sources`` are searched before anything is fetched, and before them places that a record names
in full (``~/pictures``). A split is taken from one that holds its archives, or an unpacked copy of what it reads;
single files that an unpacked copy lacks (a label list, say) are fetched beside it.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from methods.data.catalog import Catalog, owner_of

_HASHES = ("name", "size", "sha256", "md5", "sha256_prefix")


@dataclass(frozen=True)
class Wanted:
    """What one split is read from.

    Attributes:
        name: data set and split.
        owner: name of the set whose files these are.
        files: records of its source files, without addresses, so that a new mirror verifies nothing again.
        folders: places of an unpacked copy, ``path`` and ``as``.
        needs: files and folders of the archive that the split reads.
        members: file of the archive -> published MD5.
        files_sha256: expected hash of the manifest of an unpacked copy, if known.
    """

    name: str
    owner: str
    files: Sequence[Mapping[str, Any]]
    folders: Sequence[Mapping[str, str]]
    needs: Sequence[str]
    members: Mapping[str, str]
    files_sha256: str | None


@dataclass(frozen=True)
class Place:
    """A folder that holds a split.

    Attributes:
        folder: as the config names it; the parent of a place that the record names in full.
        pieces: (path, name in the archive) of an unpacked copy.
        archives: the archives themselves, if there is no unpacked copy.
        lacking: names of source files to fetch beside the pieces.
    """

    folder: Path
    pieces: tuple[tuple[Path, str], ...] = ()
    archives: tuple[Path, ...] = ()
    lacking: tuple[str, ...] = ()


def wanted(catalog: Catalog, dataset: str, split: str) -> Wanted:
    """What ``dataset/split`` is read from."""
    owner = owner_of(catalog, dataset)
    record, part = catalog[owner], catalog[dataset]["splits"][split]
    chosen = part.get("files", [file["name"] for file in record["files"]])
    fetched = [file for file in record["files"] if file["name"] in chosen and "urls" in file]
    files = [{key: value for key, value in file.items() if key in _HASHES} for file in fetched]
    needs = part.get("needs") or sorted({place["as"] for place in record["folders"]})
    return Wanted(
        name=f"{dataset}/{split}",
        owner=owner,
        files=files,
        folders=record["folders"],
        needs=needs,
        members={name: md5 for name, md5 in record["members"].items() if name in needs},
        files_sha256=part.get("files_sha256"),
    )


def locate(want: Wanted, folders: Sequence[str | Path]) -> Place | None:
    """The first that holds the split, judged by names alone: places that its record names in full, then ``folders``."""
    for folder in [*_own_folders(want), *map(_home, folders)]:
        if place := _archive_place(want, folder) or _unpacked_place(want, folder):  # an archive has the stronger hash
            return place
    return None


def _own_folders(want: Wanted) -> list[Path]:
    """Parents of the places that the record names in full: they are found without any folder of the config."""
    paths = [_home(place["path"]) for place in want.folders]
    return [path.parent for path in paths if path.is_absolute()]


def _home(folder: str | Path) -> Path:
    try:
        return Path(folder).expanduser()
    except RuntimeError:  # the home of somebody who is not known here
        return Path(folder)


def _unpacked_place(want: Wanted, folder: Path) -> Place | None:
    pieces: dict[tuple[Path, str], None] = {}
    lacking = []
    for need in want.needs:
        if piece := next((piece for piece in _present(want, folder) if _holds(piece, need)), None):
            pieces[piece] = None
        elif any(file["name"] == need for file in want.files):
            lacking.append(need)
        else:
            return None
    return Place(folder, pieces=tuple(pieces), lacking=tuple(lacking)) if pieces else None


def _present(want: Wanted, folder: Path) -> Iterator[tuple[Path, str]]:
    """Pieces that exist in the folder or in its subfolder named like the data set."""
    for place in want.folders:
        for path in (folder / _home(place["path"]), folder / want.owner / place["path"]):
            if path.exists():
                yield path, place["as"]


def _holds(piece: tuple[Path, str], need: str) -> bool:
    path, name = piece
    if need != name:
        if not need.startswith(f"{name}/"):
            return False
        path = path / need.removeprefix(f"{name}/")
    return path.is_file() or (path.is_dir() and any(path.iterdir()))


def _archive_place(want: Wanted, folder: Path) -> Place | None:
    found = [archive_places([folder], want.owner, file["name"]) for file in want.files]
    return Place(folder, archives=tuple(places[0] for places in found)) if found and all(found) else None


def archive_places(folders: Sequence[str | Path], dataset: str, name: str) -> list[Path]:
    """Files called ``name`` in ``folders``, in their subfolder of the data set, and as another checkout's archive."""
    roots = [_home(folder) for folder in folders]
    places = [root / part for root in roots for part in (name, f"{dataset}/{name}", f"archives/{dataset}/{name}")]
    return [path for path in places if path.is_file()]
