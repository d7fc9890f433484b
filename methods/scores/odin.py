"""ODIN (Liang et al., ICLR 2018): tempered softmax of an image moved towards confidence."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from methods.scores.perturbation import moved

RECORD = {
    "title": "ODIN",
    "paper": "Liang et al., Enhancing the reliability of out-of-distribution image detection, ICLR 2018",
    "tasks": ["single_label"],
    "needs": ["network", "logits"],
    "parameters": {
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 1000.0,
            "description": "T, by which logits are divided before the softmax",
        },
        "noise": {
            "type": "number",
            "minimum": 0,
            "default": 0.0014,
            "description": "size of the step on the image, in pixel values from 0 to 1",
        },
    },
}


def network_score(
    model: nn.Module,
    images: torch.Tensor,
    fitted: Mapping[str, np.ndarray],
    parameters: Mapping[str, Any],
    std: torch.Tensor,
) -> torch.Tensor:
    """(N,) max softmax(z(x') / T), x' = x - noise * sign(grad CE(z / T, argmax z)) / std, of normalised images x."""
    temperature = parameters["temperature"]
    images = images.detach().requires_grad_()
    logits = model(images).logits
    loss = cross_entropy(logits / temperature, logits.argmax(dim=1), reduction="none")
    with torch.no_grad():
        tempered = model(moved(images, loss, parameters["noise"], std)).logits.double() / temperature
    return tempered.softmax(dim=1).amax(dim=1)
