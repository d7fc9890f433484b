"""Finding methods by file name, without importing them.

A package of exchangeable parts (objectives, networks, scores, readers, figures) holds one module a part.
Each module has a literal ``RECORD`` that says what the part is, what it needs and which parameters it takes.
Records are read from the source text, so that the workflow can check a paper without importing torch.
"""

import ast
import importlib
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parent


@cache
def records(package: str) -> dict[str, dict[str, Any]]:
    """Name -> record of every part in ``methods/<package>``; modules without a record are helpers."""
    folder = ROOT.joinpath(*package.split("."))
    found = {path.stem: _read_record(path) for path in sorted(folder.glob("*.py"))}
    return {name: record for name, record in found.items() if record is not None}


def load(package: str, name: str) -> ModuleType:
    """Import the part ``name`` of ``package``."""
    return importlib.import_module(module_name(package, name))


def module_name(package: str, name: str) -> str:
    """Dotted name of a part's module."""
    return f"methods.{package}.{name}"


def _read_record(path: Path) -> dict[str, Any] | None:
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and any(getattr(t, "id", None) == "RECORD" for t in node.targets):
            return ast.literal_eval(node.value)
    return None
