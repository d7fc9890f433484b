"""Methods and scores by their average rank over OOD sets."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.metrics.ranks import average_ranks, critical_difference
from methods.metrics.seeds import LEAST, Spread, spread
from methods.reporting.tables import main
from methods.reporting.tables.parts import METRICS, Column, RunRows, Table

RECORD = {"title": "Average ranks over OOD sets", "needs": "metrics", "least_seeds": 3, "column_a_set": True}


def make(settings: Mapping[str, Any], runs: RunRows) -> Table:
    """Average rank of each method and score over the OOD sets that are here, with Nemenyi's critical difference.

    Raises:
        ReproError: fewer than three seeds or sets, or fewer than two methods.
    """
    whole = main.make({**settings, "groups": []}, runs)
    shown = [i for i, column in enumerate(whole.columns) if column.key.startswith("set:")]
    cells = [[cell for i in shown if isinstance(cell := row[i], Spread)] for row in whole.cells]
    seeds = min((cell.count for row in cells for cell in row), default=0)
    refuse(seeds < LEAST, f"The table {settings['caption']!r} compares by ranks, needs {LEAST} seeds and has {seeds}.")
    means = np.array([[cell.mean for cell in row] for row in cells]).T
    ranks = average_ranks(means, whole.columns[shown[0]].direction)
    difference = critical_difference(means.shape[1], means.shape[0])
    metric = METRICS[settings["metrics"][0]][0]
    caption = f"{whole.caption} Average rank of {metric} over {len(means)} OOD sets, 1 = best."
    note = f"Average ranks that differ by less than {difference:.2f} (Nemenyi, 5 %) are not told apart."
    column = Column(f"rank:{settings['metrics'][0]}", "Rank", metric, 0)
    cells_of_ranks: list[list[Spread | str]] = [[spread([float(rank)])] for rank in ranks]
    return Table([column], whole.rows, cells_of_ranks, caption, [*whole.notes, note], scale=1)
