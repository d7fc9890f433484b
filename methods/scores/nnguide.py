"""NNGuide (Park et al., ICCV 2023): energy times the mean similarity to the nearest training features."""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.features.rows import blocks
from methods.scores.linear import classifier, energy
from methods.scores.moments import normalised

RECORD = {
    "title": "NNGuide",
    "paper": "Park et al., Nearest neighbor guidance for out-of-distribution detection, ICCV 2023",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {
        "k": {
            "type": "integer",
            "minimum": 1,
            "default": 10,
            "description": "k, nearest neighbours in the bank whose mean counts",
        },
        "share": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 0.01,
            "description": "alpha, how much of the training set is in the bank",
        },
        "seed": {"type": "integer", "minimum": 0, "default": 0, "description": "seed of the draw of the bank"},
    },
}

_ROWS = 1024  # queries a matrix product


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier and bank (M, E): unit training features, each times its energy.

    Raises:
        ReproError: the bank has fewer than k images.
    """
    linear, chosen = classifier(readout), drawn(train.sample_ids, parameters["share"], parameters["seed"])
    k, size = parameters["k"], len(chosen)
    refuse(k > size, f"NNGuide asks for {k} neighbours in a bank of {size}: choose a smaller k or a larger share.")
    inside = np.zeros(len(train.sample_ids), dtype=bool)
    inside[chosen] = True
    found = [block[inside[part]] for part, block in blocks(train.embedding)]
    return {**linear, "bank": np.concatenate([normalised(h) * energy(h, linear)[:, None] for h in found])}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) E(h) times the mean of the k largest <h/|h|, E(b) b/|b|> over the bank's b; E is the energy."""
    k, bank, h = parameters["k"], fitted["bank"], normalised(features.embedding)
    parts = np.array_split(h, -(-len(h) // _ROWS))
    nearest = [np.partition(part @ bank.T, len(bank) - k, axis=1)[:, len(bank) - k :].mean(axis=1) for part in parts]
    return energy(features.embedding, fitted) * np.concatenate(nearest)


def drawn(ids: tuple[str, ...], share: float, seed: int) -> np.ndarray:
    """Places of a random share of ``ids`` (rounded up): of the same names, wherever they stand."""
    order = np.array(sorted(range(len(ids)), key=ids.__getitem__))
    return order[np.random.default_rng(seed).permutation(len(ids))[: math.ceil(share * len(ids))]]
