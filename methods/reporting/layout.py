"""A finished table as text: CSV for machines, Markdown, LaTeX and HTML for readers."""

import html
from itertools import groupby

from methods.csv_file import csv_text
from methods.metrics.seeds import Spread
from methods.metrics.uncertainty import interval_of
from methods.reporting.tables.parts import Column, Table, percent

ARROWS = {1: " ↑", -1: " ↓", 0: ""}
LATEX_ARROWS = {1: r"~$\uparrow$", -1: r"~$\downarrow$", 0: ""}
_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {
    "±": r"$\pm$",
    "†": r"\textdagger{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "\\": r"\textbackslash{}",
}


_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{caption}</title><style>
body {{ font: 14px sans-serif; margin: 1.5em; }}
table {{ border-collapse: collapse; }}
caption {{ text-align: left; max-width: 60em; padding-bottom: 1em; }}
th, td {{ padding: 0.25em 0.7em; white-space: nowrap; }}
td {{ text-align: right; }}
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

    They are mean, standard deviation, number of seeds, and the bounds of Student's 95 % interval over seeds.
    """
    rows = []
    heads = [head.lower() for head in table.heads]
    for labels, cells in zip(table.rows, table.cells, strict=True):
        row: dict[str, object] = dict(zip(heads, labels, strict=True))
        for column, cell in zip(table.columns, cells, strict=True):
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
    """A pipe table under its caption, best values in bold."""
    head = [*table.heads, *(f"{c.group} {c.name}{ARROWS[c.direction]}" for c in table.columns)]
    texts = _texts(table, "**{}**")
    body = [[*map(_literal, row), *cells] for row, cells in zip(table.rows, texts, strict=True)]
    dashes = ["---", "---", *["---:"] * len(table.columns)]
    lines = [_pipe(part) for part in ([*map(_literal, head)], dashes, *body)]
    notes = [f"\n{_literal(note)}" for note in table.notes]
    return "\n".join([f"{table.caption}\n", *lines, *notes]) + "\n"


def to_latex(table: Table, label: str) -> str:
    """A ``table`` environment; needs the packages booktabs and graphicx."""
    groups, names = _latex_head(table)
    texts = _texts(table, r"\textbf{{{}}}", latex=True)
    body = [" & ".join([*map(escape, row), *cells]) + r" \\" for row, cells in zip(table.rows, texts, strict=True)]
    caption = " ".join([table.caption, *table.notes])
    return (
        "\n".join(
            [
                r"% needs \usepackage{booktabs,graphicx}",
                r"\begin{table}",
                r"\centering",
                rf"\caption{{{escape(caption)}}}",
                rf"\label{{tab:{label}}}",
                r"\resizebox{\linewidth}{!}{%",
                rf"\begin{{tabular}}{{ll{'r' * len(table.columns)}}}",
                r"\toprule",
                groups,
                names,
                r"\midrule",
                *body,
                r"\bottomrule",
                r"\end{tabular}}",
                r"\end{table}",
            ]
        )
        + "\n"
    )


def to_html(table: Table) -> str:
    """A page of its own with one column group an OOD set, best values in bold."""
    groups = "".join(f'<th colspan="{span}">{html.escape(group)}</th>' for group, span in _spans(table.columns))
    names = "".join(f"<th>{html.escape(c.name)}{ARROWS[c.direction]}</th>" for c in table.columns)
    texts = _texts(table, "<b>{}</b>")
    rows = [_html_row(row, cells) for row, cells in zip(table.rows, texts, strict=True)]
    labels = "".join(f"<th>{head}</th>" for head in table.heads)
    head = f"<tr><th></th><th></th>{groups}</tr>\n<tr>{labels}{names}</tr>"
    notes = "".join(f"<p>{html.escape(note)}</p>" for note in table.notes)
    return _PAGE.format(caption=html.escape(table.caption), head=head, body="\n".join(rows), notes=notes)


def escape(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _spans(columns: list[Column]) -> list[tuple[str, int]]:
    """(group, number of columns) of neighbouring columns of one group."""
    return [(group, len(list(members))) for group, members in groupby(column.group for column in columns)]


def _html_row(labels: tuple[str, str], cells: list[str]) -> str:
    heads = "".join(f"<th>{html.escape(label)}</th>" for label in labels)
    return f"<tr>{heads}{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _latex_head(table: Table) -> tuple[str, str]:
    spans = _spans(table.columns)
    groups = " & ".join(["", "", *(rf"\multicolumn{{{n}}}{{c}}{{{escape(group)}}}" for group, n in spans)])
    rules, first = [], 3
    for _, n in spans:
        rules.append(rf"\cmidrule(lr){{{first}-{first + n - 1}}}")
        first += n
    names = " & ".join([*table.heads, *(escape(c.name) + LATEX_ARROWS[c.direction] for c in table.columns)])
    return f"{groups} \\\\ {''.join(rules)}", f"{names} \\\\"


def _texts(table: Table, bold: str, latex: bool = False) -> list[list[str]]:
    best = [table.best(number) for number in range(len(table.columns))]
    texts = []
    for i, cells in enumerate(table.cells):
        plain = [percent(cell, table.scale) for cell in cells]
        plain = [escape(text) for text in plain] if latex else plain
        texts.append([bold.format(text) if i in best[j] else text for j, text in enumerate(plain)])
    return texts


def _literal(text: str) -> str:
    """Text whose stars and pipes stay themselves in Markdown."""
    return text.replace("*", r"\*").replace("|", r"\|")


def _pipe(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"
