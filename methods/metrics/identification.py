"""How well a model knows its own classes: accuracy, and mean average precision for several labels an image."""

import numpy as np

from methods.errors import refuse
from methods.metrics.counts import average_precision, count, trapezoid_precision
from methods.metrics.vectors import unit_rows

MAP_RULES = {"average_precision": average_precision, "trapezoid": trapezoid_precision}


def accuracy(predicted: np.ndarray, labels: np.ndarray) -> float:
    """Share of (N,) predictions that equal the (N,) labels."""
    refuse(len(labels) == 0, "There are no labels: accuracy needs at least one image.")
    return float((predicted == labels).mean())


def nearest_class_mean(embedding: np.ndarray, train: np.ndarray, train_labels: np.ndarray) -> np.ndarray:
    """(N,) class whose mean of normalised training embeddings has the largest inner product with each row.

    Args:
        embedding: (N, D), normalised here.
        train: (M, D), normalised here.
        train_labels: (M,) classes from 0.
    """
    f, g = unit_rows(embedding), unit_rows(train)
    classes = np.unique(train_labels)
    means = np.stack([g[train_labels == c].mean(axis=0) for c in classes])
    return classes[(f @ means.T).argmax(axis=1)]


def nearest_prototype(projection: np.ndarray, prototypes: np.ndarray, prototype_classes: np.ndarray) -> np.ndarray:
    """(N,) class of the prototype with the largest inner product with each row of (N, D)."""
    return prototype_classes[(projection @ prototypes.T).argmax(axis=1)]


def mean_average_precision(scores: np.ndarray, labels: np.ndarray, rule: str = "average_precision") -> float:
    """Mean over the classes that have positives and negatives of the area under precision over recall.

    Args:
        scores: (N, C), any monotone function of the logits.
        labels: (N, C) multi-hot.
        rule: ``average_precision`` or ``trapezoid``.

    Raises:
        ReproError: no class has both positives and negatives.
    """
    truth, usable = labels.astype(bool), rankable_classes(labels)
    refuse(not usable.any(), "No class has positive and negative images: mean average precision is undefined.")
    areas = [MAP_RULES[rule](count(scores[truth[:, c], c], scores[~truth[:, c], c])) for c in np.flatnonzero(usable)]
    return float(np.mean(areas))


def rankable_classes(labels: np.ndarray) -> np.ndarray:
    """(C,) which classes of multi-hot labels (N, C) have images with and without them."""
    truth = labels.astype(bool)
    return np.asarray(truth.any(axis=0) & ~truth.all(axis=0))
