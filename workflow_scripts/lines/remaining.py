"""How long the rest of a run may take, from measured durations alone.

A rule's jobs are taken to last as long as those of the rule that ended in this run or, before one has, as those of
earlier runs on the same benchmarks. A rule that nobody has timed is unknown, and the answer then a lower bound.
"""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from methods.files import write_text

DURATIONS = Path(".snakemake/ood-repro.durations.json")
BENCHMARKS = "OOD_REPRO_BENCHMARKS"  # names of the benchmarks that the study has, set by the Snakefile

Recorded = dict[str, dict[str, float]]  # rule -> benchmark ("" for rules without) -> mean seconds


@dataclass
class Timed:
    """Durations of one run.

    Attributes:
        recorded: durations of earlier runs.
        totals: rule -> jobs to run.
        seconds: (rule, benchmark) -> durations of the jobs that ended.
        running: job -> (rule, when it started).
        failed: rule -> jobs that ended otherwise.
        slots: rule -> (threads, GPUs) of one job, as far as one was started.
    """

    recorded: Recorded = field(default_factory=dict)
    totals: dict[str, int] = field(default_factory=dict)
    seconds: dict[tuple[str, str], list[float]] = field(default_factory=dict)
    running: dict[int, tuple[str, float]] = field(default_factory=dict)
    failed: Counter[str] = field(default_factory=Counter)
    slots: dict[str, tuple[int, int]] = field(default_factory=dict)
    cores: int = 1
    gpus: int = 0

    def mean(self, rule: str) -> float | None:
        """Seconds of one job of a rule; None if nobody knows."""
        own = [value for (name, _), values in self.seconds.items() if name == rule for value in values]
        if own:
            return sum(own) / len(own)
        earlier = self.recorded.get(rule, {})
        wanted = os.environ.get(BENCHMARKS, "").split() if "" not in earlier else [""]
        if not wanted or any(name not in earlier for name in wanted):
            return None
        return sum(earlier[name] for name in wanted) / len(wanted)

    def waiting(self) -> dict[str, int]:
        """Rule -> jobs that have not been started."""
        begun = Counter(rule for rule, _ in self.running.values()) + self.failed
        begun.update(rule for (rule, _), values in self.seconds.items() for _ in values)
        return dict(Counter(self.totals) - begun)

    def left(self, now: float) -> tuple[float, bool]:
        """(seconds, whether they are all): jobs at work and waiting.

        Their work is spread over cores and over GPUs, but takes no less than one job of each rule after the other:
        rules are stages.
        """
        parts = [(rule, 1, now - start) for rule, start in self.running.values()]
        parts += [(rule, count, 0.0) for rule, count in self.waiting().items()]
        known = [(rule, n, max(mean - spent, 0.0)) for rule, n, spent in parts if (mean := self.mean(rule)) is not None]
        work, on_gpu = 0.0, 0.0
        for rule, count, seconds in known:
            threads, gpus = self.slots.get(rule, (1, 0))
            work += count * seconds * min(threads, self.cores) / self.cores
            on_gpu += count * seconds * gpus / max(self.gpus, 1)
        stages = sum({rule: seconds for rule, _, seconds in known}.values())
        return max(work, on_gpu, stages), len(known) == len(parts)


def read_durations(path: Path = DURATIONS) -> Recorded:
    """Durations of earlier runs; none if the file is not there or is damaged, for they only serve estimates."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}


def write_durations(seconds: Mapping[tuple[str, str], list[float]], path: Path = DURATIONS) -> None:
    """Keep the mean of this run's durations for every rule and benchmark; what it did not run stays."""
    known = read_durations(path)
    for (rule, benchmark), values in seconds.items():
        known.setdefault(rule, {})[benchmark] = round(sum(values) / len(values), 3)
    write_text(path, json.dumps(known, indent=1, sort_keys=True) + "\n")


def readable(seconds: float) -> str:
    """Two units at most: ``34 s``, ``5 min 10 s``, ``2 h 3 min``, ``1 d 4 h``."""
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{whole} s"
    for name, size, small, part in (("d", 86400, "h", 3600), ("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            rest = whole % size // part
            return f"{whole // size} {name}" + (f" {rest} {small}" if rest else "")
    raise AssertionError(whole)
