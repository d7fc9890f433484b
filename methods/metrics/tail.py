"""Head and tail of several labels an image: which images have none of the most frequent classes (EDGE's analysis).

Classes are ordered by their number of positives in the evaluated split, most frequent first; of equally frequent ones
the lower index comes first.
"""

from collections.abc import Iterable

import numpy as np

from methods.errors import refuse


def class_order(labels: np.ndarray) -> np.ndarray:
    """(C,) class indices of multi-hot labels (N, C), most frequent first, ties by the lower index."""
    return np.argsort(-labels.sum(axis=0, dtype=np.int64), kind="stable")


def first_place(labels: np.ndarray) -> np.ndarray:
    """(N,) place of an image's most frequent class in :func:`class_order`; C for an image without any class."""
    ordered = labels[:, class_order(labels)].astype(bool)
    return np.where(ordered.any(axis=1), ordered.argmax(axis=1), labels.shape[1])


def without_top(labels: np.ndarray, count: int) -> np.ndarray:
    """(N,) whether an image of the multi-hot labels (N, C) has none of the ``count`` most frequent classes."""
    return first_place(labels) >= count


def tail_of(labels: np.ndarray, head_classes: int) -> np.ndarray:
    """(N,) whether an image is tail ID; the others are head ID.

    Raises:
        ReproError: one of the two is empty.
    """
    tail = without_top(labels, head_classes)
    refuse(
        bool(tail.all() or not tail.any()),
        "Head or tail ID is empty: give the benchmark another number of head_classes.",
    )
    return tail


def id_parts(labels: np.ndarray, head_classes: int | None, steps: Iterable[int]) -> dict[str, np.ndarray]:
    """Name -> (N,) mask of the parts of the ID images that are evaluated on their own.

    Args:
        labels: (N, C) multi-hot.
        head_classes: number of classes that make the parts ``head`` and ``tail``; None for neither.
        steps: numbers j of classes; the part ``without_<j>`` has none of the j most frequent ones.
    """
    place = first_place(labels)
    parts = {step_part(j): place >= j for j in steps}
    if head_classes is not None:
        parts |= {"head": place < head_classes, "tail": place >= head_classes}
    return parts


def step_part(step: int) -> str:
    """Name of the part without the ``step`` most frequent classes."""
    return f"without_{step}"
