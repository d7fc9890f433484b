"""Time and memory of training."""

from collections.abc import Mapping
from typing import Any

from methods.metrics.seeds import spread
from methods.reporting.tables.parts import Column, RunRows, Table, seeds_of
from methods.reporting.tables.words import over_seeds, protocols_of, row_label

RECORD = {"title": "Cost of training", "needs": "cost"}

# Column of cost.csv -> (name in the table's CSV, heading, factor)
COSTS = {
    "seconds": ("seconds", "Seconds", 1),
    "gpu_hours": ("gpu_hours", "GPU hours", 1),
    "images_per_second": ("images_per_second", "Images/s", 1),
    "peak_process_bytes": ("peak_process_mib", "Process memory (MiB)", 2**-20),
    "peak_gpu_bytes": ("peak_gpu_mib", "GPU memory (MiB)", 2**-20),
}

_OF_GPUS = ("gpu_hours", "peak_gpu_bytes")


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Seconds, images a second and peak memory of training; differs from run to run, so it is never compared."""
    runs = [(name, [_with_hours(row) for row in rows]) for name, rows in runs]
    on_gpu = any(float(rows[0]["peak_gpu_bytes"]) > 0 for _, rows in runs)
    costs = {key: cost for key, cost in COSTS.items() if on_gpu or key not in _OF_GPUS}
    columns = [Column(name, "Training", heading, 0) for name, heading, _ in costs.values()]
    text = over_seeds(settings)
    table = Table(columns, [], [], f"{settings['caption']}. {text[0].upper()}{text[1:]}.", scale=1)
    protocols = protocols_of(settings)
    for method, label in settings["methods"]:
        for protocol in protocols:
            own = list(seeds_of(runs, method, protocol).values())
            if not own:
                continue
            table.rows.append((row_label(label, protocol, protocols), ""))
            table.cells.append(
                [spread([scale * float(rows[0][key]) for rows in own]) for key, (*_, scale) in costs.items()]
            )
    return table


def _with_hours(row: Mapping[str, str]) -> dict[str, str]:
    """A row of cost.csv with the hours of all its GPUs together; a run on the CPU used none."""
    used = float(row["peak_gpu_bytes"]) > 0
    hours = float(row["seconds"]) * int(row.get("devices", 1)) / 3600 if used else 0.0
    return {**row, "gpu_hours": repr(hours)}
