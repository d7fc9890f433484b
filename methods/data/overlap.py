"""What two splits have in common, as far as the catalog tells: images, and names of classes."""

from typing import Any

from methods.data.catalog import Catalog, owner_of, split_entries

Part = tuple[str, str]  # data set, split


def share_images(catalog: Catalog, first: Part, second: Part) -> bool:
    """Whether two splits are known to share images: pictures of one set, of two forms or parts of it."""
    if owner_of(catalog, first[0]) == owner_of(catalog, second[0]):
        return _share_files(catalog, first, second)
    if _names_of(catalog, first[0]) == _names_of(catalog, second[0]):
        return _share_names(catalog, first, second)
    return _source(catalog, first[0]) == _source(catalog, second[0])


def _share_files(catalog: Catalog, first: Part, second: Part) -> bool:
    """For one set's files: read by the same rule, and not kept apart."""
    one, two = (catalog[dataset]["splits"][split] for dataset, split in (first, second))
    if one["reader"] != two["reader"]:
        return False
    same = first[0] == second[0]
    if same and (second[1] in one.get("without", ()) or first[1] in two.get("without", ())):
        return False
    if "list" in one and "list" in two:
        return not set(split_entries(catalog, *first)).isdisjoint(split_entries(catalog, *second))
    return not _halves(one.get("select"), two.get("select"))


def _share_names(catalog: Catalog, first: Part, second: Part) -> bool:
    """For two forms of the same pictures: lists that have no name in common but for its ending are apart."""
    if any("list" not in catalog[dataset]["splits"][split] for dataset, split in (first, second)):
        return True
    one, two = ({name.rpartition(".")[0] for name in split_entries(catalog, *part)} for part in (first, second))
    return not one.isdisjoint(two)


def _names_of(catalog: Catalog, dataset: str) -> str:
    """The set whose pictures, by name, ``dataset`` has in another form; itself if there is none."""
    return str(catalog[dataset].get("same_pictures_as", dataset))


def _source(catalog: Catalog, dataset: str) -> str:
    """The set whose pictures ``dataset`` has: the whole of a subset, the original of what was derived anew."""
    relation = catalog[dataset].get("relation") or {"kind": "substitute"}
    return str(dataset if relation["kind"] == "substitute" else relation["of"])


def _halves(one: dict[str, Any] | None, two: dict[str, Any] | None) -> bool:
    """Whether two rules are a draw and its rest."""
    draws = [{key: value for key, value in (rule or {}).items() if key != "rest"} for rule in (one, two)]
    rests = {bool((rule or {}).get("rest")) for rule in (one, two)}
    return draws[0] == draws[1] and draws[0].get("rule") == "drawn" and len(rests) == 2


def shared_classes(catalog: Catalog, first: str, second: str, split: str | None = None) -> list[str]:
    """Classes of ``first`` that ``second`` (or this split of it) has too, by name.

    Those that ``second`` is known to hold count as its own, those that the list of the split leaves out do not. Case,
    separators and a plural s do not count; different words for one thing are not found.
    """
    record = catalog[second]
    part = record["splits"][split] if split is not None else {}
    others = {_plain(name) for name in (*record["classes"], *record.get("holds", ()))}
    others -= {_plain(name) for name in part.get("lacks", ())}
    return [name for name in catalog[first]["classes"] if _plain(name) in others]


def _plain(name: str) -> str:
    words = name.lower().replace("_", " ").replace("-", " ").split()
    word = "".join(words)
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
