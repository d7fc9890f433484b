"""The page of data sets, made from the catalog and its schema."""

from collections.abc import Iterable, Mapping
from typing import Any

from methods.data.catalog import Catalog, owner_of
from methods.progress import readable_bytes
from methods.reporting.pages import prose, table
from methods.reporting.schema_page import record_sections

_HEAD = """# Data sets

Made from `resources/datasets.yaml` and its schema by `make docs`; do not edit. How sets are fetched, verified, taken
from folders of yours or left out stands in [Data](../data.md); [Add a dataset](../tutorials/add-a-dataset.md) adds
one, and [Keys of a record](#keys-of-a-record) has what can be said of it.

*Hash*: what verifies the file; "unknown" means that nobody published one, so the first download's is recorded in
`data/datasets.lock.json` and checked from then on. *How to get it*: `fetched` needs nothing of you; `package` comes
with an installed Python package; `bring` means that no address gives the files, and what to do stands below the table.
"""


def page(catalog: Catalog, weights: Catalog) -> str:
    """The whole page in Markdown."""
    parts = [_HEAD, table(_ROWS, (_row(catalog, name) for name in catalog))]
    parts += [_details(catalog, name) for name in catalog]
    parts += ["## Pretrained weights\n", *(_weights(name, record) for name, record in weights.items()), ""]
    parts += [_RECORD, record_sections()]
    return "\n".join(parts)


_RECORD = """## Keys of a record

A set is a record under `datasets:` in `resources/datasets.yaml`, pretrained weights are one under `weights:`.
"""
_ROWS = ("name", "title", "labels", "pixels", "how to get it", "size")


def _row(catalog: Catalog, name: str) -> list[str]:
    record = catalog[name]
    size = record.get("image_size")
    relation = record.get("relation")
    return [
        f"[{name}](#{name})",
        record["title"] + (f", {relation['kind']} of {relation['of']}" if relation else ""),
        record["task"].replace("_", " ") + (f", {len(record['classes'])} classes" if record["classes"] else ""),
        f"{size[0]}x{size[1]}" if size else "varies",
        _way(catalog, name),
        _total(catalog[owner_of(catalog, name)]["files"]),
    ]


def _way(catalog: Catalog, name: str) -> str:
    owner = catalog[owner_of(catalog, name)]
    if "bring" in owner:
        return "bring"
    if not owner["files"]:
        return "made here"
    return "fetched" if any("urls" in file for file in owner["files"]) else "package"


def _total(files: Iterable[Mapping[str, Any]]) -> str:
    sizes = [file.get("size", file.get("about")) for file in files]
    known = [size for size in sizes if size is not None]
    more = f" and {len(sizes) - len(known)} unknown" if len(known) < len(sizes) else ""
    return (readable_bytes(sum(known)) if known else "") + (more if known else more.removeprefix(" and "))


def _details(catalog: Catalog, name: str) -> str:
    record = catalog[name]
    lines = [f"## {name}\n", f"{record['title']}. {prose(record.get('notes', ''))}".strip() + "\n"]
    lines += [f"*Bring it*: {prose(record['bring'])}.\n"] if "bring" in record else []
    lines += [f"*Files of* [{record['files_of']}](#{record['files_of']}).\n"] if "files_of" in record else []
    other = record.get("same_pictures_as")
    lines += [f"*Same pictures as* [{other}](#{other}).\n"] if other else []
    lines += [f"* `{file['name']}`: {_file(file)}" for file in record["files"]]
    lines += [""] if record["files"] else []
    lines += [f"* split `{split}`: {_split(part)}" for split, part in record["splits"].items()]
    terms = [f"{title}: {record[key]}." for key, title in (("licence", "Terms"), ("citation", "Cite")) if key in record]
    return "\n".join([*lines, "", " ".join(terms), ""] if terms else [*lines, ""])


def _file(file: Mapping[str, Any]) -> str:
    if "package" in file:
        return f"`{file['package']['path']}` of the Python package {file['package']['name']}, by its decoded content"
    urls = (f"<{url}>" for url in file["urls"])
    return ", ".join([_total([file]).replace("1 unknown", "size unknown"), _hash(file), *urls])


def _hash(file: Mapping[str, Any]) -> str:
    kind = next((key for key in ("sha256", "md5", "sha256_prefix") if key in file), None)
    return "hash unknown" if kind is None else f"{kind.replace('_', ' ')} `{file[kind]}`"


def _split(part: Mapping[str, Any]) -> str:
    facts = [f"{part['count']:,} images" if "count" in part else "number of images not published"]
    facts += [f"frozen list `{part['list']}`"] if "list" in part else []
    facts += [f"without {', '.join(part['without'])}"] if "without" in part else []
    facts += [f"no {', '.join(part['lacks'])} as far as labels tell"] if "lacks" in part else []
    if rule := part.get("select"):
        facts.append(
            ", ".join(f"{key.replace('_', ' ')} {str(value).replace('_', ' ')}" for key, value in rule.items())
        )
    return "; ".join(facts) + (f". {prose(part['notes'])}" if "notes" in part else "")


def _weights(name: str, record: Mapping[str, Any]) -> str:
    (file,) = record["files"]
    terms = f". Terms: {record['licence']}" if "licence" in record else ""
    return f"* `{name}`: {record['title']}. `{file['name']}`: {_file(file)}{terms}."
