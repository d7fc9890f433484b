"""Where the site finds what it shows, from path patterns that its caller gives, and the record in each file."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from methods import records
from methods.errors import ReproError
from methods.provenance import require_sidecar

# What may lie behind the metrics of a run, metrics first; a part is a data set and its split.
OF_RUN = ("metrics", "tuned", "detectors", "readout", "model")
OF_PART = ("scores", "network_scores", "features", "images")
_FORMS = {".h5": "hdf5", ".safetensors": "safetensors"}  # where the record of other files is: beside them


@dataclass(frozen=True)
class RunKey:
    """Benchmark, method, protocol and seed of a run."""

    benchmark: str
    method: str
    protocol: str
    seed: int

    @property
    def group(self) -> tuple[str, str, str]:
        """What runs of different seeds have in common."""
        return self.benchmark, self.method, self.protocol


@dataclass(frozen=True)
class Files:
    """Paths by what they hold; ``patterns`` maps that to a path with names in braces."""

    patterns: Mapping[str, str]

    def of_run(self, kind: str, run: RunKey, **more: str) -> Path:
        """The file of one run."""
        names = {"benchmark": run.benchmark, "method": run.method, "protocol": run.protocol, "seed": run.seed}
        return Path(self.patterns[kind].format(**names, evaluation=run.protocol, **more))

    def of_paper(self, kind: str, paper: str, name: str, form: str) -> Path:
        """One form of a table or figure."""
        return Path(f"{self.patterns[kind].format(paper=paper, name=name)}.{form}")

    def behind(self, run: RunKey, parts: Iterable[tuple[str, str]], render: str) -> Iterator[tuple[Path, dict]]:
        """(path, record of its origin) of every file behind a run's metrics that lies there, metrics first."""
        paths = [self.of_run(kind, run) for kind in OF_RUN]
        found = list(parts)
        for kind in OF_PART:
            paths += [self.of_run(kind, run, dataset=name, split=split, render=render) for name, split in found]
        for path in paths:
            if (record := read_record(path)) is not None:
                yield path, record


def read_record(path: Path) -> dict[str, Any] | None:
    """The record of its origin in a file or beside it, without reading the content; None where there is none.

    A damaged file has none here: to find it is what `snakemake verify` is for, and a page should not fail over it.
    """
    try:
        found: dict[str, Any] = records.parsed_record(path, _FORMS.get(path.suffix, "sidecar"))
    except ReproError:
        return None
    return found


def checked_record(path: Path) -> dict[str, Any]:
    """The record beside a text or picture, whose content must be what the record says."""
    return require_sidecar(path)
