"""SHE (Zhang et al., ICLR 2023): inner product with the stored pattern of the predicted class."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features, Readout
from methods.features.rows import blocks
from methods.scores.linear import classifier, logits
from methods.scores.moments import as_float64, class_sums

RECORD = {
    "title": "SHE",
    "paper": "Zhang et al., OOD detection based on data patterns memorization with modern Hopfield energy, ICLR 2023",
    "tasks": ["single_label"],
    "needs": ["embedding", "classifier"],
    "parameters": {},
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Classifier and patterns (C, E): mean training feature of each class, of the correctly classified images.

    Raises:
        ReproError: a class has no correctly classified image.
    """
    linear = classifier(readout)
    classes, width = linear["weight"].shape
    sums, counts = np.zeros((classes, width)), np.zeros(classes, dtype=np.int64)
    for part, block in blocks(train.embedding):
        guess = logits(block, linear).argmax(axis=1)
        right = guess == train.labels[part]
        sums += class_sums(as_float64(block[right]), guess[right], classes)
        counts += np.bincount(guess[right], minlength=classes)
    empty = ", ".join(map(str, np.flatnonzero(counts == 0)[:5]))
    none = f"No ID training image of class {empty} ({(counts == 0).sum()} of {classes}) is classified correctly"
    refuse(bool(empty), f"{none}: SHE has no pattern for it; train longer, or leave the score out.")
    return {**linear, "patterns": sums / counts[:, None]}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) h' S_c of features h (N, E), c the predicted class."""
    guess = logits(features.embedding, fitted).argmax(axis=1)
    return np.einsum("ne,ne->n", as_float64(features.embedding), fitted["patterns"][guess])
