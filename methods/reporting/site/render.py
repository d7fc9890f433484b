"""Templates to pages, and the one library the leaderboard uses, taken from the installed package."""

import json
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from methods.errors import ReproError
from methods.reporting.tables.parts import percent

HERE = Path(__file__).resolve().parent
# A browser loads no module script from a file:, so the module's one export statement becomes an assignment.
_EXPORT = re.compile(r"export\{([^}]*)\};?")
_JQUERY = re.compile(r"([\w$]+) as jQuery\b")


def environment(navigation: Mapping[str, str]) -> Environment:
    """Templates with escaping; ``navigation`` maps the address of a page to its title."""
    loader = FileSystemLoader(HERE / "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    made.globals.update(navigation=navigation)
    made.filters.update(percent=percent, raw_percent=raw_percent, flat=flat, short=lambda digest: digest[:12])
    return made


def write_page(made: Environment, folder: Path, address: str, template: str, **context: Any) -> None:
    """Write one page at ``address`` below ``folder``."""
    path = folder / address
    path.parent.mkdir(parents=True, exist_ok=True)
    root = "../" * address.count("/")
    path.write_text(made.get_template(template).render(root=root, address=address, **context), encoding="utf-8")


def flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """(dotted name, value as JSON) of every leaf, by name; lists stay in one piece."""
    found: list[tuple[str, str]] = []
    for key, value in sorted(settings.items()):
        if isinstance(value, Mapping) and value:
            found += flat(value, f"{prefix}{key}.")
        else:
            found.append((f"{prefix}{key}", value if isinstance(value, str) else json.dumps(value)))
    return found


def raw_percent(text: str) -> str:
    """A number of metrics.csv in percent, two decimals; other text as it is."""
    try:
        return f"{100 * float(text):.2f}"
    except ValueError:
        return text


def library_script() -> str:
    """DataTables as the package itables carries it, as a plain script that gives ``DataTable``.

    Raises:
        ReproError: the package is missing or carries it in another form.
    """
    text = library_file("dt_bundle.js")
    exported = _EXPORT.findall(text)
    name = _JQUERY.search(exported[0]) if len(exported) == 1 else None
    if name is None:
        raise ReproError(
            "The package itables carries DataTables in another form than expected (one export with jQuery): install "
            "the version that requirements.txt names."
        )
    return f'"use strict";(() => {{\n{_EXPORT.sub(f"window.DataTable={name[1]}.fn.dataTable;", text)}\n}})();\n'


def library_file(name: str) -> str:
    """A file of the package itables, which is not imported."""
    found = find_spec("itables")
    if found is None or found.origin is None:
        raise ReproError("The site needs the package itables, which is not installed: `make env` installs it.")
    return (Path(found.origin).parent / "html" / name).read_text(encoding="utf-8")
