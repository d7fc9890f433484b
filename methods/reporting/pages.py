"""What the generated pages of docs/ are made of: tables, values of a schema in words, docstrings read from the text."""

import ast
import inspect
import json
import re
import textwrap
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

_NAMES = {"string": "text", "integer": "whole number", "number": "number", "boolean": "`true` or `false`"}
_NAMES |= {"object": "mapping", "null": "`null`"}
_SECTIONS = ("Args:", "Returns:", "Raises:", "Attributes:")
# Names in running text: files, paths, and words joined by an underscore, which none but names have
_ROOTS = "data|docs|logs|methods|papers|resources|results|rules|schemas"
_CODE = re.compile(
    rf"(?<![\w`/.*<-])((?:{_ROOTS})/(?:[\w<>/.-]*[\w>/])?|[\w/.-]*<[\w-]+>(?:[\w<>/.-]*[\w>/])?"
    r"|[\w*-]+\.(?:csv|h5|in|json|py|txt|yaml)\b|[\w.]*\w_\w(?:[\w.]*\w)?|data\.\w+)(?![\w`/])"
)
_WIDTH = 78  # columns of a formula that pages show without scrolling
_PAGE = re.compile(r"`?\bdocs/([\w-]+)\.md`?")


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown pipe table; a pipe within a cell is escaped."""
    lines = [list(head), *map(list, rows)]
    lines.insert(1, ["---"] * len(lines[0]))
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines) + "\n"


def prose(text: str) -> str:
    """A description as Markdown: names as code, pages of docs/ as links, nothing taken for HTML."""
    parts = re.split(r"(`[^`]*`)", " ".join(text.split()))
    return _PAGE.sub(r"[\1](../\1.md)", "".join(part if part.startswith("`") else _marked(part) for part in parts))


def _marked(text: str) -> str:
    marked = _CODE.sub(r"`\1`", text.replace(" -> ", " → "))
    parts = re.split(r"(`[^`]*`)", marked)
    return "".join(part if part.startswith("`") else part.replace("<", "&lt;") for part in parts)


def anchored(path: str, text: str) -> str:
    """``text`` with an anchor of the name ``path`` before it."""
    return f'<a id="{path}"></a>{text}'


def code(value: Any) -> str:
    """A value as one would write it in a YAML file, as code."""
    return f"`{_flow(value)}`"


def _flow(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_flow, value))}]"
    return value if isinstance(value, str) and value else json.dumps(value)


def listed(values: Iterable[Any]) -> str:
    """Values in code, joined by commas."""
    return ", ".join(map(code, values))


def fenced(text: str) -> str:
    """Text as it stands in a docstring, for a page: literal marks taken away, wide paragraphs broken anew."""
    plain = re.sub(r":\w+:`~?([^`]*)`", r"\1", text).replace("``", "")
    return "\n".join(["```text", "\n\n".join(map(_narrow, plain.split("\n\n"))), "```\n"])


def _narrow(paragraph: str) -> str:
    """Broken anew if it is running text and too wide: only its last line may be short, and none is indented."""
    lines = paragraph.splitlines()
    running = len(lines) == 1 or min(map(len, lines[:-1])) > _WIDTH
    if max(map(len, lines)) <= _WIDTH or not running or any(line.startswith(" ") for line in lines):
        return paragraph
    return "\n".join(_clauses(" ".join(lines)))


def _clauses(text: str) -> Iterator[str]:
    """Lines that end after a comma, a full stop or the like, so that no formula is torn; a long clause is broken."""
    line = ""
    for clause in re.split(r"(?<=[\w)}|'][,.;:]) (?![^()]*\))", text):
        if line and len(line) + 1 + len(clause) > _WIDTH:
            yield line
            line = ""
        *full, line = textwrap.wrap(f"{line} {clause}".strip(), _WIDTH, break_long_words=False, break_on_hyphens=False)
        yield from full
    yield line


def kind(part: Mapping[str, Any]) -> str:
    """Which values a part of a JSON schema allows, in words."""
    if "enum" in part:
        return listed(part["enum"])
    named = part.get("type", "object")
    if isinstance(named, list):
        return " or ".join(kind({**part, "type": name}) for name in named)
    if named == "array":
        return _list(part)
    limits = _limits(part) if named in ("integer", "number") else ()
    return " ".join([_NAMES[named], *limits])


def _list(part: Mapping[str, Any]) -> str:
    least, most = part.get("minItems", 0), part.get("maxItems")
    count = f"{least} " if least == most else ""
    return f"list of {count}{_plural(part.get('items', {}))}"


def _plural(part: Mapping[str, Any]) -> str:
    if "enum" in part:
        return kind(part)
    words = {"string": "texts", "integer": "whole numbers", "number": "numbers"}
    return words.get(part.get("type", ""), "values")


def _limits(part: Mapping[str, Any]) -> Iterator[str]:
    above, below = part.get("exclusiveMinimum"), part.get("exclusiveMaximum")
    least, most = part.get("minimum"), part.get("maximum")
    if least is not None and most is not None:
        yield f"from {least} to {most}"
        return
    limits = (("above", above), ("at least", least), ("below", below), ("at most", most))
    yield ", ".join(f"{word} {value}" for word, value in limits if value is not None)


def parameters(record: Mapping[str, Any]) -> str:
    """The table of a record's parameters: name, values, default, meaning; empty without any."""
    required, parts = record.get("required", []), record["parameters"]
    rows = (
        [f"`{key}`", kind(part), default(part, key in required), prose(part["description"])]
        for key, part in parts.items()
    )
    return table(("parameter", "values", "default", "meaning"), rows) if parts else ""


def default(part: Mapping[str, Any], required: bool = False) -> str:
    """The default of a key, or that it has to be given."""
    if "default" in part:
        return code(part["default"])
    return "*required*" if required else ""


@cache
def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def docstring(path: Path, name: str = "") -> str:
    """What a docstring says before its sections, of a module or its function or class ``name``; "" without.

    Read from the text, so that nothing heavy is imported.
    """
    node = (
        next((node for node in _tree(path).body if getattr(node, "name", None) == name), None) if name else _tree(path)
    )
    if not isinstance(node, ast.Module | ast.FunctionDef | ast.ClassDef):
        return ""
    lines = inspect.cleandoc(ast.get_docstring(node) or "").splitlines()
    ends = (i for i, line in enumerate(lines) if line in _SECTIONS)
    return "\n".join(lines[: next(ends, len(lines))]).strip()


def classes(path: Path, base: str) -> list[str]:
    """Names of the classes of a module whose first base is called ``base``."""
    found = [node for node in _tree(path).body if isinstance(node, ast.ClassDef) and node.bases]
    return [node.name for node in found if getattr(node.bases[0], "id", None) == base]
