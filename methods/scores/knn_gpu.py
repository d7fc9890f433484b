"""The exact search of the KNN score on a GPU: tiles of a matrix product, and topk of each.

Apart from the score, so that torch is imported only where there is a GPU.
"""

from functools import partial

import numpy as np
import torch

from methods.features.rows import Array, blocks
from methods.memory import with_smaller_batches
from methods.metrics.vectors import unit_rows

_QUERIES = 4096  # rows a tile
_BANK = 65536  # columns a tile: 1 GiB of products in float32


def available() -> bool:
    """Whether torch, too, finds the GPU."""
    return torch.cuda.is_available()


def largest_cosines(queries: np.ndarray, bank: Array, count: int, device: str = "cuda") -> np.ndarray:
    """(N, count) largest cosines of each unit row of ``queries`` with the rows of ``bank``, in float32 arithmetic.

    Args:
        queries: (N, E) unit rows.
        bank: (M, E) training features, read once, a piece at a time; M is at least ``count``.
        count: how many.
        device: as torch names it.

    Raises:
        ReproError: not even the queries and the smallest tile fit into its memory.
    """
    torch.backends.cuda.matmul.allow_tf32 = False
    search = partial(_largest, queries, bank, count, device)
    return with_smaller_batches(search, _QUERIES, "search of nearest neighbours", torch.device(device))


def _largest(queries: np.ndarray, bank: Array, count: int, device: str, height: int) -> np.ndarray:
    """The search in tiles of ``height`` rows, and columns in proportion."""
    rows = torch.from_numpy(np.ascontiguousarray(queries)).to(device)
    kept = rows.new_full((len(rows), count), -torch.inf)
    for _, piece in blocks(bank, max(_BANK * height // _QUERIES, 1)):
        columns = torch.from_numpy(unit_rows(piece.astype(queries.dtype, copy=False))).to(device).T
        for start in range(0, len(rows), height):
            part = slice(start, start + height)
            kept[part] = torch.cat([kept[part], rows[part] @ columns], dim=1).topk(count, dim=1).values
    return kept.cpu().numpy()
