"""Snakemake's reason for a job in plain words: which key, which code, which file."""

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

Closures = Mapping[str, Mapping[str, str]]  # digest -> module -> hash of its code

_MOST = 3  # keys or files named in a line; the rest is counted
_HASH = re.compile(r"[0-9a-f]{64}")
_TEXTS = re.compile(r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\"")
_PARAMS = "Params have changed since last execution: "
# Beginning of a part of Snakemake's reason -> words for the files behind it
_FILES = {
    "Missing output files: ": "missing: {}",
    "Incomplete output files: ": "was interrupted while it made {}",
    "Updated input files: ": "newer than its output: {}",
    "Input files updated by another job: ": "made anew before it: {}",
}
_SENTENCES = {
    "Forced execution": "asked for",
    "Rules with": "runs whenever it is asked for",
    "Set of input files has changed": "reads other files than last time",
    "Code has changed": "its script in workflow_scripts/ was edited",
    "Software environment": "its software environment was changed",
}


def why(reason: str, made: bool, closures: Closures | None = None) -> str:
    """Why a job will run.

    Args:
        reason: as Snakemake words it, with all params that were and are.
        made: whether any of its files is there.
        closures: modules behind digests of code, for naming the one that changed.
    """
    head, _, params = reason.partition(_PARAMS)
    if head.startswith("Missing") and not made:
        return "not made yet"
    words = [_part(part) for part in head.split("; ") if part]
    if params:
        words += changed_params(params, closures or {})
    return "; ".join(words) or "a file that needs it is to be made"


def _part(part: str) -> str:
    for start, words in _FILES.items():
        if part.startswith(start):
            return words.format(_files(part.removeprefix(start).split(", ")))
    return next((words for start, words in _SENTENCES.items() if part.startswith(start)), part)


def _files(paths: Iterable[str]) -> str:
    """Names of some files; those of one name are told apart by their folder."""
    names = sorted({"/".join(PurePath(path).parts[-2:]) for path in paths})
    return _some(names)


def _some(parts: Sequence[str]) -> str:
    rest = len(parts) - _MOST
    return ", ".join(parts) if rest <= 1 else f"{', '.join(parts[:_MOST])} and {rest} more"


def changed_params(text: str, closures: Closures) -> list[str]:
    """What differs between the params before and now, of which ``text`` holds those that only one of them has."""
    before, _, now = text.partition(" now: ")
    old, new = _values(before), _values(now)
    words = [f"settings: {change}" for change in _settings(old, new)]
    codes, recent = ([value for value in values if _HASH.fullmatch(value)] for values in (old, new))
    if codes or recent:
        words.append(_code(codes, recent, closures))
    if words:
        return words
    texts = [", ".join(value for value in values if _document(value) is None) for values in (old, new)]
    return [f"settings: {_short(texts[0])} -> {_short(texts[1])}"]


def _values(text: str) -> list[str]:
    return [str(ast.literal_eval(found)) for found in _TEXTS.findall(text)]


def _document(text: str) -> Any:
    """A param that is canonical JSON; None for any other text."""
    if text[:1] not in "[{" or not text:
        return None
    try:
        return json.loads(text)
    except ValueError:
        return None


def _settings(old: Sequence[str], new: Sequence[str]) -> Iterator[str]:
    """Changes of every document that was there before, each against the one now that is most like it."""
    before, now = ([_flat(found) for text in texts if (found := _document(text)) is not None] for texts in (old, new))
    if not now:
        return
    for document in before:
        likest = min(now, key=lambda other: len(list(_changes(document, other))))
        yield _some(list(_changes(document, likest)))


def _flat(value: Any, place: str = "") -> dict[str, Any]:
    """Dotted key -> value of all that a document holds; a list without documents is one value."""
    listed = isinstance(value, list) and any(isinstance(part, dict) for part in value)
    items = value.items() if isinstance(value, dict) else enumerate(value) if listed else None
    if items is None:
        return {place: value}
    found = {k: v for key, part in items for k, v in _flat(part, f"{place}.{key}" if place else str(key)).items()}
    return found or {place: value}


def _changes(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for key in sorted(before.keys() | now.keys()):
        old, new = before.get(key), now.get(key)
        if key not in now:
            yield f"without {key}"
        elif key not in before:
            yield f"{key} {_short(json.dumps(new))}, new"
        elif isinstance(old, list) and isinstance(new, list):
            yield from _members(key, old, new)
        elif old != new:
            hashes = all(_HASH.fullmatch(str(value)) for value in (old, new))
            yield f"another {key}" if hashes else f"{key} {_short(json.dumps(old))} -> {_short(json.dumps(new))}"


def _members(key: str, old: list[Any], new: list[Any]) -> Iterator[str]:
    """Members of a list that came, or that went; both lists where that does not tell it all."""
    gone, come = ([part for part in some if part not in others] for some, others in ((old, new), (new, old)))
    if old != new and bool(gone) == bool(come):
        yield f"{key} {_short(json.dumps(old))} -> {_short(json.dumps(new))}"
        return
    yield from (f"without {key} {_short(json.dumps(part))}" for part in gone)
    yield from (f"{key} {_short(json.dumps(part))}, new" for part in come)


def _code(old: Sequence[str], new: Sequence[str], closures: Closures) -> str:
    if len(old) != 1 or len(new) != 1 or old[0] not in closures or new[0] not in closures:
        return "the code behind it was changed"
    before, now = closures[old[0]], closures[new[0]]
    names = sorted(name for name in before.keys() | now.keys() if before.get(name) != now.get(name))
    return f"changed code: {_some(names)}"


def _short(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:37]}..."
