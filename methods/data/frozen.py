"""Rules behind the frozen lists of the real data sets: which images are kept for validation, or as outliers.

The lists in ``resources/splits`` are what counts; these rules say how they came about. ``numpy.random.RandomState`` is
used because its streams are frozen for good.
"""

import csv
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np

from methods.data.subsets import SPLITS


@dataclass(frozen=True)
class Rule:
    """Draw ``count`` images of the split ``of``, in its order.

    Attributes:
        of: split that is drawn from.
        count: images of the list.
        seed: of the draw; None draws nothing and takes all images that are not left out.
        by_class: draw equally many of each class.
        folders: draw this many whole folders in the place of images: parts then share no scene and no texture.
        rest: take the folders that such a draw leaves.
        leaves_out: table in ``resources/splits`` of classes and folders whose images are left out before the draw.
    """

    of: str
    count: int
    seed: int | None = None
    by_class: bool = False
    folders: int = 0
    rest: bool = False
    leaves_out: str = ""


PLACES_WITH_VOC = "miniplaces_objects/voc_classes.csv"
ANIMALS_WITH_PLACES = "voc2012_animals/miniplaces_classes.csv"

# <data set>/<split of the list> -> rule. A list holds sample ids of the split that it is drawn from.
RULES: Mapping[str, Rule] = {
    "cifar10/validation": Rule("train", 5000, seed=2410),
    "cifar100/validation": Rule("train", 5000, seed=24100, by_class=True),
    "tin/ood_validation": Rule("val", 1000, seed=24200),
    "svhn/test_10000": Rule("test", 10000, seed=24300),
    "tin_resize/validation": Rule("all", 1000, seed=24400),
    "lsun_mini/validation": Rule("all", 900, seed=24500, by_class=True),
    "places_mini/validation": Rule("all", 1000, seed=24600, by_class=True),
    "dtd_mini/validation": Rule("all", 200, seed=24700, by_class=True),
    "imagenet_1000/without_voc": Rule("all", 508, leaves_out="imagenet_1000/voc_classes.csv"),
    "imagenet_1000/without_miniplaces": Rule("all", 97, leaves_out="imagenet_1000/miniplaces_classes.csv"),
    "imagenet_1000/without_coco": Rule("without_miniplaces", 80, leaves_out="imagenet_1000/coco_classes.csv"),
    "voc2012_animals/animals_alone": Rule("val", 1261, leaves_out=ANIMALS_WITH_PLACES),
    "voc2012_animals/ood_validation": Rule("train", 1229, leaves_out=ANIMALS_WITH_PLACES),
    "miniplaces_objects/outliers": Rule("train", 508, seed=24807, folders=25, leaves_out=PLACES_WITH_VOC),
    "miniplaces_objects/test": Rule("train", 782, seed=24807, folders=25, rest=True, leaves_out=PLACES_WITH_VOC),
    "miniplaces_objects/ood_validation": Rule("val", 149, leaves_out=PLACES_WITH_VOC),
    "dtd_128/outliers": Rule("test", 360, seed=24900, folders=3),
}

# Sample ids that are known without the files, and their labels are not needed
KNOWN_IDS: Mapping[str, Sequence[str]] = {
    "cifar10/validation": [f"{number:05d}" for number in range(50000)],
    "svhn/test_10000": [f"{number:06d}" for number in range(26032)],
    "tin/ood_validation": sorted(f"val_{number}.JPEG" for number in range(10000)),
}


def draw(
    rule: Rule,
    ids: Sequence[str],
    labels: np.ndarray | None = None,
    classes: Sequence[str] = (),
    left_out: Collection[str] = (),
) -> list[str]:
    """Sample ids of a frozen list.

    Args:
        rule: what to draw.
        ids: N sample ids of the split that is drawn from.
        labels: (N,) classes, or (N, C) multi-hot; needed only where they decide.
        classes: names of the C classes.
        left_out: names of classes and folders whose images are left out.
    """
    folders = [folder_of(sample) for sample in ids]
    kept = np.flatnonzero(~_has_one(folders, labels, classes, left_out))
    random = np.random.RandomState(rule.seed)
    if rule.by_class and labels is None:
        raise ValueError("a rule that draws by class needs the labels")
    if rule.seed is None:
        chosen = kept
    elif rule.folders:
        names = random.permutation(sorted({folders[index] for index in kept}))
        wanted = names[rule.folders :] if rule.rest else names[: rule.folders]
        chosen = kept[np.isin(np.array(folders)[kept], wanted)]
    elif labels is None or not rule.by_class:
        chosen = kept[random.permutation(len(kept))[: rule.count]]
    else:
        each = rule.count // len(np.unique(labels))
        chosen = np.concatenate([random.permutation(kept[labels[kept] == c])[:each] for c in np.unique(labels)])
    return [ids[index] for index in np.sort(chosen)]


def folder_of(sample: str) -> str:
    """The folder of a picture below that of its part: `b/bar` of `train/b/bar/1.jpg`, `banded` of `banded/1.jpg`."""
    parts = PurePosixPath(sample).parts[:-1]
    return "/".join(parts[1:] if len(parts) > 1 else parts)


def left_out_classes(table: str) -> dict[str, tuple[str, str]]:
    """Class or folder -> (class of the ID set that its images show, why) of a table in ``resources/splits``."""
    with open(SPLITS / table, newline="", encoding="utf-8") as lines:
        return {row["class"]: (row["holds"], row["why"]) for row in csv.DictReader(lines)}


def _has_one(
    folders: Sequence[str], labels: np.ndarray | None, classes: Sequence[str], left_out: Collection[str]
) -> np.ndarray:
    """(N,) whether an image lies in one of the folders that are left out, or shows one of the classes."""
    found = np.array([folder in left_out for folder in folders], dtype=bool)
    columns = [index for index, name in enumerate(classes) if name in left_out]
    if labels is None or not columns:
        return found
    return found | (labels[:, columns].any(axis=1) if labels.ndim == 2 else np.isin(labels, columns))
