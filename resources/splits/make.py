"""Write the frozen lists again and print their hashes for the catalog.

Run from the project's root: `python -m resources.splits.make [FOLDER]`. FOLDER holds unpacked data sets; lists that are
drawn by class need it and are left alone without it.
"""

import sys
from pathlib import Path

from sklearn.datasets import load_digits

from methods.data.catalog import load_catalog
from methods.data.embedded import all_lists
from methods.data.frozen import KNOWN_IDS, RULES, draw, left_out_classes
from methods.data.places import locate, wanted
from methods.data.prepare import read_source
from methods.data.sources import open_unpacked
from methods.data.subsets import read_lists, write_list
from methods.settings.steps import prepare_settings
from methods.settings.study import Study


def drawn_list(name: str, folder: str | None) -> list[str] | None:
    """Entries of the list ``name``; None if it needs files that ``folder`` does not hold."""
    dataset, rule = name.split("/")[0], RULES[name]
    if name in KNOWN_IDS:
        return draw(rule, KNOWN_IDS[name])
    catalog = load_catalog(check_lists=False)
    want = wanted(catalog, dataset, rule.of)
    place = locate(want, [folder] if folder else [])
    if place is None:
        return None
    settings = prepare_settings(Study({}, catalog), dataset, rule.of, {})
    source = read_source(settings, open_unpacked(want, place), read_lists(settings), f"{dataset}/{rule.of}")
    left_out = left_out_classes(rule.leaves_out) if rule.leaves_out else {}
    return draw(rule, source.sample_ids, source.labels, source.classes, left_out)


if __name__ == "__main__":
    lists: dict[str, list[str] | None] = dict(all_lists(load_digits().target))
    lists |= {name: drawn_list(name, *sys.argv[1:2] or [None]) for name in RULES}
    for name, entries in lists.items():
        if entries is None:
            print(f"{name}: left alone, its data set is not in the folder given")
        else:
            sha256 = write_list(Path(__file__).parent / f"{name}.txt", entries)
            print(f"{name}: {len(entries)} entries, sha256 {sha256}")
