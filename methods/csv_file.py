"""Small tables as CSV text, every number in full."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd


def csv_text(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of equal keys as CSV with a header; floats in the shortest form that reads back the same."""
    return pd.DataFrame(list(rows), dtype=object).to_csv(index=False, lineterminator="\n")


def read_csv(path: str | Path) -> list[dict[str, str]]:
    """Rows of a CSV file as text."""
    rows = pd.read_csv(path, dtype=str, keep_default_na=False).to_dict(orient="records")
    return [{str(name): value for name, value in row.items()} for row in rows]
