"""Which code behind the files on the disk is not this checkout's, and taking that over as equivalent."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from methods.equivalent_code import Entry, standing_for
from methods.errors import ReproError
from methods.settings.study import Study
from methods.source_digest import ROOT
from workflow_scripts.verification.evidence import gather
from workflow_scripts.verification.expected import expected
from workflow_scripts.verification.findings import short
from workflow_scripts.verification.judge import differences
from workflow_scripts.verification.layout import KINDS, Place

_NAMED = 4


@dataclass
class Change:
    """Code that is not what some files record.

    Attributes:
        code: digest of this checkout's code.
        recorded: digest in the files -> their places.
        same: files that record ``code`` itself.
    """

    code: str
    recorded: dict[str, list[Place]] = field(default_factory=lambda: defaultdict(list))
    same: list[Place] = field(default_factory=list)


def changes(study: Study, kinds: Iterable[str] = tuple(KINDS)) -> tuple[list[Change], dict[str, list[str]]]:
    """Changes of code alone, and by kind a line for each file whose settings differ as well: it is made again by right.

    Args:
        study: whose files are looked at.
        kinds: of files that count, of ``KINDS``.
    """
    evidence, found, refused = gather(study), dict[str, Change](), dict[str, list[str]]()
    for key, place in evidence.places.items():
        record = evidence.records.get(key) if place.kind in kinds else None
        try:
            asked = expected(place, study, evidence.choices) if record else None
        except ReproError:  # what was tuned is not there
            asked = None
        if record is None or asked is None:
            continue
        recorded = record["source_digest"]
        if recorded == asked.digest:
            found.setdefault(asked.digest, Change(asked.digest)).same.append(place)
        elif standing_for(recorded, ROOT) != asked.digest:
            have = {"settings": record["settings"], "seed": record.get("seed")}
            parts = differences(have, {"settings": asked.settings, "seed": asked.seed})
            if parts:
                said = f"{evidence.files[key]}: settings differ as well: {'; '.join(parts[:3])}"
                refused.setdefault(place.kind, []).append(said)
            else:
                found.setdefault(asked.digest, Change(asked.digest)).recorded[recorded].append(place)
    return [change for change in found.values() if change.recorded], refused


def entry(change: Change, reason: str, chosen: Sequence[str] = ()) -> Entry:
    """The entry that takes a change over.

    Args:
        change: of code alone.
        reason: why the new code computes the same.
        chosen: how the older digest begins, where files record several of one code.

    Raises:
        ReproError: it is not clear which digest the code is to stand for.
    """
    fitting = list(change.recorded)
    if len(fitting) > 1:
        fitting = [digest for digest in fitting if digest.startswith(tuple(chosen))]
    if len(fitting) != 1:
        listed = "; ".join(f"{short(digest)}: {concerns(places)}" for digest, places in change.recorded.items())
        raise ReproError(
            f"{short(change.code)} cannot stand for several older digests ({listed}): say which one it was refactored "
            f"from, e.g. ARGS='--from {short(next(iter(change.recorded)))}'. What records another one is of older code "
            "and runs again."
        )
    places = change.recorded[fitting[0]]
    return Entry(change.code, fitting[0], concerns(places), reason)


def concerns(places: Iterable[Place]) -> str:
    """Steps and runs in words, such as ``model of digits/adapt (2 files)``."""
    by_kind: Mapping[str, list[str]] = defaultdict(list)
    for place in places:
        by_kind[place.kind].append(_whose(place))
    parts = [_told(kind, by_kind[kind]) for kind in KINDS if kind in by_kind]
    return ", ".join(parts)


def _told(kind: str, names: list[str]) -> str:
    known = sorted(set(names))
    more = f" and {len(known) - _NAMED} more" if len(known) > _NAMED else ""
    files = "1 file" if len(names) == 1 else f"{len(names)} files"
    return f"{kind.replace('_', ' ')} of {', '.join(known[:_NAMED])}{more} ({files})"


def _whose(place: Place) -> str:
    names = place.names
    if "method" in names:
        return f"{names['benchmark']}/{names['method']}"
    if "paper" in names:
        return f"{names['paper']}/{names['name']}"
    if "benchmark" in names:
        return names["benchmark"]
    return place.part
