"""The catalog of data sets: ``resources/datasets.yaml``, checked."""

from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

from methods.data.subsets import SPLITS, read_list
from methods.errors import ReproError
from methods.settings.parts import complete_part, part_problems
from methods.settings.schema import ROOT, load_schema, load_yaml, nearest, problems, with_defaults

Catalog = dict[str, dict[str, Any]]


def load_catalog(path: Path | None = None, *, check_lists: bool = True) -> Catalog:
    """Name -> record of every data set, with defaults filled in; each split has its complete ``reader``.

    ``check_lists`` is False only where the frozen lists are about to be written.

    Raises:
        ReproError: lists every violation of the schema and every record that does not fit together.
    """
    return load_catalogs(path, check_lists=check_lists)[0]


def load_weights(path: Path | None = None) -> Catalog:
    """Name -> record of every file of pretrained weights."""
    return _document(path)["weights"]


def load_catalogs(path: Path | None = None, *, check_lists: bool = True) -> tuple[Catalog, Catalog]:
    """Data sets as :func:`load_catalog` gives them, and pretrained weights, from one reading of the file."""
    document = _document(path)
    datasets = document["datasets"]
    if found := [problem for name in datasets for problem in _record_problems(name, datasets, check_lists)]:
        raise ReproError("\n".join(found))
    for record in datasets.values():
        for part in record["splits"].values():
            part["reader"] = complete_part("data.readers", "name", _split_reader(record, part))
    return datasets, document["weights"]


def _document(path: Path | None) -> dict[str, Any]:
    path = path or ROOT / "resources" / "datasets.yaml"
    document, schema = load_yaml(path), load_schema("datasets")
    found = problems(document, schema, path.name)
    if not found and (both := set(document["datasets"]) & set(document.get("weights", {}))):
        found = [f"{path.name}: {', '.join(sorted(both))} names a data set and weights: rename one of them"]
    if found:
        raise ReproError("\n".join(found))
    return with_defaults(document, schema)


def _split_reader(record: Mapping[str, Any], part: Mapping[str, Any]) -> dict[str, Any]:
    return {**record["reader"], **part.get("reader", {})}


def owner_of(catalog: Catalog, dataset: str) -> str:
    """The data set whose files ``dataset`` is made from."""
    return catalog[dataset].get("files_of", dataset)


def source_files(catalog: Catalog, dataset: str, split: str) -> dict[str, str]:
    """File name -> data set under whose archive folder it lies, for every file that a split is made from."""
    owner = owner_of(catalog, dataset)
    names = [file["name"] for file in catalog[owner]["files"]]
    return dict.fromkeys(catalog[dataset]["splits"][split].get("files", names), owner)


def file_record(catalog: Catalog, dataset: str, name: str) -> dict[str, Any]:
    """The record of one source file."""
    return next(file for file in catalog[dataset]["files"] if file["name"] == name)


def split_entries(catalog: Catalog, dataset: str, split: str) -> list[str]:
    """Entries of the split's frozen list, hash checked; empty where the split has no list."""
    record = catalog[dataset]["splits"][split]
    return read_list(SPLITS / record["list"], record["list_sha256"]) if "list" in record else []


def _record_problems(name: str, datasets: Catalog, check_lists: bool) -> list[str]:
    record, place = datasets[name], f"datasets.yaml.datasets.{name}"
    owner = record.get("files_of", name)
    if owner not in datasets:
        return [f"{place}.files_of is {owner!r}: {nearest(owner, datasets)}"]
    other = record.get("same_pictures_as", owner)
    if other not in datasets:
        return [f"{place}.same_pictures_as is {other!r}: {nearest(other, datasets)}"]
    found = _ownership_problems(place, record, owner, datasets) if owner != name else []
    if owner == name and record["files"] and "bring" in record:
        found.append(f"{place} has files with addresses and `bring`: remove one of the two")
    names = [file["name"] for file in record["files"]]
    found += [f"{place}.files has two files called {name!r}" for name in {n for n in names if names.count(n) > 1}]
    known = {file["name"] for file in datasets[owner]["files"]}
    for split, part in record["splits"].items():
        where = f"{place}.splits.{split}"
        found += part_problems("data.readers", "name", _split_reader(record, part), f"{where}.reader")
        listed = {other for other in record["splits"] if "list" in record["splits"][other] and other != split}
        found += _unknown(f"{where}.files", part.get("files", ()), known)
        found += _unknown(f"{where}.without", part.get("without", ()), listed)
        found += _list_problems(where, part) if check_lists else []
    return list(dict.fromkeys(found))


def _unknown(place: str, names: Iterable[str], known: Collection[str]) -> list[str]:
    return [f"{place} names {name!r}: {nearest(name, known)}" for name in names if name not in known]


def _ownership_problems(place: str, record: Mapping[str, Any], owner: str, datasets: Catalog) -> list[str]:
    if record["files"]:
        return [f"{place} has files of its own and files_of: remove one of the two"]
    if not datasets[owner]["files"] and not datasets[owner]["folders"]:
        return [f"{place}.files_of is {owner!r}, which has no files of its own"]
    return []


def _list_problems(place: str, part: Mapping[str, Any]) -> list[str]:
    if "list" not in part:
        return []
    try:
        entries = read_list(SPLITS / part["list"], part["list_sha256"])
    except ReproError as error:
        return [f"{place}: {error}"]
    wrong = len(entries) != part["count"]
    return [f"{place}.count is {part['count']}, its list has {len(entries)} entries"] if wrong else []
