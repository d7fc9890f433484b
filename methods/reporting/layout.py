"""A finished table as text: CSV for machines, Markdown and HTML for readers; LaTeX is in latex.py."""

import html
from collections.abc import Callable, Mapping
from itertools import groupby

from methods.csv_file import csv_text
from methods.metrics.seeds import Spread
from methods.metrics.uncertainty import interval_of
from methods.reporting.tables.parts import Column, Table, percent

ARROWS = {1: " ↑", -1: " ↓", 0: ""}
MARKDOWN = {"best": "**{}**", "second": "<u>{}</u>"}
HTML = {"best": "<b>{}</b>", "second": "<u>{}</u>"}

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{caption}</title><style>
body {{ font: 14px sans-serif; margin: 1.5em; }}
table {{ border-collapse: collapse; }}
caption {{ text-align: left; max-width: 60em; padding-bottom: 1em; }}
th, td {{ padding: 0.25em 0.7em; white-space: nowrap; }}
td {{ text-align: right; }}
td.words {{ text-align: left; }}
tbody th {{ text-align: left; font-weight: normal; }}
thead tr:last-child th {{ border-bottom: 1px solid; }}
</style></head><body><table><caption>{caption}</caption>
<thead>
{head}
</thead><tbody>
{body}
</tbody></table>{notes}</body></html>
"""


def to_csv(table: Table) -> str:
    """One row a method and score (or what the table's heads are), five columns a value, in full precision.

    They are mean, standard deviation, number of seeds, and the bounds of Student's 95 % interval over seeds. Words have
    one column.
    """
    rows = []
    heads = [head.lower() for head in table.heads]
    for labels, cells in zip(table.rows, table.cells, strict=True):
        row: dict[str, object] = dict(zip(heads, labels, strict=True))
        for column, cell in zip(table.columns, cells, strict=True):
            if column.words:
                row[column.key] = cell
            else:
                row |= {f"{column.key}:{name}": value for name, value in _csv_values(cell).items()}
        rows.append(row)
    return csv_text(rows)


def _csv_values(cell: Spread | str) -> dict[str, object]:
    if isinstance(cell, str):
        return {"mean": cell, "std": "", "seeds": 0, "low95": "", "high95": ""}
    if cell.count == 1:
        return {"mean": cell.mean, "std": "", "seeds": 1, "low95": "", "high95": ""}
    found = interval_of(cell)
    return {"mean": cell.mean, "std": cell.std, "seeds": cell.count, "low95": found.low, "high95": found.high}


def to_markdown(table: Table) -> str:
    """A pipe table under its caption, best values in bold, second ones underlined."""
    columns = shown(table)
    head = [*map(_literal, [*table.heads, *(f"{c.group} {c.name}{ARROWS[c.direction]}".strip() for c in columns)])]
    texts = marked_texts(table, MARKDOWN)
    body = [[*map(_literal, row), *cells] for row, cells in zip(table.rows, texts, strict=True)]
    dashes = [*["---"] * len(table.heads), *("---" if c.words else "---:" for c in columns)]
    lines = [_pipe(part) for part in (head, dashes, *body)]
    notes = [f"\n{_literal(note)}" for note in all_notes(table)]
    return "\n".join([f"{table.caption}\n", *lines, *notes]) + "\n"


def to_html(table: Table) -> str:
    """A page of its own with one column group an OOD set, marked as in Markdown."""
    columns = shown(table)
    groups = "".join(f'<th colspan="{span}">{html.escape(group)}</th>' for group, span in spans(columns))
    names = "".join(f"<th>{html.escape(c.name)}{ARROWS[c.direction]}</th>" for c in columns)
    texts = marked_texts(table, HTML, html.escape)
    rows = [_html_row(row, cells, columns) for row, cells in zip(table.rows, texts, strict=True)]
    labels = "".join(f"<th>{head}</th>" for head in table.heads)
    head = f"<tr>{'<th></th>' * len(table.heads)}{groups}</tr>\n<tr>{labels}{names}</tr>"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in all_notes(table))
    return _PAGE.format(caption=html.escape(table.caption), head=head, body="\n".join(rows), notes=notes)


def shown(table: Table) -> list[Column]:
    """Columns that readers see."""
    return [column for column in table.columns if not column.machine]


def all_notes(table: Table) -> list[str]:
    """Notes of a table, with the one on its marks."""
    return [*table.notes, *table.marking()]


def spans(columns: list[Column]) -> list[tuple[str, int]]:
    """(group, number of columns) of neighbouring columns of one group."""
    return [(group, len(list(members))) for group, members in groupby(columns, key=lambda column: column.group)]


def marked_texts(
    table: Table, marks: Mapping[str, str], escape: Callable[[str], str] = lambda text: text
) -> list[list[str]]:
    """Cells as readers see them, in the format's own letters, the best and second-best in its ``marks``."""
    ranked = [dict(zip(table.marked(j), ("best", "second"), strict=True)) for j in range(len(table.columns))]
    texts = []
    for i, cells in enumerate(table.cells):
        line = []
        for column, cell, rank in zip(table.columns, cells, ranked, strict=True):
            text = escape(percent(cell, table.scale))
            if not column.machine:
                line.append(marks[rank[i]].format(text) if i in rank else text)
        texts.append(line)
    return texts


def _html_row(labels: tuple[str, ...], cells: list[str], columns: list[Column]) -> str:
    heads = "".join(f"<th>{html.escape(label)}</th>" for label in labels)
    kinds = (' class="words"' if column.words else "" for column in columns)
    return f"<tr>{heads}{''.join(f'<td{kind}>{cell}</td>' for kind, cell in zip(kinds, cells, strict=True))}</tr>"


def _literal(text: str) -> str:
    """Text whose stars and pipes stay themselves in Markdown."""
    return text.replace("*", r"\*").replace("|", r"\|")


def _pipe(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
