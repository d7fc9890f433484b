"""Finding methods by file name, without importing them.

A package of exchangeable parts (objectives, networks, scores, readers, figures, tables) holds one module a part.
Each module has a literal ``RECORD`` that says what the part is, what it needs and which parameters it takes.
Records are read from the source text, so that the workflow can check a paper without importing torch.
"""

import ast
import importlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from methods.errors import ReproError

ROOT = Path(__file__).resolve().parent

# What a record must say, by package; docs/tutorials/ explains the keys.
KEYS = {
    "objectives": ("title", "paper", "tasks", "views", "needs_outliers", "needs", "gives", "protocols", "parameters"),
    "networks": ("title", "paper", "parameters"),
    "scores": ("title", "paper", "tasks", "needs", "parameters"),
    "data.readers": ("title", "parameters"),
    "reporting.figures": ("title", "needs", "parameters"),
    "reporting.tables": ("title", "needs"),
}
# What a module must define beside its record, by package: one of these.
FUNCTIONS = {
    "objectives": ("build",),
    "networks": ("build",),
    "scores": ("score", "network_score"),
    "data.readers": ("read",),
    "reporting.figures": ("draw",),
    "reporting.tables": ("make",),
}
_METHODS = {
    "tasks": ("single_label", "multi_label"),
    "protocols": ("corrected", "released"),
    "gives": ("logits", "prototypes"),
}
# Words that a list in a record may hold, by package and key.
WORDS: dict[str, dict[str, tuple[str, ...]]] = {
    "objectives": {**_METHODS, "needs": ("head", "projector")},
    "scores": {
        "tasks": _METHODS["tasks"],
        "needs": ("logits", "embedding", "projection", "train_embedding", "classifier", "prototypes", "network"),
    },
}
_TYPES = ("number", "integer", "string", "boolean", "array", "object", "null")


@cache
def records(package: str) -> dict[str, dict[str, Any]]:
    """Name -> record of every part in ``methods/<package>``; modules without a record are helpers."""
    folder = ROOT.joinpath(*package.split("."))
    found = {path.stem: _read_record(path, package) for path in sorted(folder.glob("*.py"))}
    return {name: record for name, record in found.items() if record is not None}


def load(package: str, name: str) -> ModuleType:
    """Import the part ``name`` of ``package``."""
    return importlib.import_module(module_name(package, name))


def module_name(package: str, name: str) -> str:
    """Dotted name of a part's module."""
    return f"methods.{package}.{name}"


def _read_record(path: Path, package: str) -> dict[str, Any] | None:
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in tree.body:
            targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
            if any(getattr(target, "id", None) == "RECORD" for target in targets):
                record = ast.literal_eval(node.value)  # type: ignore[attr-defined]
                return _checked(record, _defined(tree), path, package)
    except SyntaxError as error:
        raise ReproError(f"{_short(path)} is no valid Python: line {error.lineno}: {error.msg}") from error
    except ValueError as error:
        raise ReproError(f"The RECORD of {_short(path)} is no literal: write it without calls and names.") from error
    return None


def _defined(tree: ast.Module) -> set[str]:
    """Names that a module defines or imports at its top."""
    found: set[str] = set()
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.ImportFrom):
            found |= {alias.asname or alias.name for alias in node.names}
        elif isinstance(node, ast.Assign):
            found |= {target.id for target in node.targets if isinstance(target, ast.Name)}
    return found


def _checked(record: dict[str, Any], defined: set[str], path: Path, package: str) -> dict[str, Any]:
    missing = [key for key in KEYS.get(package, ()) if key not in record]
    if missing:
        raise ReproError(
            f"The RECORD of {_short(path)} lacks {', '.join(missing)}; it needs {', '.join(KEYS[package])}."
        )
    if found := [*_word_problems(record, package), *_parameter_problems(record)]:
        raise ReproError("\n".join(f"The RECORD of {_short(path)} {problem}." for problem in found))
    functions = FUNCTIONS.get(package, ())
    if functions and not defined & set(functions):
        raise ReproError(f"{_short(path)} has a RECORD, but no function {' or '.join(functions)}.")
    return record


def _word_problems(record: dict[str, Any], package: str) -> Iterator[str]:
    for key, words in WORDS.get(package, {}).items():
        if not isinstance(record[key], list | tuple):
            yield f"has {record[key]!r} under {key}, expected a list such as [{words[0]!r}]"
        else:
            unknown = [word for word in record[key] if word not in words]
            yield from (f"names {word!r} under {key}, which may hold {', '.join(words)}" for word in unknown)


def _parameter_problems(record: dict[str, Any]) -> Iterator[str]:
    for name, schema in record.get("parameters", {}).items():
        if not isinstance(schema, dict):
            example = '{"type": "number", "default": 1.0, "description": "..."}'
            yield f"gives the parameter {name!r} as {schema!r}, expected what it may be, such as {example}"
            continue
        types = schema.get("type", [])
        unknown = [kind for kind in (types if isinstance(types, list) else [types]) if kind not in _TYPES]
        yield from (f"gives the parameter {name!r} the type {kind!r}, expected {', '.join(_TYPES)}" for kind in unknown)


def _short(path: Path) -> Path:
    return path.relative_to(ROOT.parent)
