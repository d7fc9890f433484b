"""The keys of a JSON schema as tables, an anchor a key: the pages of config.yaml and papers, records of the catalog."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from methods import registry
from methods.reporting.pages import anchored, default, kind, parameters, prose, table
from methods.settings.schema import load_schema

_HEAD = ("key", "values", "default", "meaning")

CONFIG_EXAMPLE = """\
papers: [adapt, ~/mine.yaml]     # names in papers/, or paths of your own files
seeds: [0, 1, 2]
protocols: [corrected, released]
data:
  folder: /scratch/ood/data
  sources: [/datasets]           # folders with data sets that are there already
results: {folder: /scratch/ood/results}
hardware: {device: cuda}
"""

PAPER_EXAMPLE = """\
name: mine
title: My paper

benchmarks:
  digits8:
    title: Digits
    task: single_label
    in_distribution: {dataset: digits}
    render: {size: 8, resize: native}
    normalisation: {mean: [0.3, 0.3, 0.3], std: [0.4, 0.4, 0.4]}
    network: {name: cifar_resnet, blocks: [1, 1], widths: [16, 32]}
    ood:
      digits_held_out: {groups: [near]}

recipes:
  plain:
    label: Cross-entropy
    objective: {name: cross_entropy}
    head: {kind: linear}
    optimiser: {name: sgd, learning_rate: 0.1}
    schedule: {name: cosine}
    epochs: 4
    batch: 64

scores:
  msp: {score: msp, label: MSP}

evaluate:
  digits8:
    plain: [msp]

tables:
  main: {kind: main, benchmark: digits8, caption: OOD detection on digits}
"""

_CONFIG = """# config.yaml

Made from `schemas/config.schema.yaml` by `make docs`; do not edit.

`config.yaml` says what to run here: which papers, which seeds, where data and results lie. It holds no science; that
stands in [papers](papers.md). Every key may be left out, and then has its default. A wrong key or value is told before
anything starts, with the nearest known name. One command can set a key otherwise: `--config seeds='[0, 1]'`.
"""

_PAPER = """# papers/&lt;paper&gt;.yaml

Made from `schemas/paper.schema.yaml` and the records of figures and tables by `make docs`; do not edit.

A paper is a file: on what data it measures (`benchmarks`), how methods are trained (`recipes`), which `scores` are
computed on which of them (`evaluate`), and what comes out (`tables`, `figures`). Each of these maps a name of your
choice, written `<name>` below, to its keys. The file may lie anywhere; `papers:` in [config.yaml](config.md) names
it. [Add a paper](../tutorials/add-a-paper.md) makes one step by step.
"""

# What a schema leaves to the records of exchangeable parts: path -> where their keys are described
_FURTHER = {
    "benchmarks.network": "The other keys are the parameters of [the network](methods.md#networks).",
    "benchmarks": "A benchmark with `use` has no other key, so that none is required beside it.",
    "recipes": "`label` and `objective` are required of every recipe; so are `optimiser`, `schedule`, `epochs` and "
    "`batch`, unless a `checkpoint` is imported. What it rests on by `use` or `extends` may give them. "
    "The switches: [Switches](methods.md#switches).",
    "recipes.objective": "The other keys are the parameters of [the objective](methods.md#objectives).",
    "recipes.schedule": "What each shape is: [Schedules](methods.md#schedules).",
    "scores": "The other keys are the parameters of [the score](scores.md).",
    "tables": "The metrics and their rules are defined on the page of [metrics](metrics.md).",
    "figures": "The other keys are the parameters of [the kind](#kinds-of-figures).",
    "datasets.files": "A file has `package`, or `urls` with one of `sha256`, `md5`, `sha256_prefix` and `hash`.",
    "datasets.reader": "The other keys are the options of [the reader](#readers).",
}


@dataclass(frozen=True)
class Section:
    """A mapping with known keys.

    Attributes:
        path: the keys that lead to it, joined by dots.
        shown: the same with `<name>` for names that the user chooses and `[]` for a list.
        schema: its JSON schema.
        description: what it is.
    """

    path: str
    shown: str
    schema: Mapping[str, Any]
    description: str

    @property
    def required(self) -> list[str]:
        """Keys that must be given, if need be only where no other paper's definition is used."""
        return self.schema.get("required") or self.schema.get("else", {}).get("required", [])


