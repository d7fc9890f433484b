"""Finding methods by file name, without importing them.

A package of exchangeable parts (objectives, networks, scores, readers, figures, tables) holds one module a part.
Each module has a literal ``RECORD`` that says what the part is, what it needs and which parameters it takes.
Records are read from the source text, so that the workflow can check a paper without importing torch.
"""

import ast
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from methods.errors import ReproError

ROOT = Path(__file__).resolve().parent

# What a record must say, by package; the tutorials in docs/ explain the keys.
KEYS = {
    "objectives": ("title", "paper", "tasks", "views", "needs_outliers", "needs", "gives", "protocols", "parameters"),
    "networks": ("title", "paper", "parameters"),
    "scores": ("title", "paper", "tasks", "needs", "parameters"),
    "data.readers": ("title", "parameters"),
    "reporting.figures": ("title", "needs", "parameters"),
    "reporting.tables": ("title", "needs"),
}


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
                return _complete(ast.literal_eval(node.value), path, package)  # type: ignore[attr-defined]
    except SyntaxError as error:
        raise ReproError(f"{_short(path)} is no valid Python: line {error.lineno}: {error.msg}") from error
    except ValueError as error:
        raise ReproError(f"The RECORD of {_short(path)} is no literal: write it without calls and names.") from error
    return None


def _complete(record: dict[str, Any], path: Path, package: str) -> dict[str, Any]:
    missing = [key for key in KEYS.get(package, ()) if key not in record]
    if missing:
        raise ReproError(
            f"The RECORD of {_short(path)} lacks {', '.join(missing)}; it needs {', '.join(KEYS[package])}."
        )
    return record


def _short(path: Path) -> Path:
    return path.relative_to(ROOT.parent)
