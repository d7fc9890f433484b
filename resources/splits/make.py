"""Write the frozen lists of the embedded benchmark again and print their hashes for the catalog.

Run from the project's root: `python -m resources.splits.make`
"""

from pathlib import Path

from sklearn.datasets import load_digits

from methods.data.embedded import all_lists
from methods.data.subsets import write_list

if __name__ == "__main__":
    for name, entries in all_lists(load_digits().target).items():
        print(f"{name}: {len(entries)} entries, sha256 {write_list(Path(__file__).parent / f'{name}.txt', entries)}")
