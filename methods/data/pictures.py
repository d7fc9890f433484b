"""Pictures of a split that still lie encoded in an archive or folder, and their decoding."""

import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from typing import TypeVar

import numpy as np
from PIL import Image

from methods.data.trees import Tree
from methods.errors import ReproError

_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".ppm", ".gif", ".tif", ".tiff", ".webp")
_WINDOW = 256  # encoded pictures held in memory at a time
_SHOWN = 5
Result = TypeVar("Result")


@dataclass(frozen=True)
class Pictures:
    """Where the pictures of a split lie, and what they show.

    Attributes:
        members: N names of files in the tree.
        labels: (N,) int64 class indices, -1 without classes, or (N, C) uint8 multi-hot.
        sample_ids: N different names, stable for good.
        classes: C class names; may be empty.
    """

    members: tuple[str, ...]
    labels: np.ndarray
    sample_ids: tuple[str, ...]
    classes: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.sample_ids)

    def take(self, index: Sequence[int] | np.ndarray) -> "Pictures":
        """The pictures at ``index``, in that order."""
        chosen = np.asarray(index, dtype=np.int64)
        members, ids = (tuple(names[i] for i in chosen) for names in (self.members, self.sample_ids))
        return replace(self, members=members, labels=self.labels[chosen], sample_ids=ids)


def is_picture(name: str) -> bool:
    """Whether a file's name is that of a picture."""
    return name.lower().endswith(_SUFFIXES)


def decode(content: bytes) -> np.ndarray:
    """(H, W, 3) uint8 of an encoded picture, converted to RGB as Pillow does; orientation tags are not applied.

    Raises:
        OSError, ValueError, SyntaxError, Image.DecompressionBombError: no picture, damaged, or absurdly large.
    """
    with Image.open(io.BytesIO(content)) as picture:
        if picture.width * picture.height > (Image.MAX_IMAGE_PIXELS or 0):
            raise Image.DecompressionBombError(f"{picture.width}x{picture.height} pixels")
        return np.asarray(picture.convert("RGB"))


def decoded(
    pictures: Pictures, tree: Tree, work: Callable[[np.ndarray], Result], workers: int, name: str
) -> Iterator[tuple[int, Result]]:
    """(index, ``work(image)``) of every picture, in the order in which the tree gives them.

    Raises:
        ReproError: pictures cannot be decoded; says how many and names the first, once all were tried.
    """
    places = _places(pictures)
    bad: list[str] = []

    def one(item: tuple[str, bytes]) -> tuple[str, Result | Exception]:
        try:
            image = decode(item[1])
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            return item[0], error
        return item[0], work(image)

    with ThreadPoolExecutor(workers) as pool:
        for window in _windows(tree.read(places)):
            for member, result in pool.map(one, window):
                if isinstance(result, Exception):
                    bad.append(f"{member} ({' '.join(str(result).split())[:80]})")
                else:
                    yield from ((index, result) for index in places[member])
    if bad:
        raise ReproError(_damaged(name, bad, len(pictures)))


def _windows(items: Iterable[tuple[str, bytes]]) -> Iterator[list[tuple[str, bytes]]]:
    iterator = iter(items)
    while window := list(islice(iterator, _WINDOW)):
        yield window


def _places(pictures: Pictures) -> dict[str, list[int]]:
    """Member -> indices; a list may name a picture twice under different ids."""
    places: dict[str, list[int]] = {}
    for index, member in enumerate(pictures.members):
        places.setdefault(member, []).append(index)
    return places


def _damaged(name: str, bad: Sequence[str], count: int) -> str:
    more = f" and {len(bad) - _SHOWN} more" if len(bad) > _SHOWN else ""
    return (
        f"{name}: {len(bad)} of {count} pictures cannot be decoded: {'; '.join(sorted(bad)[:_SHOWN])}{more}. If the "
        "official set is known to have them so, list their sample ids under `exclude` of the split in "
        "resources/datasets.yaml; else fetch the set again."
    )
