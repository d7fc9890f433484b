"""The page of targets: what `make` and the workflow can be asked for, read from the Makefile and the rules' text."""

import inspect
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from methods.registry import ROOT
from methods.reporting.pages import prose, table

PROJECT = ROOT.parent

_HEAD = """# Targets

Made from `Makefile`, `Snakefile` and `rules/` by `make docs`; do not edit.

A target is what you ask for. `make` has a few commands for daily work; the workflow itself makes every file of the
project, and whatever that file still lacks. `make run TARGET=<target>` asks the workflow safely after a kill; with
the environment active (`source .venv/bin/activate`), `snakemake <target>` does the same.
"""

_MAKE = """## make

`make` without a name lists them. `TARGET=` is a target of the workflow, `CORES=` how many CPU cores it may use (all,
if you do not say), `ARGS=` what else the command is given, such as `ARGS='--config seeds=[0]'`.
"""

_NAMED = """## Targets of the workflow

These have a name of their own. What they cover is what `papers:` and `seeds:` in [config.yaml](config.md) name.
"""

_RULES = """## Rules

A rule makes one kind of file. Every such file is a target as well: ask for its path, with names in the place of what
stands in braces. `{run}` is `RUN`; `{evaluation}` is the protocol again, that of the evaluation. A rule's log is
below `logs/<rule>/`.
"""

# Rules as snakefmt lays them out, and the constants of rules/common.smk
_RULE = re.compile(r"^(?P<indent> *)rule(?: (?P<name>\w+))?:\n(?P<body>(?:(?P=indent) +\S.*\n|\n)+)", re.M)
_DOCSTRING = r"^{indent}    (?P<mark>\"\"\"|\"|')(?P<text>.*?)(?P=mark)$"  # first in a rule, or after its name
_NAME = re.compile(r"^ +name:\n +(?P<quote>\"?)(?P<name>[\w-]+)(?P=quote)", re.M)
_OUTPUT = re.compile(r"^(?P<indent> +)output:\n(?P<files>(?:(?P=indent) +\S.*\n)+)", re.M)
_CONSTANT = re.compile(r'^(?P<name>[A-Z_]+) = f?"(?P<text>[^"]*)"$', re.M)
_FILE = re.compile(r'f"\{(?P<base>[A-Z_]+)\}(?P<end>[\w./]+)"|(?P<name>\b[A-Z_]{3,}\b)|"(?P<plain>\w[\w/.-]*\.\w+)"')


@dataclass(frozen=True)
class Rule:
    """A rule as written: name, docstring and paths of its outputs; both empty where it has none."""

    name: str
    text: str
    files: tuple[str, ...]

    @property
    def is_target(self) -> bool:
        """Whether it is asked for by name: it makes no file of its own, as `all` or `verify`."""
        return not self.files


def page() -> str:
    """The whole page in Markdown."""
    texts = workflow_texts()
    paths = constants(texts)
    found = [rule for text in texts for rule in rules(text, paths)]
    named = ([f"`{rule.name}`", prose(rule.text)] for rule in found if rule.is_target)
    made = (
        [f"`{rule.name}`", prose(rule.text), _paths(rule.files, paths["RUN"])] for rule in found if not rule.is_target
    )
    parts = [_HEAD, _MAKE, table(("command", "what it does"), _make_rows())]
    parts += [_NAMED, table(("target", "what it makes"), named)]
    parts += [_RULES.replace("RUN", paths["RUN"]), table(("rule", "what it does", "makes"), made)]
    return "\n".join(parts)


def make_targets(text: str) -> dict[str, str]:
    """Target -> its line in `make help`, of the text of a Makefile."""
    return dict(re.findall(r"^([a-z-]+):.*?## (.*)$", text, re.M))


def workflow_texts() -> list[str]:
    """Text of the Snakefile, then of the files in rules/ that it includes, in their order."""
    snakefile = PROJECT.joinpath("Snakefile").read_text(encoding="utf-8")
    included = re.findall(r'^include: "(.*)"$', snakefile, re.M)
    return [snakefile, *(PROJECT.joinpath(name).read_text(encoding="utf-8") for name in included)]


def rules(text: str, paths: dict[str, str]) -> Iterator[Rule]:
    """The rules of a rule file; ``paths`` are the constants that its outputs are written with."""
    for found in _RULE.finditer(text):
        body = found["body"]
        doc, name = re.search(_DOCSTRING.format(indent=found["indent"]), body, re.M | re.S), _NAME.search(body)
        words = inspect.cleandoc(doc["text"]) if doc else ""
        called = found["name"] or (name["name"] if name and name["quote"] else "<paper>")
        yield Rule(called, words, tuple(_outputs(body, paths)))


def constants(texts: Iterable[str]) -> dict[str, str]:
    """Paths that rules are written with, by name: wildcards in braces, folders as they are by default."""
    found = {"DATA": "data", "RESULTS": "results"}
    for name, text in (pair for whole in texts for pair in _CONSTANT.findall(whole)):
        for known, path in found.items():
            text = re.sub(rf"(?<!\{{)\{{{known}\}}", path, text)
        found[name] = text.replace("{{", "{").replace("}}", "}")
    return found


def _outputs(body: str, paths: dict[str, str]) -> list[str]:
    if not (output := _OUTPUT.search(body)):
        return []
    parts = _FILE.finditer(output["files"])
    found = (part["plain"] or paths.get(part["base"] or part["name"], "") + (part["end"] or "") for part in parts)
    return list(dict.fromkeys(filter(None, found)))


def _make_rows() -> Iterator[list[str]]:
    text = PROJECT.joinpath("Makefile").read_text(encoding="utf-8")
    for name, line in make_targets(text).items():
        words, _, example = line.partition(": make ")
        yield [f"`make {name}`", prose(words) + (f": `make {example}`" if example else "")]


def _paths(files: Iterable[str], run: str) -> str:
    """Files in code, each folder once; records of origin beside them go without saying."""
    shown = [file.replace(run, "{run}") for file in files if not file.endswith(".provenance.json")]
    folder, _, _ = shown[0].rpartition("/")
    return ", ".join(f"`{file if i == 0 else file.removeprefix(folder + '/')}`" for i, file in enumerate(shown))
