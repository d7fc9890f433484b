"""Finished tables as they stand on disk: caption, table and notes taken out of the page that a table is."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from methods.errors import refuse
from methods.reporting.site.files import Files, checked_record

FORMS = ("csv", "md", "tex")  # offered beside the page
PUBLISHED = "published"  # kind of the tables that hold results against published values

_TABLE = re.compile(r"<table[^>]*>(.*?)</table>", re.DOTALL)
_CAPTION = re.compile(r"<caption[^>]*>(.*?)</caption>", re.DOTALL)


@dataclass(frozen=True)
class ShownTable:
    """A table of a paper.

    Attributes:
        entry: name, kind and benchmark.
        caption: its whole caption, as HTML like ``inside`` (of the table) and ``after`` (notes).
        record: of its origin.
    """

    paper: str
    entry: Mapping[str, Any]
    caption: Markup
    inside: Markup
    after: Markup
    record: Mapping[str, Any]

    @property
    def name(self) -> str:
        """Name within its paper."""
        return self.entry["name"]

    @property
    def page(self) -> str:
        """Address from the site's root."""
        return f"tables/{self.paper}/{self.name}.html"

    @property
    def runs(self) -> list[list[Any]]:
        """(method, protocol, seed) of the runs it reads."""
        runs = self.record["settings"].get("runs", [])
        return [run for run in runs if isinstance(run, list) and len(run) == 3 and run[1]]


def read_table(files: Files, paper: str, entry: Mapping[str, Any]) -> ShownTable:
    """A table from its HTML file, the CSV of which must be as it was made.

    Raises:
        ReproError: the HTML has no table, or the CSV was changed.
    """
    path = files.of_paper("table", paper, entry["name"], "html")
    text = path.read_text(encoding="utf-8")
    body = text[text.find("<body") :]
    table = _TABLE.search(body)
    refuse(table is None, f"{path} holds no table: delete it and run the same command again.")
    assert table is not None
    caption = _CAPTION.search(table[1])
    inside = _CAPTION.sub("", table[1], count=1)
    after = body[table.end() :].partition("</body>")[0]
    record = checked_record(files.of_paper("table", paper, entry["name"], "csv"))
    shown = caption[1] if caption else Markup.escape(entry["caption"])
    return ShownTable(paper, entry, Markup(shown), Markup(inside), Markup(after), record)
