"""Picture files in folders: a folder a class, or no classes at all."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from methods.data.pictures import Pictures, is_picture
from methods.data.trees import Tree, read_one
from methods.errors import refuse

RECORD = {
    "title": "Picture files, a folder a class or without classes",
    "parameters": {
        "under": {"type": "string", "default": "", "description": "folder in the archive; empty for all of it"},
        "classes": {
            "enum": ["folders", "none"],
            "default": "none",
            "description": "folders: the first folder below `under` is the class; none: labels are not used",
        },
        "inside": {"type": "string", "default": "", "description": "folder below each class that holds its pictures"},
        "names_file": {
            "type": "string",
            "description": "file that lists the pictures of the split by file name, one a line, in its order",
        },
    },
}


def read(tree: Tree, entries: Sequence[str], options: Mapping[str, Any]) -> Pictures:
    """Pictures sorted by path, or in the order of the list; a sample id is the path below ``under``."""
    under = f"{options['under']}/" if options["under"] else ""
    members = [name for name in tree.names() if name.startswith(under) and is_picture(name)]
    if "names_file" in options:
        members = _listed(members, read_one(tree, options["names_file"]).decode().split("\n"), options["names_file"])
    ids = tuple(member.removeprefix(under) for member in members)
    if options["classes"] == "none":
        return Pictures(tuple(members), np.full(len(members), -1, dtype=np.int64), ids, ())
    return _by_folder(members, ids, options["inside"])


def _by_folder(members: Sequence[str], ids: Sequence[str], inside: str) -> Pictures:
    kept = [n for n, sample in enumerate(ids) if "/" in sample and (not inside or sample.split("/")[1] == inside)]
    folders = [ids[n].split("/")[0] for n in kept]
    classes = tuple(sorted(set(folders)))
    number = {name: label for label, name in enumerate(classes)}
    labels = np.array([number[folder] for folder in folders], dtype=np.int64)
    return Pictures(tuple(members[n] for n in kept), labels, tuple(ids[n] for n in kept), classes)


def _listed(members: Sequence[str], lines: Sequence[str], list_name: str) -> list[str]:
    """Members in the order of a list that names them by file name; what follows a blank (a label) is not read."""
    names = [PurePosixPath(line.split()[0]).name for line in lines if line.strip()]
    by_name: dict[str, list[str]] = {}
    for member in members:
        by_name.setdefault(PurePosixPath(member).name, []).append(member)
    missing = [name for name in names if name not in by_name]
    double = [name for name in names if len(by_name.get(name, ())) > 1]
    refuse(
        bool(missing),
        f"{list_name} names {len(missing)} pictures that the archive lacks, such as {', '.join(missing[:3])}.",
    )
    refuse(bool(double), f"{list_name} names {double[:1]}, which several folders of the archive hold: {by_name}"[:300])
    return [by_name[name][0] for name in names]
