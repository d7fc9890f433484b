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
            "description": "which labels are summed: all, the largest, or the k largest",
        },
        "k": {"type": "integer", "minimum": 1, "description": "k, how many labels topk sums; given with topk alone"},
    },
}

_FACTORS = 512  # of at most 2 each: their product is finite


def score(features: Features, fitted: Mapping[str, np.ndarray], parameters: Mapping[str, Any]) -> np.ndarray:
    """(N,) sum_c log(1 + exp z_c) of logits z (N, C); or the largest term, or the sum of the k largest.

    Raises:
        ReproError: topk without k, k without topk, or k above the number of labels.
    """
    z = np.asarray(features.logits, dtype=np.float64)
    aggregate, k, labels = parameters["aggregate"], parameters.get("k"), z.shape[1]
    refuse(
        (k is None) == (aggregate == "topk"),
        f"JointEnergy has aggregate {aggregate!r} and k {k}: topk needs a k, sum and max take none.",
    )
    if aggregate == "sum":
        return total_energy(z)
    k = 1 if k is None else k
    refuse(k > labels, f"JointEnergy asks for the {k} largest of {labels} labels: choose k of at most {labels}.")
    largest = np.partition(z, labels - k, axis=1)[:, labels - k :]  # energies rise with logits
    return np.asarray(np.logaddexp(0, largest).sum(axis=1))


def total_energy(z: np.ndarray) -> np.ndarray:
    """(N,) sum_c log(1 + exp z_c) of float64 logits (N, C).

    log(1 + exp z) is max(z, 0) + log(1 + exp -|z|), and the logarithms of a row are that of one product, whose factors
    lie between 1 and 2: less than half the time of one logarithm a logit. Where that rounds away what counts, in sums
    below 0.01, every term is taken by itself.
    """
    total = np.maximum(z, 0).sum(axis=1)
    for start in range(0, z.shape[1], _FACTORS):
        factors = np.exp(-np.abs(z[:, start : start + _FACTORS])) + 1
        total += np.log(factors.prod(axis=1))
    small = total < 0.01
    total[small] = np.logaddexp(0, z[small]).sum(axis=1)
    return np.asarray(total)
