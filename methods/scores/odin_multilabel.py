"""ODIN for several labels an image, as the released JointEnergy and EDGE evaluations define it."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.functional import binary_cross_entropy_with_logits

from methods.scores.perturbation import moved

RECORD = {
    "title": "ODIN (multi-label)",
    "paper": "Liang et al., ICLR 2018, as released with JointEnergy (Wang et al., 2021) and EDGE",
    "tasks": ["multi_label"],
    "needs": ["network", "logits"],
    "parameters": {
        "temperature": {
            "type": "number",
            "exclusiveMinimum": 0,
            "default": 1.0,
            "description": "T, by which logits are divided",
        },
        "noise": {
            "type": "number",
            "minimum": 0,
            "default": 0.0,
            "description": "size of the step on the image, in pixel values from 0 to 1",
        },
        "aggregate": {
            "enum": ["max", "sum"],
            "default": "max",
            "description": "how labels are joined, in the loss of the step and in the score",
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
    """(N,) max_c or sum_c sigmoid(z_c(x') / T), x' = x - noise * sign(grad l) / std, of normalised images x.

    l is the BCE of z (not divided by T) against 1[sigmoid(z / T) >= 1/2]: of the largest logit, or of all added up.
    """
    temperature, largest = parameters["temperature"], parameters["aggregate"] == "max"
    images = images.detach().requires_grad_()
    logits = model(images).logits
    losses = binary_cross_entropy_with_logits(logits, (logits >= 0).to(logits.dtype).detach(), reduction="none")
    top = logits.argmax(dim=1, keepdim=True)
    loss = losses.gather(1, top).squeeze(1) if largest else losses.sum(dim=1)
    with torch.no_grad():
        p = torch.sigmoid(model(moved(images, loss, parameters["noise"], std)).logits.double() / temperature)
    return p.amax(dim=1) if largest else p.sum(dim=1)
