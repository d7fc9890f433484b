"""Moving images a small step along the sign of a gradient: what ODIN and the Mahalanobis detector have in common."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import normalize


def moved(images: torch.Tensor, objective: torch.Tensor, noise: float, std: torch.Tensor) -> torch.Tensor:
    """x - noise * sign(gradient of ``objective``) / std, the sign of 0 being +1.

    Args:
        images: (B, 3, H, W), normalised, that ``objective`` was computed from and that ask for a gradient.
        objective: (B,) one value an image.
        noise: step, in units of pixel values from 0 to 1.
        std: (3, 1, 1) channel deviations that the images were divided by.
    """
    (gradient,) = torch.autograd.grad(objective, images, torch.ones_like(objective))
    return (images - noise * torch.where(gradient >= 0, 1.0, -1.0) / std).detach()


def squared_distances(rows: torch.Tensor, fitted: Mapping[str, np.ndarray], centre: str, unit: bool) -> torch.Tensor:
    """(B, C) squared Mahalanobis distances, float64, of (B, E) rows to the means of a fitted detector."""
    known = {key: torch.as_tensor(fitted[key], dtype=torch.float64) for key in (centre, "whitening", "whitened_means")}
    known = {key: value.to(rows.device) for key, value in known.items()}
    x = normalize(rows.double(), dim=1) if unit else rows.double()
    w, m = (x - known[centre]) @ known["whitening"], known["whitened_means"]
    return (w**2).sum(dim=1, keepdim=True) - 2 * w @ m.T + (m**2).sum(dim=1)
