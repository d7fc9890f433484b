"""What two splits have in common, as far as the catalog tells: images, and names of classes."""

from typing import Any

from methods.data.catalog import Catalog, owner_of, split_entries

Part = tuple[str, str]  # data set, split


def share_images(catalog: Catalog, first: Part, second: Part) -> bool:
    """Whether two splits are known to share images: read by the same rule from the same files, and not kept apart."""
    one, two = (catalog[dataset]["splits"][split] for dataset, split in (first, second))
    if owner_of(catalog, first[0]) != owner_of(catalog, second[0]) or one["reader"] != two["reader"]:
        return False
    same = first[0] == second[0]
    if same and (second[1] in one.get("without", ()) or first[1] in two.get("without", ())):
        return False
    if "list" in one and "list" in two:
        return not set(split_entries(catalog, *first)).isdisjoint(split_entries(catalog, *second))
    return not _halves(one.get("select"), two.get("select"))


def _halves(one: dict[str, Any] | None, two: dict[str, Any] | None) -> bool:
    """Whether two rules are a draw and its rest."""
    draws = [{key: value for key, value in (rule or {}).items() if key != "rest"} for rule in (one, two)]
    rests = {bool((rule or {}).get("rest")) for rule in (one, two)}
    return draws[0] == draws[1] and draws[0].get("rule") == "drawn" and len(rests) == 2


def shared_classes(catalog: Catalog, first: str, second: str) -> list[str]:
    """Classes of ``first`` that ``second`` has too, by name; nothing where one of them lists no classes.

    Case, separators and a plural s do not count; different words for one thing are not found.
    """
    others = {_plain(name) for name in catalog[second]["classes"]}
    return [name for name in catalog[first]["classes"] if _plain(name) in others]


def _plain(name: str) -> str:
    words = name.lower().replace("_", " ").replace("-", " ").split()
    word = "".join(words)
    return word[:-1] if word.endswith("s") and not word.endswith("ss") and len(word) > 3 else word
