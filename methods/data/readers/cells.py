"""Cells of 8x8 pixels, alone or as 2x2 mosaics: what the embedded readers share."""

from collections.abc import Callable, Iterable

import numpy as np


def draw(entries: Iterable[str], cell: Callable[[str], np.ndarray]) -> np.ndarray:
    """Images of all entries, (N, H, W, 3) uint8; ``cell`` maps a cell's text to its (8, 8) uint8 pixels."""
    gray = np.stack([_arrange([cell(text) for text in entry.split()]) for entry in entries])
    return np.repeat(gray[..., None], 3, axis=-1)


def _arrange(cells: list[np.ndarray]) -> np.ndarray:
    return cells[0] if len(cells) == 1 else np.block([cells[:2], cells[2:]])
