"""All generated pages of docs/reference: `python -m methods.reporting.reference_pages docs/reference`."""

import sys
from pathlib import Path

from methods.data.catalog import load_catalog, load_weights
from methods.files import write_text
from methods.reporting import catalog_page, method_page, metric_page, schema_page, score_page, target_page


def pages() -> dict[str, str]:
    """Name of the file -> its text."""
    return {
        "config.md": schema_page.config_page(),
        "papers.md": schema_page.paper_page(),
        "datasets.md": catalog_page.page(load_catalog(), load_weights()),
        "methods.md": method_page.page(),
        "scores.md": score_page.page(),
        "metrics.md": metric_page.page(),
        "targets.md": target_page.page(),
    }


def write(folder: Path) -> None:
    """Write every page, each whole or not at all."""
    for name, text in pages().items():
        write_text(folder / name, text)


if __name__ == "__main__":
    write(Path(sys.argv[1]))
