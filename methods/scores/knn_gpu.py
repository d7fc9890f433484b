"""The exact search of the KNN score on a GPU: tiles of a matrix product, and topk of each.

Apart from the score, so that torch is imported only where there is a GPU.
"""

import numpy as np
import torch

from methods.features.rows import Array, blocks
from methods.metrics.vectors import unit_rows

_QUERIES = 4096  # rows a tile
_BANK = 65536  # columns a tile: 1 GiB of products in float32


def largest_cosines(queries: np.ndarray, bank: Array, count: int, device: str = "cuda") -> np.ndarray:
    """(N, count) largest cosines of each unit row of ``queries`` with the rows of ``bank``, in float32 arithmetic.

    Args:
        queries: (N, E) unit rows.
        bank: (M, E) training features, read once, a piece at a time; M is at least ``count``.
        count: how many.
        device: as torch names it.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    rows = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
    kept = rows.new_full((len(rows), count), -torch.inf)
    for _, piece in blocks(bank, _BANK):
        columns = torch.from_numpy(unit_rows(piece.astype(queries.dtype, copy=False))).to(device).T
        for start in range(0, len(rows), _QUERIES):
            part = slice(start, start + _QUERIES)
            kept[part] = torch.cat([kept[part], rows[part] @ columns], dim=1).topk(count, dim=1).values
    return kept.cpu().numpy()
