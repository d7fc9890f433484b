"""Data sets that lie in a folder of your own: verified once, and read in place.

What was found is verified by the published hash of each file or archive where there is one; a manifest of names, sizes
and SHA-256 is kept, and everything that is read later is compared with it.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from methods.data.lock import record_once, recorded
from methods.data.places import Place, Wanted, locate
from methods.data.trees import Tree, checked, narrow, open_archive, open_file, open_folder, union
from methods.data.verify import verify_file
from methods.errors import ReproError
from methods.files import sha256_bytes, sha256_file, write_text

KIND = "source"
Manifest = dict[str, tuple[int, str]]  # name -> bytes, SHA-256


def verify_place(want: Wanted, place: Place, lock: Path) -> Manifest:
    """Read everything the split needs once and compare it with what is published or was recorded.

    Raises:
        ReproError: a file is not the official one, or not the one that the lock file recorded.
    """
    if place.archives:
        pairs = zip(place.archives, want.files, strict=True)
        return {path.name: (path.stat().st_size, verify_file(want.owner, file, path, lock)) for path, file in pairs}
    for path, file in _single_files(want, place):
        verify_file(want.owner, file, path, lock)
    manifest = {}
    tree = open_unpacked(want, place)
    for name, content in tree.read(tree.names()):
        _verify_member(want, place, name, content)
        manifest[name] = (len(content), sha256_bytes(content))
    _verify_manifest(want, place, manifest, lock)
    return manifest


def _single_files(want: Wanted, place: Place) -> list[tuple[Path, Mapping[str, Any]]]:
    """Pieces that are source files with records of their own."""
    records = {file["name"]: file for file in want.files}
    return [(path, records[name]) for path, name in place.pieces if name in records and path.is_file()]


def _verify_member(want: Wanted, place: Place, name: str, content: bytes) -> None:
    expected = want.members.get(name)
    if expected and (found := hashlib.md5(content, usedforsecurity=False).hexdigest()) != expected:
        raise ReproError(
            f"{place.folder} holds {name} of {want.owner} with MD5 {found}, the official file has {expected}: it is "
            "damaged or another version. Replace it, or take the folder out of data.sources."
        )


def _verify_manifest(want: Wanted, place: Place, manifest: Manifest, lock: Path) -> None:
    found = manifest_sha256(manifest)
    if want.files_sha256 is not None and found != want.files_sha256:
        raise ReproError(
            f"{place.folder} holds {want.name} as {len(manifest)} files with manifest {found[:12]}, the catalog "
            f"expects {want.files_sha256[:12]}: files are missing, added or changed. Restore the folder."
        )
    known = recorded(lock, "folders", want.name)
    if known is not None and known["files_sha256"] != found:
        raise ReproError(
            f"{place.folder} holds {want.name} as {len(manifest)} files, the first use had {known['files']} and other "
            f"content: restore the folder. If the change is meant, remove the entry {want.name!r} from {lock} and "
            "delete the set's stores under images/, so that they are made anew."
        )


def record_source(manifest_file: Path, lock: Path) -> None:
    """Keep the hash of an unpacked copy that was read to the end, where nobody published one."""
    content = json.loads(manifest_file.read_text(encoding="utf-8"))
    want, manifest = Wanted(**content["wanted"]), content["files"]
    if content["unpacked"] and want.files_sha256 is None and not set(manifest) <= set(want.members):
        found = manifest_sha256({name: (size, digest) for name, (size, digest) in manifest.items()})
        record_once(lock, "folders", want.name, {"files": len(manifest), "files_sha256": found})


def manifest_sha256(manifest: Manifest) -> str:
    """One hash for all names, sizes and hashes."""
    lines = [f"{digest} {size} {name}\n" for name, (size, digest) in sorted(manifest.items())]
    return sha256_bytes("".join(lines).encode())


def write_manifest(path: str | Path, want: Wanted, place: Place, manifest: Manifest) -> None:
    """Write what was verified; it names no folder of yours, so it is the same wherever the files lie."""
    content = {"format": 1, "kind": KIND, "wanted": asdict(want), "unpacked": bool(place.pieces)}
    content |= {"files": dict(sorted(manifest.items()))}
    write_text(path, json.dumps(content, indent=0, sort_keys=True) + "\n")


def open_source(manifest_file: Path, folders: Sequence[str | Path], fetched: Sequence[Path] = ()) -> Tree:
    """The verified tree of a split that lies in a folder of yours, with files that were fetched beside it.

    Raises:
        ReproError: the folder is gone, or an archive in it was changed; changed files are found when they are read.
    """
    content = json.loads(manifest_file.read_text(encoding="utf-8"))
    want = Wanted(**content["wanted"])
    manifest = {name: (size, digest) for name, (size, digest) in content["files"].items()}
    place = locate(want, folders)
    if place is None or bool(place.pieces) != content["unpacked"]:
        fetch = f", or delete {manifest_file} to have the set fetched" if want.files else ""
        raise ReproError(
            f"{want.name} was verified in a folder of data.sources that no longer holds it: bring it back{fetch}."
        )
    if place.pieces:
        tree = open_unpacked(want, place)
        present = set(tree.names()) - {path.name for path in fetched}
        _require_same_files(present, set(manifest), place, manifest_file)
        return union([checked(tree, manifest), open_files(fetched)])
    for path in place.archives:
        if manifest.get(path.name) != (path.stat().st_size, sha256_file(path)):
            raise ReproError(f"{path} was changed since it was verified: delete {manifest_file} and run again.")
    return open_files(place.archives)


def _require_same_files(present: set[str], verified: set[str], place: Place, manifest_file: Path) -> None:
    more, fewer = present - verified, verified - present
    if more or fewer:
        raise ReproError(
            f"{place.folder} has {len(more)} files more and {len(fewer)} fewer than when it was verified, such as "
            f"{min(more or fewer)}: restore the folder, or delete {manifest_file} to have it verified anew."
        )


def open_files(paths: Sequence[Path]) -> Tree:
    """The tree of verified source files, archives and others."""
    return union([open_archive(path) for path in paths])


def open_unpacked(want: Wanted, place: Place) -> Tree:
    """The unverified tree of a split that was found unpacked, cut to what the split needs."""
    trees = [open_file(path, name) if path.is_file() else open_folder(path, f"{name}/") for path, name in place.pieces]
    return narrow(union(trees), want.needs)
