"""How a table says which scores were tuned, on what, and what was chosen."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

MARK = "†"

Rows = Sequence[Mapping[str, str]]


def is_tuned(runs: Sequence[Rows], score: str) -> bool:
    """Whether rows of metrics.csv say that a score was tuned; ``runs`` are those of one method, one a seed."""
    return any(_chosen(rows, score) for rows in runs)


def tuned_note(score: str, label: str, method: str, runs: Mapping[int, Rows], sets: Sequence[str]) -> str:
    """What was chosen in the runs of one method (seed -> rows of metrics.csv), as a note under a table."""
    by_seed = {seed: _chosen(rows, score) for seed, rows in runs.items()}
    texts = {seed: ", ".join(f"{row['target']} = {row['value']}" for row in rows) for seed, rows in by_seed.items()}
    metric = {"auroc": "AUROC", "fpr95": "FPR95"}[next(iter(by_seed.values()))[0]["rule"]]
    if len(set(texts.values())) == 1:
        values = next(iter(texts.values()))
    else:
        values = "; ".join(f"{text} (seed {seed})" for seed, text in texts.items())
    return f"{MARK} {label}, {method}: {values}, chosen by mean {metric} of ID validation against {' and '.join(sets)}."


def untuned_notes(untuned: Sequence[tuple[str, Mapping[str, Any]]]) -> Iterator[str]:
    """Notes on scores that would be tuned if the benchmark had an OOD validation set here: (label, fixed values)."""
    for label, fixed in untuned:
        values = ", ".join(f"{key} = {v if isinstance(v, str) else json.dumps(v)}" for key, v in fixed.items())
        yield f"{label} is not tuned, there is no OOD validation set: {values}."


def _chosen(rows: Rows, score: str) -> list[Mapping[str, str]]:
    return [row for row in rows if row["level"] == "tuned" and row["score"] == score]
