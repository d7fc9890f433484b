"""The page of scores, made from their records: `python -m methods.reporting.score_page > docs/scores.md`."""

import ast
import inspect
import json
from collections.abc import Iterable, Mapping
from typing import Any

from methods import registry
from methods.reporting.pages import table

_HEAD = """# Scores

Made from the modules in `methods/scores/` by `make docs`; do not edit. Higher = more in-distribution, for every score.

*Needs*: the arrays a score reads; `train_embedding` are the embeddings of all ID training images, `classifier` and
`prototypes` what sits on top of the network, `network` the network and the images themselves. *Parameters* stand with
their defaults; those without one must be given if they are marked as required, and can be left out otherwise. How to
use and to add a score stands in [guide.md](guide.md).
"""

_COLUMNS = ("name", "title", "tasks", "needs", "parameters", "paper")


def page() -> str:
    """The whole page in Markdown."""
    records = registry.records("scores")
    rows = (_row(name, record) for name, record in records.items())
    return "\n".join([_HEAD, table(_COLUMNS, rows), *(_details(name, record) for name, record in records.items())])


def formula(name: str) -> str:
    """What the docstring of a score's ``score`` says before its sections, read without importing the module."""
    tree = ast.parse(registry.ROOT.joinpath("scores", f"{name}.py").read_text(encoding="utf-8"))
    names = ("score", "network_score")
    functions = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name in names)
    lines = inspect.cleandoc(ast.get_docstring(next(functions)) or "").splitlines()
    ends = (i for i, line in enumerate(lines) if line in ("Args:", "Returns:", "Raises:"))
    return "\n".join(lines[: next(ends, len(lines))]).strip()


def _row(name: str, record: Mapping[str, Any]) -> tuple[str, ...]:
    required = record.get("required", [])
    parameters = (f"`{_setting(key, part, required)}`" for key, part in record["parameters"].items())
    return (
        f"[{name}](#{name})",
        record["title"],
        ", ".join(record["tasks"]).replace("_", " "),
        ", ".join(f"`{need}`" for need in record["needs"]),
        ", ".join(parameters),
        record["paper"].replace("|", r"\|"),
    )


def _setting(key: str, part: Mapping[str, Any], required: Iterable[str]) -> str:
    if "default" in part:
        value = part["default"]
        return f"{key}: {value if isinstance(value, str) else json.dumps(value)}"
    return f"{key} (required)" if key in required else key


def _details(name: str, record: Mapping[str, Any]) -> str:
    lines = [f"## {name}\n", f"{record['title']}: {record['paper']}.\n", "```text", formula(name), "```", ""]
    lines += [f"* `{key}`: {_meaning(part)}" for key, part in record["parameters"].items()]
    return "\n".join([*lines, ""] if record["parameters"] else lines)


def _meaning(part: Mapping[str, Any]) -> str:
    choices = ", ".join(f"`{choice}`" for choice in part.get("enum", []))
    return part["description"] + (f" ({choices})" if choices else "")


if __name__ == "__main__":
    print(page(), end="")
