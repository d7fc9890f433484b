"""Classifier and prototypes of a model file, without building the network."""

from collections.abc import Mapping

import numpy as np

from methods.features.arrays import Readout

NAMES = {
    "weight": "head.classifier.weight",
    "bias": "head.classifier.bias",
    "prototypes": "objective.prototypes",
    "prototype_classes": "objective.prototype_classes",
}


def readout_of(tensors: Mapping[str, np.ndarray]) -> Readout:
    """Those of classifier weight and bias, prototypes and their classes that the model has."""
    return Readout(**{field: tensors[name] for field, name in NAMES.items() if name in tensors})
