"""A finished table as LaTeX: to be read into a paper with \\input, or compiled alone."""

from methods.reporting.layout import all_notes, marked_texts, shown, spans
from methods.reporting.tables.parts import Column, Table

ARROWS = {1: r"~$\uparrow$", -1: r"~$\downarrow$", 0: ""}
MARKS = {"best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
_LONG = 45  # rows that no longer fit on a page
_NAMES = "alpha beta gamma delta epsilon eta theta kappa lambda mu nu rho sigma tau phi omega"
_GREEK = zip("αβγδεηθκλμνρστφω", _NAMES.split(), strict=True)  # of labels such as "τ = 0.5"
_ESCAPES = {c: f"\\{c}" for c in "&%$#_{}"} | {
    **{letter: rf"$\{name}$" for letter, name in _GREEK},
    "±": r"$\pm$",
    "−": r"$-$",
    "†": r"\textdagger{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "[": "{[}",
    "\\": r"\textbackslash{}",
}

# In a paper, where the document has begun, \oodreproend is empty; alone, the file begins a document and ends it.
_ALONE = r"""% Read it in with \input (the preamble needs booktabs, graphicx and longtable), or compile it alone.
\makeatletter
\ifx\@nodocument\relax
  \makeatother\gdef\oodreproend{}
\else
  \makeatother\gdef\oodreproend{\end{document}}
  \documentclass{article}
  \usepackage[margin=1.5cm]{geometry}
  \usepackage{booktabs,graphicx,longtable}
  \begin{document}
\fi"""


def to_latex(table: Table, label: str) -> str:
    """A ``table`` environment or, for more rows than fit on a page, a ``longtable``."""
    cells = marked_texts(table, MARKS, escape)
    body = [" & ".join([*map(escape, row), *own]) + r" \\" for row, own in zip(table.rows, cells, strict=True)]
    caption = rf"\caption{{{escape(' '.join([table.caption, *all_notes(table)]))}}}"
    layout = "l" * len(table.heads) + "".join("l" if column.words else "r" for column in shown(table))
    build = _long if len(body) > _LONG else _short
    lines = build(layout, [caption, rf"\label{{tab:{label}}}"], _head(table), body)
    return "\n".join([_ALONE, *lines, r"\oodreproend"]) + "\n"


def escape(text: str) -> str:
    """Text with LaTeX's special characters escaped."""
    return "".join(_ESCAPES.get(character, character) for character in text)


def _short(layout: str, caption: list[str], head: list[str], body: list[str]) -> list[str]:
    return [
        r"\begin{table}",
        r"\centering",
        *caption,
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",  # too wide: shrunk; never blown up
        rf"\begin{{tabular}}{{{layout}}}",
        r"\toprule",
        *head,
        r"\midrule",
        *body,
        r"\bottomrule",
        r"\end{tabular}}",
        r"\end{table}",
    ]


def _long(layout: str, caption: list[str], head: list[str], body: list[str]) -> list[str]:
    begin = rf"\begin{{longtable}}{{{layout}}}"
    return [
        r"{\scriptsize\setlength{\tabcolsep}{3pt}",
        begin,
        "".join(caption) + r"\\",
        r"\toprule",
        *head,
        r"\midrule",
        r"\endfirsthead",
        r"\toprule",
        head[-1],
        r"\midrule",
        r"\endhead",
        *body,
        r"\bottomrule",
        r"\end{longtable}}",
    ]


def _head(table: Table) -> list[str]:
    """The line of groups with its rules, unless no column has a group, and the line of names."""
    columns, labels = shown(table), len(table.heads)
    names = " & ".join([*table.heads, *(escape(c.name) + ARROWS[c.direction] for c in columns)])
    lines = [_groups(columns, labels)] if any(column.group for column in columns) else []
    return [*lines, f"{names} \\\\"]


def _groups(columns: list[Column], labels: int) -> str:
    found = spans(columns)
    titles = " & ".join([*[""] * labels, *(rf"\multicolumn{{{n}}}{{c}}{{{escape(group)}}}" for group, n in found)])
    rules, first = [], labels + 1
    for _, n in found:
        rules.append(rf"\cmidrule(lr){{{first}-{first + n - 1}}}")
        first += n
    return f"{titles} \\\\ {''.join(rules)}"
