"""Seeded rules behind the frozen split lists of the embedded benchmark.

The lists in ``resources/splits`` are what counts; these rules say how they came about, and a test holds the
one against the other. ``numpy.random.RandomState`` is used because its streams are frozen for good.

An entry is one image: one cell (8x8) or four cells separated by blanks (a 2x2 mosaic, row by row).
A digit cell is an index into scikit-learn's digits, or two joined by ``+`` for their mean; a photograph cell is
``file:top:left:side``.
"""

from collections.abc import Sequence

import numpy as np

ID_CLASSES = (0, 2, 3, 4, 5, 6, 8)
HELD_OUT_CLASSES = (1, 7, 9)
PHOTOGRAPHS = {"china.jpg": (427, 640), "flower.jpg": (427, 640)}
# Class frequencies of the mosaics fall by this factor from one class to the next: a long tail.
TAIL_DECAY = 0.62
CARDINALITY = {1: 0.5, 2: 0.35, 3: 0.15}


def digit_splits(target: np.ndarray) -> dict[str, list[int]]:
    """Stratified 60/10/30 split of the in-distribution digits; ``target``: (1797,) digit of each image."""
    random = np.random.RandomState(2024)
    splits: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for digit in ID_CLASSES:
        order = random.permutation(np.flatnonzero(target == digit))
        first, second = round(0.6 * len(order)), round(0.7 * len(order))
        for name, part in zip(splits, np.split(order, [first, second]), strict=True):
            splits[name].extend(int(i) for i in part)
    return {name: sorted(indices) for name, indices in splits.items()}


def held_out_digits(target: np.ndarray) -> list[int]:
    """Every image of the held-out classes, in file order."""
    return [int(i) for i in np.flatnonzero(np.isin(target, HELD_OUT_CLASSES))]


def photo_patches(count: int, seed: int) -> list[str]:
    """``count`` square patches at random places of the two photographs, sides 16 to 128 pixels."""
    random = np.random.RandomState(seed)
    names = sorted(PHOTOGRAPHS)
    cells = []
    for _ in range(count):
        name = names[random.randint(len(names))]
        side = (16, 32, 64, 128)[random.randint(4)]
        height, width = PHOTOGRAPHS[name]
        cells.append(f"{name}:{random.randint(height - side + 1)}:{random.randint(width - side + 1)}:{side}")
    return cells


def long_tailed_mosaics(pool: Sequence[int], target: np.ndarray, count: int, seed: int) -> list[str]:
    """Mosaics of one to three different digits from ``pool`` whose class frequencies fall geometrically."""
    random = np.random.RandomState(seed)
    by_class = [np.array([i for i in pool if target[i] == digit]) for digit in ID_CLASSES]
    frequency = TAIL_DECAY ** np.arange(len(ID_CLASSES))
    entries = []
    for _ in range(count):
        number = random.choice(list(CARDINALITY), p=list(CARDINALITY.values()))
        present = random.choice(len(ID_CLASSES), size=number, replace=False, p=frequency / frequency.sum())
        cells = np.concatenate([present, random.choice(present, size=4 - number)])
        entries.append(" ".join(str(random.choice(by_class[c])) for c in random.permutation(cells)))
    return entries


def even_mosaics(pool: Sequence[object], count: int, seed: int) -> list[str]:
    """Mosaics of four cells drawn evenly from ``pool``."""
    random = np.random.RandomState(seed)
    return [" ".join(str(pool[random.randint(len(pool))]) for _ in range(4)) for _ in range(count)]


def blends(pool: Sequence[int], target: np.ndarray, count: int, seed: int) -> list[str]:
    """Pairs of two different digits from ``pool``, whose mean belongs to no class (as in Wang et al., 2021)."""
    random = np.random.RandomState(seed)
    found: list[str] = []
    while len(found) < count:
        one, two = (pool[random.randint(len(pool))] for _ in range(2))
        if target[one] != target[two]:
            found.append(f"{one}+{two}")
    return found


def all_lists(target: np.ndarray) -> dict[str, list[str]]:
    """Every frozen list of the embedded benchmark: ``<dataset>/<split>`` -> entries."""
    digits, held_out = digit_splits(target), held_out_digits(target)
    lists: dict[str, Sequence[object]] = {f"digits/{name}": indices for name, indices in digits.items()}
    lists |= {"digits_held_out/test": held_out, "digits_scrambled/test": digits["test"]}
    lists |= {"photo_patches/test": photo_patches(500, seed=1), "photo_mosaics/train": _photo_mosaics()}
    for seed, (name, count) in enumerate({"train": 1200, "validation": 240, "test": 600}.items(), start=10):
        lists[f"digit_mosaics/{name}"] = long_tailed_mosaics(digits[name], target, count, seed)
    lists["held_out_mosaics/test"] = even_mosaics(held_out, 600, seed=20)
    lists["scrambled_mosaics/test"] = even_mosaics(digits["test"], 600, seed=21)
    mixed = blends(digits["validation"], target, 250, seed=30)
    lists |= {"digits_blended/validation": mixed, "blended_mosaics/validation": even_mosaics(mixed, 240, seed=31)}
    return {name: [str(entry) for entry in entries] for name, entries in lists.items()}


def _photo_mosaics() -> list[str]:
    return even_mosaics(photo_patches(4800, seed=2), 1200, seed=3)
