"""Trees of files, read in place: in a verified archive or in a user's folder, never unpacked to disk."""

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Protocol

from methods.data.archives import open_archive, open_file
from methods.data.indexed import IndexedTree, damage, known
from methods.data.members import Limits, is_leftover, name_flaw
from methods.errors import ReproError
from methods.files import sha256_bytes

__all__ = ["Limits", "Tree", "checked", "narrow", "open_archive", "open_file", "open_folder", "read_one", "union"]


class Tree(Protocol):
    """Files by name. ``str(tree)`` says where they lie; several threads may read one tree."""

    def names(self) -> tuple[str, ...]:
        """Names of all regular files, '/'-separated, sorted; without hidden files and leftovers of macOS."""

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        """(name, content) of each of ``names`` once, in the order that is cheapest to read.

        Raises:
            ReproError: at the call, if a name is unknown; while reading, if a content is damaged.
        """


def open_folder(root: str | Path, prefix: str = "") -> Tree:
    """The files of a user's folder, named ``prefix`` + path relative to ``root``.

    Raises:
        ReproError: ``root`` is no folder. The files are looked for when names or contents are first asked for;
            an empty folder, links that lead out and unusable names are refused then.
    """
    folder = Path(root)
    if not folder.is_dir():
        found = "is no folder" if folder.exists() else "does not exist"
        raise ReproError(f"{folder} {found}, expected is a folder with files: check the path in config.yaml.")
    return _Folder(folder, prefix)


class _Folder(IndexedTree[Path]):
    def __init__(self, root: Path, prefix: str) -> None:
        super().__init__(root)
        self._prefix = prefix

    def _scan(self) -> dict[str, Path]:
        found, folders = {}, [""]
        while folders:
            folder = folders.pop()
            with damage(self.origin / folder), os.scandir(self.origin / folder) as entries:
                for entry in entries:
                    name = f"{folder}{entry.name}"
                    if is_leftover(entry.name):
                        continue
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(f"{name}/")
                    else:
                        found[f"{self._prefix}{name}"] = self._checked(name, entry)
        if not found:
            raise ReproError(f"The folder {self.origin} holds no file: put the data there or correct the path.")
        return found

    def _checked(self, name: str, entry: os.DirEntry[str]) -> Path:
        reason = name_flaw(name)
        if not reason and entry.is_symlink() and not _inside(entry.path, self.origin):
            reason = "is a link that leads out of the folder, to nothing or in a circle"
        elif not reason and not entry.is_file():
            reason = "is no regular file and no real folder"
        if reason:
            raise ReproError(
                f"The folder {self.origin} holds {name!r}, which {reason}; expected are plain files: "
                "rename it, replace it by what it stands for, or remove it."
            )
        return Path(entry.path)

    def _contents(self, places: Mapping[str, Path]) -> Iterator[tuple[str, bytes]]:
        for name in sorted(places):
            with damage(places[name]):
                content = places[name].read_bytes()
            yield name, content


def _inside(path: str, root: Path) -> bool:
    try:
        return Path(path).resolve(strict=True).is_relative_to(root.resolve())
    except (OSError, RuntimeError):  # RuntimeError: links in a circle
        return False


def union(trees: Sequence[Tree]) -> Tree:
    """All files of several trees.

    Raises:
        ReproError: a name is in two of them.
    """
    owners: dict[str, Tree] = {}
    for tree in trees:
        for name in tree.names():
            if name in owners:
                raise ReproError(
                    f"{name} is in {owners[name]} and in {tree}, so that it is open which is meant: "
                    "give one of them a prefix or leave it out."
                )
            owners[name] = tree
    return _Union(tuple(trees), owners)


class _Union:
    def __init__(self, trees: tuple[Tree, ...], owners: dict[str, Tree]) -> None:
        self._trees, self._owners, self._names = trees, owners, tuple(sorted(owners))

    def __str__(self) -> str:
        return " with ".join(map(str, self._trees))

    def names(self) -> tuple[str, ...]:
        return self._names

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        parts: dict[int, list[str]] = {}
        for name in known(names, self._owners, self):
            parts.setdefault(id(self._owners[name]), []).append(name)
        return (item for tree in self._trees if id(tree) in parts for item in tree.read(parts[id(tree)]))


def narrow(tree: Tree, wanted: Sequence[str]) -> Tree:
    """Only the files that are one of ``wanted`` or lie in one of them as a folder; without ``wanted``, all."""
    return _Narrow(tree, frozenset(name.rstrip("/") for name in wanted)) if wanted else tree


class _Narrow:
    def __init__(self, tree: Tree, wanted: frozenset[str]) -> None:
        self._tree = tree
        self._kept = {name: None for name in tree.names() if not wanted.isdisjoint(_lineage(name))}

    def __str__(self) -> str:
        return str(self._tree)

    def names(self) -> tuple[str, ...]:
        return tuple(self._kept)

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        return self._tree.read(known(names, self._kept, self))


def _lineage(name: str) -> Iterator[str]:
    """``a/b/c``, ``a/b`` and ``a``."""
    while name:
        yield name
        name = name.rpartition("/")[0]


def checked(tree: Tree, manifest: Mapping[str, tuple[int, str]]) -> Tree:
    """The files of ``manifest`` (name to size in bytes and SHA-256), each compared with it when read."""
    return _Checked(tree, manifest)


class _Checked:
    def __init__(self, tree: Tree, manifest: Mapping[str, tuple[int, str]]) -> None:
        self._tree, self._manifest = tree, dict(manifest)

    def __str__(self) -> str:
        return str(self._tree)

    def names(self) -> tuple[str, ...]:
        return tuple(sorted(self._manifest))

    def read(self, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
        asked = known(names, self._manifest, self)
        gone = set(asked) - self._present
        if gone:
            raise self._changed(min(gone), f"{len(gone)} files are gone")
        return self._verified(asked)

    @cached_property
    def _present(self) -> frozenset[str]:
        return frozenset(self._tree.names())

    def _verified(self, names: list[str]) -> Iterator[tuple[str, bytes]]:
        for name, content in self._tree.read(names):
            size, sha256 = self._manifest[name]
            if len(content) != size:
                raise self._changed(name, f"it has {len(content)} bytes, expected {size}")
            if (found := sha256_bytes(content)) != sha256:
                raise self._changed(name, f"it has sha256 {found[:12]}, expected {sha256[:12]}")
            yield name, content

    def _changed(self, name: str, found: str) -> ReproError:
        return ReproError(
            f"{name} of {self._tree} was changed since it was verified ({found}): restore it, or delete the set's "
            "manifest under data/sources to have the folder verified anew."
        )


def read_one(tree: Tree, name: str) -> bytes:
    """Content of one file."""
    ((_, content),) = tree.read([name])
    return content