def config_page() -> str:
    """The whole page of config.yaml."""
    example = f"```yaml\n{CONFIG_EXAMPLE}```\n"
    return "\n".join([_CONFIG, example, "## Keys\n", *_sections(load_schema("config"))])


def paper_page() -> str:
    """The whole page of papers."""
    example = f"```yaml\n{PAPER_EXAMPLE}```\n"
    return "\n".join([_PAPER, example, "## Keys\n", *_sections(load_schema("paper")), *_figures(), *_tables()])


def record_sections() -> str:
    """The part of the page of data sets that says how a record is written."""
    return "\n".join([*_sections(load_schema("datasets"), 3), *_readers()])


def sections(schema: Mapping[str, Any]) -> Iterator[Section]:
    """The schema itself and every mapping with known keys within it, outer ones first."""
    yield from _within(Section("", "", schema, schema["description"]), schema)


def _within(section: Section, root: Mapping[str, Any]) -> Iterator[Section]:
    yield section
    for key, part in section.schema["properties"].items():
        path, shown = (f"{before}.{key}".lstrip(".") for before in (section.path, section.shown))
        inner, more = _known_keys(part, root)
        if inner is not None:
            yield from _within(Section(path, shown + more, inner, part["description"]), root)


def _known_keys(
    part: Mapping[str, Any], root: Mapping[str, Any], more: str = ""
) -> tuple[Mapping[str, Any] | None, str]:
    """The mapping with known keys that ``part`` is, or maps names to, or lists; and what stands for the names."""
    if "$ref" in part:
        part = root["$defs"][part["$ref"].rpartition("/")[2]]
    if "properties" in part:
        return part, more
    for key, mark in (("additionalProperties", ".<name>"), ("items", "[]")):
        if isinstance(part.get(key), Mapping):
            return _known_keys(part[key], root, more + mark)
    return None, more


def _sections(schema: Mapping[str, Any], level: int = 2) -> Iterator[str]:
    """Heading, description and table of every section; those of the first level have headings of ``level``."""
    found = list(sections(schema))
    first = {id(section.schema): section.path for section in reversed(found)}  # what several keys hold is shown once
    homes = {section.path: first[id(section.schema)] for section in found}
    for section in found:
        if homes[section.path] != section.path:
            continue
        if section.path:
            yield f"{anchored(section.path, '')}\n\n{_heading(section, level)}\n"
            yield f"{_sentence(section.description)}\n"
        yield table(_HEAD, _rows(section, homes))
        if further := _FURTHER.get(section.path):
            yield f"{further}\n"


def _heading(section: Section, level: int) -> str:
    """The path, without the key at its beginning where that has a heading of its own."""
    _, _, inner = section.shown.removeprefix(section.path.partition(".")[0]).removeprefix(".<name>").partition(".")
    return f"{'#' * level}# `{inner}`" if inner else f"{'#' * level} `{section.shown}`"


def _sentence(text: str) -> str:
    text = prose(text)
    return (text if text[0] == "`" else text[0].upper() + text[1:]).rstrip(".") + "."


def _rows(section: Section, homes: Mapping[str, str]) -> Iterator[list[str]]:
    for key, part in section.schema["properties"].items():
        path = f"{section.path}.{key}".lstrip(".")
        if path in homes:
            values = f"[keys](#{homes[path]})"
            yield [f"`{key}`", values, default({}, key in section.required), prose(part["description"])]
        else:
            row = [kind(part), default(part, key in section.required), prose(part["description"])]
            yield [anchored(path, f"`{key}`"), *row]


def _figures() -> Iterator[str]:
    yield "## Kinds of figures\n"
    yield "What each shows, with examples: [Figures](../figures.md).\n"
    yield from _kinds("reporting.figures")


def _tables() -> Iterator[str]:
    yield "## Kinds of tables\n"
    yield "What each shows, with examples: [Tables](../tables.md).\n"
    records = registry.records("reporting.tables")
    yield table(("kind", "what it is"), ([f"`{name}`", record["title"]] for name, record in records.items()))


def _readers() -> Iterator[str]:
    yield "### Readers\n"
    yield "The options that stand beside `name:` under `reader:`.\n"
    yield from _kinds("data.readers", "####")


def _kinds(package: str, heading: str = "###") -> Iterator[str]:
    for name, record in registry.records(package).items():
        yield f"{heading} {name}\n"
        yield f"{record['title']}{'.' if record['parameters'] else '; no parameters.'}\n"
        if record["parameters"]:
            yield parameters(record)
