"""Print a paper's main tables and say where its files lie: `python -m workflow_scripts.show demo`."""

import json
import sys
from pathlib import Path

from methods.csv_file import read_csv
from methods.reporting.tables.detection import shown_sets
from methods.settings.schema import ROOT, load_yaml

_MOST_ROWS = 16


def main(paper: str) -> None:
    results = Path(load_yaml(ROOT / "config.yaml")["results"]["folder"])
    folder = results / "papers" / paper
    for record in sorted((folder / "tables").glob("*.csv.provenance.json"), reverse=True):
        entry = json.loads(record.read_text(encoding="utf-8"))["settings"]
        if entry["kind"] == "main":
            table = Path(str(record).removesuffix(".provenance.json"))
            _show(entry, table, _rows(entry, table))
    print(f"\nTables with standard deviations: {folder}/tables (csv, md, tex, html)")
    print(f"Figures: {folder}/figures (svg, pdf)\nReport: {folder}/report.html")


def _show(entry: dict, table: Path, rows: list[list[str]]) -> None:
    if len(rows) > _MOST_ROWS:
        print(f"\n{entry['caption']}: {len(rows) - 1} rows, see {table.with_suffix('.md')}")
        return
    print(f"\n{entry['caption']}: {'/'.join(entry['metrics'])} in percent, mean over seeds {entry['seeds']}")
    print(_text(rows))


def _rows(entry: dict, path: Path) -> list[list[str]]:
    """One column an OOD set or group, its metrics joined by slashes."""
    keys = [f"set:{name}" for name in shown_sets(entry)] + [f"group:{group}" for group in entry["groups"]]
    head = ["method", "score", "ID", *(key.split(":")[1].replace("_", " ") for key in keys)]
    return [head] + [
        [row["method"], row["score"], _percent(row["id:mean"])]
        + ["/".join(_percent(row[f"{key}:{metric}:mean"]) for metric in entry["metrics"]) for key in keys]
        for row in read_csv(path)
    ]


def _percent(text: str) -> str:
    try:
        return f"{100 * float(text):.1f}"
    except ValueError:
        return text


def _text(rows: list[list[str]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


if __name__ == "__main__":
    main(sys.argv[1])
