"""JointEnergy (Wang et al., NeurIPS 2021): energies of all labels added up, or of the most likely ones.

``max`` ranks images as MaxLogit does. ``topk`` has k = 20 in the released JointEnergy and k = 1 in the released EDGE.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from methods.errors import refuse
from methods.features.arrays import Features

RECORD = {
    "title": "JointEnergy",
    "paper": "Wang et al., Can multi-label classification networks know what they don't know?, NeurIPS 2021",
    "tasks": ["multi_label"],
    "needs": ["logits"],
    "parameters": {
        "aggregate": {
            "enum": ["sum", "max", "topk"],
            "default": "sum",
            "description": "over all labels, the largest, or the k largest",
        },
        "k": {"type": "integer", "minimum": 1, "description": "labels of topk, and of nothing else"},
    },
}


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) sum_c log(1 + exp z_c) of logits z (N, C); or the largest term, or the sum of the k largest.

    Raises:
        ReproError: topk without k, k without topk, or k above the number of labels.
    """
    energies = np.logaddexp(0, np.asarray(features.logits, dtype=np.float64))
    aggregate, k, labels = parameters["aggregate"], parameters.get("k"), energies.shape[1]
    refuse(
        (k is None) == (aggregate == "topk"),
        f"JointEnergy has aggregate {aggregate!r} and k {k}: topk needs a k, sum and max take none.",
    )
    if aggregate == "sum":
        return energies.sum(axis=1)
    k = 1 if k is None else k
    refuse(k > labels, f"JointEnergy asks for the {k} largest of {labels} labels: choose k of at most {labels}.")
    return np.partition(energies, labels - k, axis=1)[:, labels - k :].sum(axis=1)
