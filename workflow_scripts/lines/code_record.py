"""Which code stood behind a digest, so that a dry run can name the module that was changed."""

import json
import sys
from pathlib import Path

from methods.files import write_text
from workflow_scripts.lines.why import Closures

CODE = Path(".snakemake/ood-repro.code.json")


def known_closures(path: Path = CODE) -> Closures:
    """Digest -> module -> hash of its code, of earlier runs and of this one as far as it has asked for digests."""
    return _Closures(_recorded(path))


class _Closures(dict):
    """Recorded digests; of others, those that this process has computed by now."""

    def __contains__(self, digest: object) -> bool:
        return super().__contains__(digest) or digest in computed()

    def __getitem__(self, digest: str) -> dict[str, str]:
        return super().__getitem__(digest) if super().__contains__(digest) else computed()[digest]


def computed() -> dict[str, dict[str, str]]:
    """Those of this process; the Snakefile has imported the module that keeps them."""
    return getattr(sys.modules.get("methods.source_digest"), "CLOSURES", {})


def write_closures(path: Path = CODE) -> None:
    """Add what this process has computed to what earlier runs have recorded."""
    write_text(path, json.dumps({**_recorded(path), **computed()}, indent=1, sort_keys=True) + "\n")


def _recorded(path: Path) -> dict[str, dict[str, str]]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
