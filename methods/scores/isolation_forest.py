"""Isolation forest (Liu et al., ICDM 2008) on logits, as in the multi-label comparison of Wang et al. (2021).

The papers fit it on logits of the validation split: ``fit_on: validation``.
Trees are no arrays: what is stored are the logits, and the forest grows from them again, the same for the same seed.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from sklearn.ensemble import IsolationForest

from methods.errors import refuse
from methods.features.arrays import Features, Readout

RECORD = {
    "title": "Isolation forest",
    "paper": "Liu et al., Isolation forest, ICDM 2008",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {
        "trees": {"type": "integer", "minimum": 1, "default": 100, "description": "trees in the forest"},
        "images_per_tree": {
            "type": "integer",
            "minimum": 2,
            "default": 256,
            "description": "random images a tree grows from; all where there are fewer",
        },
        "seed": {
            "type": "integer",
            "minimum": 0,
            "default": 42,
            "description": "seed of the forest; runs of all seeds have the same",
        },
        "fit_on": {
            "enum": ["train", "validation"],
            "default": "train",
            "description": "ID split that it is fitted on; the papers take validation",
        },
    },
}


def fit(train: Features, readout: Readout, parameters: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """Logits (M, C) of the images of ``fit_on``, in their order: the forest depends on it.

    Raises:
        ReproError: there is one image only.
    """
    logits = np.asarray(train.logits)
    refuse(len(logits) < 2, f"There are {len(logits)} ID images to fit on: an isolation forest needs at least two.")
    return {"logits": logits}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) -2^(-E[h(z)] / c(n)) of logits z (N, C); equals scikit-learn's score_samples.

    E[h(z)] is the mean depth at which the trees isolate z, c(n) the mean depth in trees of n images.
    """
    logits = fitted["logits"]
    forest = IsolationForest(
        n_estimators=parameters["trees"],
        max_samples=min(parameters["images_per_tree"], len(logits)),
        random_state=parameters["seed"],
    )
    return forest.fit(logits).score_samples(np.asarray(features.logits))
