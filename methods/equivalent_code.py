"""Code that was written anew and computes the same: which digest stands for which older one, and why.

``resources/equivalent_code.yaml`` holds one entry a digest. A digest with an entry is answered with the older one, so
that results which record the older one count as made by this code. Deleting an entry takes that back.
"""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from methods.errors import ReproError, refuse
from methods.files import write_text

FILE = Path("resources") / "equivalent_code.yaml"
_HEAD = """\
# Code that was written anew and computes the same, recorded by `make accept REASON=...` (docs/reruns.md):
# what has the digest `code` counts as if it had the older digest `same_as`. Delete an entry to take it back.
"""
_KEYS = ("code", "same_as", "concerns", "reason")


@dataclass(frozen=True)
class Entry:
    """One refactor of the code behind a step.

    Attributes:
        code: digest of the new code.
        same_as: digest that results on the disk record.
        concerns: the step and the files at hand when it was accepted, in words.
        reason: why both compute the same.
    """

    code: str
    same_as: str
    concerns: str
    reason: str


def standing_for(digest: str, root: Path) -> str:
    """The oldest digest that ``digest`` is recorded as equivalent to; itself if there is none."""
    known = _by_code(root / FILE)
    while digest in known:
        digest = known[digest].same_as
    return digest


def entries(root: Path) -> list[Entry]:
    """All that was accepted, in the order of the file."""
    return list(_by_code(root / FILE).values())


def write_entries(found: list[Entry], root: Path) -> None:
    """Write the file anew, or remove it if nothing is accepted."""
    path = root / FILE
    if found:
        listed = [{key: getattr(entry, key) for key in _KEYS} for entry in found]
        write_text(path, _HEAD + yaml.safe_dump(listed, sort_keys=False, width=120))
    else:
        path.unlink(missing_ok=True)
    _by_code.cache_clear()


@cache
def _by_code(path: Path) -> dict[str, Entry]:
    if not path.is_file():
        return {}
    try:
        listed = yaml.safe_load(path.read_text(encoding="utf-8")) or []
        found = {part["code"]: Entry(**part) for part in listed}
    except (yaml.YAMLError, TypeError, KeyError) as error:
        keys = ", ".join(_KEYS)
        raise ReproError(f"{path} cannot be used ({error}): it is to be a list of entries with {keys}.") from error
    refuse(len(found) != len(listed), f"{path} has two entries for one `code`: delete one of them.")
    for start in found:
        _require_end(found, start, path)
    return found


def _require_end(found: dict[str, Entry], start: str, path: Path) -> None:
    seen, digest = {start}, found[start].same_as
    while digest in found:
        refuse(digest in seen, f"{path} has entries that lead in a circle over {digest[:12]}: delete one of them.")
        seen.add(digest)
        digest = found[digest].same_as
