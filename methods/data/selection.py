"""Which images of what a reader gives make a split: exclusions, a frozen list, or a rule with its seed written down."""

from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

import numpy as np

from methods.data.images import ImageSet
from methods.data.pictures import Pictures
from methods.errors import ReproError, refuse
from methods.files import sha256_bytes

Source = TypeVar("Source", ImageSet, Pictures)
_SHOWN = 3


def select(
    source: Source, settings: Mapping[str, Any], entries: Sequence[str], excluded: Sequence[str], name: str
) -> Source:
    """The images of a split.

    Args:
        source: all that the reader found.
        settings: of the split; ``select`` (a rule) and ``ids_sha256`` where they are set.
        entries: sample ids of the frozen list, in order; empty without one.
        excluded: sample ids left out.
        name: of the split, for messages.

    Raises:
        ReproError: a listed or excluded image is not there, a rule cannot be met, or the names are not the recorded
            ones.
    """
    places = {sample: index for index, sample in enumerate(source.sample_ids)}
    if excluded:
        _require(excluded, places, f"{name}: the list of images to leave out")
        gone = set(excluded)
        source = source.take([index for index, sample in enumerate(source.sample_ids) if sample not in gone])
        places = {sample: index for index, sample in enumerate(source.sample_ids)}
    if entries:
        _require(entries, places, f"{name}: its frozen list")
        source = source.take([places[sample] for sample in entries])
    if rule := settings.get("select"):
        source = source.take(RULES[rule["rule"]](source.labels, rule, name))
    _verify_names(source.sample_ids, settings.get("ids_sha256"), name)
    return source


def ids_sha256(ids: Sequence[str]) -> str:
    """Hash of sample ids, one a line."""
    return sha256_bytes("".join(f"{sample}\n" for sample in ids).encode())


def first_per_class(labels: np.ndarray, rule: Mapping[str, Any], name: str) -> np.ndarray:
    """Indices of the first ``per_class`` images of every class, in file order."""
    refuse(labels.ndim != 1, f"{name}: the rule first_per_class needs one class an image.")
    wanted = rule["per_class"]
    chosen = [np.flatnonzero(labels == label)[:wanted] for label in np.unique(labels)]
    least = min(len(index) for index in chosen)
    refuse(least < wanted, f"{name}: the rule first_per_class asks for {wanted} images a class, one has {least}.")
    return np.sort(np.concatenate(chosen))


def drawn(labels: np.ndarray, rule: Mapping[str, Any], name: str) -> np.ndarray:
    """Indices of ``count`` images drawn by the recorded ``seed``, or of the ``rest``, in file order."""
    count = rule["count"]
    refuse(count > len(labels), f"{name}: the rule drawn asks for {count} images, there are {len(labels)}.")
    order = np.random.RandomState(rule["seed"]).permutation(len(labels))
    return np.sort(order[count:] if rule.get("rest") else order[:count])


RULES = {"first_per_class": first_per_class, "drawn": drawn}


def _require(wanted: Sequence[str], places: Mapping[str, int], what: str) -> None:
    missing = [sample for sample in wanted if sample not in places]
    if missing:
        raise ReproError(
            f"{what} names {len(missing)} images that the set does not hold, such as "
            f"{', '.join(missing[:_SHOWN])}: the list or the set is another version."
        )


def _verify_names(ids: Sequence[str], expected: str | None, name: str) -> None:
    if expected is not None and (found := ids_sha256(ids)) != expected:
        raise ReproError(
            f"{name} has {len(ids)} images whose names hash to {found[:12]}, the catalog expects {expected[:12]}: "
            "the lists it is made from are another version."
        )
