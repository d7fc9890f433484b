"""A digest of the code that shapes a result: the modules named and all of ``methods`` they import.

Comments, docstrings and layout do not count, nor do the modules that only report or record. Parts that are
loaded by name are not imported by the engine's text, so a run is tied to the parts it names and to no other.
Code that was recorded as equivalent to older code (``make accept``) has the digest of that code.
"""

import ast
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from methods.equivalent_code import standing_for
from methods.files import sha256_bytes

ROOT = Path(__file__).resolve().parent.parent

# Changing how a thing is recorded, logged or found never changes a number.
OUTSIDE = frozenset(
    {
        "methods.disk",
        "methods.equivalent_code",
        "methods.errors",
        "methods.files",
        "methods.hdf5",
        "methods.liveness",
        "methods.memory",
        "methods.provenance",
        "methods.registry",
        "methods.source_digest",
        "methods.progress",
        "methods.watchdog",
        "methods.data.archives",
        "methods.data.indexed",
        "methods.data.lock",
        "methods.data.members",
        "methods.data.tars",
        "methods.data.trees",
        "methods.data.zips",
    }
)

# Digest -> module -> hash of its code, of all that were asked for: says which module made two of them differ
CLOSURES: dict[str, dict[str, str]] = {}


def source_digest(modules: Iterable[str], scripts: Iterable[str] = ()) -> str:
    """SHA-256 over the code of ``modules`` and of everything in ``methods`` they import.

    Args:
        modules: dotted names.
        scripts: dotted names of modules that count without what they import: a job's script names all that any run may
            need, so the modules behind it are given one by one.
    """
    closure = {name: _parse(name)[0] for name in scripts}
    waiting = sorted(set(modules))
    while waiting:
        name = waiting.pop()
        if name not in closure and name not in OUTSIDE:
            code, imports = _parse(name)
            closure[name] = code
            waiting.extend(imports)
    content = "\n".join(f"{name}\n{code}" for name, code in sorted(closure.items()))
    digest = standing_for(sha256_bytes(content.encode()), ROOT)
    if digest not in CLOSURES:
        CLOSURES[digest] = {name: sha256_bytes(code.encode()) for name, code in closure.items()}
    return digest


@cache
def _parse(name: str) -> tuple[str, tuple[str, ...]]:
    tree = ast.parse(_path(name).read_text(encoding="utf-8"))
    imports = tuple(sorted(m for m in _imported(tree) if m.startswith("methods.") and _is_module(m)))
    return ast.unparse(_Bare().visit(tree)), imports


def _path(name: str) -> Path:
    path = ROOT.joinpath(*name.split("."))
    return path / "__init__.py" if path.is_dir() else path.with_suffix(".py")


def _is_module(name: str) -> bool:
    return _path(name).is_file()


def _imported(tree: ast.AST) -> Iterable[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


# Words about a part, not what it computes.
_WORDS = frozenset({"title", "paper", "description"})


class _Bare(ast.NodeTransformer):
    """Drops docstrings, other free-standing strings, and titles and descriptions in records."""

    def visit_Dict(self, node: ast.Dict) -> ast.AST:
        """A dictionary without the entries that are words about it."""
        self.generic_visit(node)
        pairs = [(k, v) for k, v in zip(node.keys, node.values, strict=True) if not _is_words(k, v)]
        return ast.Dict(keys=[k for k, _ in pairs], values=[v for _, v in pairs])

    def generic_visit(self, node: ast.AST) -> ast.AST:
        super().generic_visit(node)
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_text(statement)]
            node.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
        return node


def _is_words(key: ast.AST | None, value: ast.AST) -> bool:
    return isinstance(key, ast.Constant) and key.value in _WORDS and isinstance(value, ast.Constant)


def _is_text(statement: ast.AST) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
