"""The catalog of data sets: ``resources/datasets.yaml``, checked."""

from pathlib import Path
from typing import Any

from methods.data.subsets import read_list
from methods.errors import ReproError
from methods.settings.parts import complete_part, part_problems
from methods.settings.schema import ROOT, load_schema, load_yaml, nearest, problems, with_defaults

Catalog = dict[str, dict[str, Any]]

SPLITS = ROOT / "resources" / "splits"


def load_catalog(path: Path | None = None) -> Catalog:
    """Name -> record of every data set, with defaults and reader options filled in.

    Raises:
        ReproError: lists every violation of the schema and every record that does not fit together.
    """
    path = path or ROOT / "resources" / "datasets.yaml"
    document, schema = load_yaml(path), load_schema("datasets")
    found = problems(document, schema, path.name)
    if not found:
        datasets = with_defaults(document, schema)["datasets"]
        found = [problem for name in datasets for problem in _record_problems(name, datasets)]
    if found:
        raise ReproError("\n".join(found))
    return {
        name: {**record, "reader": complete_part("data.readers", "name", record["reader"])}
        for name, record in datasets.items()
    }


def source_files(catalog: Catalog, dataset: str) -> dict[str, str]:
    """File name -> data set under whose archive folder it lies, for every file ``dataset`` is made from."""
    owner = catalog[dataset].get("files_of", dataset)
    return {file["name"]: owner for file in catalog[owner]["files"]}


def file_record(catalog: Catalog, dataset: str, name: str) -> dict[str, Any]:
    """The record of one source file."""
    return next(file for file in catalog[dataset]["files"] if file["name"] == name)


def split_entries(catalog: Catalog, dataset: str, split: str) -> list[str]:
    """Entries of the split's frozen list, hash checked; empty where the split has no list."""
    record = catalog[dataset]["splits"][split]
    return read_list(SPLITS / record["list"], record["list_sha256"]) if "list" in record else []


def _record_problems(name: str, datasets: Catalog) -> list[str]:
    record, place = datasets[name], f"datasets.yaml.datasets.{name}"
    owner = record.get("files_of", name)
    found = part_problems("data.readers", "name", record["reader"], f"{place}.reader")
    if owner not in datasets:
        found.append(f"{place}.files_of is {owner!r}: {nearest(owner, datasets)}")
    elif owner != name and record["files"]:
        found.append(f"{place} has files of its own and files_of: remove one of the two")
    elif owner != name and not datasets[owner]["files"]:
        found.append(f"{place}.files_of is {owner!r}, which has no files of its own")
    for split, part in record["splits"].items():
        found += _split_problems(f"{place}.splits.{split}", part)
    return found


def _split_problems(place: str, part: dict[str, Any]) -> list[str]:
    if "list" not in part:
        return []
    try:
        entries = read_list(SPLITS / part["list"], part["list_sha256"])
    except ReproError as error:
        return [f"{place}: {error}"]
    wrong = len(entries) != part["count"]
    return [f"{place}.count is {part['count']}, its list has {len(entries)} entries"] if wrong else []
