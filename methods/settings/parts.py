"""Checking the settings of an exchangeable part (objective, network, score, reader, figure) by its record."""

from collections.abc import Mapping
from typing import Any

from methods import registry
from methods.settings.schema import nearest, problems, with_defaults


def part_problems(package: str, key: str, part: Mapping[str, Any], place: str, *extra: str) -> list[str]:
    """What is wrong with ``part``, whose module is named under ``key``; ``extra`` keys belong to the caller."""
    known = registry.records(package)
    name = part.get(key)
    if name not in known:
        return [f"{place}.{key} is {name!r}: {nearest('' if name is None else name, known)}"]
    found = problems(dict(part), parameter_schema(known[name], key, *extra), place)
    return found or _length_problems(known[name], complete_part(package, key, part, *extra), place)


def complete_part(package: str, key: str, part: Mapping[str, Any], *extra: str) -> dict[str, Any]:
    """A valid part with the defaults of its record."""
    return with_defaults(dict(part), parameter_schema(registry.records(package)[part[key]], key, *extra))


def _length_problems(record: Mapping[str, Any], part: Mapping[str, Any], place: str) -> list[str]:
    return [
        f"{place}.{longer} has {len(part[longer])} entries, {shorter} has {len(part[shorter])}: give one for each"
        for longer, shorter in record.get("at_least_as_long", {}).items()
        if len(part[longer]) < len(part[shorter])
    ]


def parameter_schema(record: Mapping[str, Any], *extra: str) -> dict[str, Any]:
    """JSON schema of a part's settings: its parameters and the keys in ``extra``."""
    free = {key: {"description": "read elsewhere"} for key in extra}
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": {**free, **record["parameters"]},
        "required": record.get("required", []),
    }
