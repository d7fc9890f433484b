"""What must stand beside a benchmark's numbers: sets that stand in for others, gaps, conventions."""

from collections.abc import Iterable, Mapping
from typing import Any

from methods.reporting.tables.words import detection_caption, detection_notes, id_column

STAR = "*"


def benchmark_title(benchmark: Mapping[str, Any]) -> str:
    """Title, with a star where its ID set or its outliers stand in for others."""
    return benchmark["title"] + (STAR if any(_stand_ins(benchmark)) else "")


def benchmark_notes(benchmark: Mapping[str, Any], boards: Iterable[Mapping[str, Any]]) -> list[str]:
    """Notes on everything that is shown of a benchmark, each once."""
    notes = list(_stand_ins(benchmark))
    for settings in boards:
        notes += detection_notes(settings)
    return list(dict.fromkeys(notes))


def set_notes(boards: Iterable[Mapping[str, Any]], names: Iterable[str]) -> list[str]:
    """Notes on those sets of ``names`` that stand in for others; on all where no name is given."""
    wanted = set(names)
    parts = [part for settings in boards for part in settings["sets"] if not wanted or part["name"] in wanted]
    found = {part["title"]: part["relation"] for part in parts if part["relation"]}
    return [_sentence("The OOD set", title, relation) for title, relation in found.items()]


def conventions(boards: Iterable[Mapping[str, Any]]) -> list[str]:
    """How numbers of a benchmark are to be read: rules, seeds, protocol, precision; a caption a paper."""
    return list(dict.fromkeys(detection_caption(settings, id_column(settings)) for settings in boards))


def _stand_ins(benchmark: Mapping[str, Any]) -> Iterable[str]:
    for what, part in (("The ID set", benchmark["inside"]), ("The outlier set", benchmark["outliers"])):
        if part and part["relation"]:
            yield _sentence(what, part["title"], part["relation"])


def _sentence(what: str, title: str, relation: Mapping[str, str]) -> str:
    return f"{STAR} {what} {title}: {relation['kind']} in the place of {relation['of']}."
