"""Inputs of the specification's golden vectors, by their generators."""

import numpy as np
import torch

# JointEnergy of the ID logits of ``multi_label``.
ID_ENERGY = [
    6.824090307059462,
    6.095799696949945,
    3.196587071265761,
    1.6531051989803685,
    3.0190476506477664,
    4.093353758914724,
]


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def embeddings(batch: int, views: int, dimension: int) -> torch.Tensor:
    """(B, V, D) unit vectors, float64."""
    i, v, d = np.ogrid[:batch, :views, :dimension]
    return torch.tensor(unit(np.sin(1 + 0.7 * i + 1.3 * d + 0.31 * i * d + 0.11 * v * (d + 1))))


def prototypes(count: int, dimension: int) -> torch.Tensor:
    """(K, D) unit rows, float64."""
    j, d = np.ogrid[:count, :dimension]
    return torch.tensor(unit(np.cos(0.5 + 0.9 * j + 0.37 * d + 0.23 * j * d)))


def view_major(x: torch.Tensor) -> torch.Tensor:
    """(B, V, D) -> (V * B, D)."""
    return x.transpose(0, 1).reshape(-1, x.shape[-1])


def multi_label() -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """ID logits (6, 4), labels (6, 4) and outlier logits (5, 4), float64."""
    i, c = np.ogrid[:6, :4]
    j, _ = np.ogrid[:5, :4]
    z_id = 2 * np.sin(0.3 + 0.9 * i + 0.5 * c + 0.17 * i * c)
    labels = ((i + 2 * c) % 3 == 0).astype(np.float64)
    z_out = 1.5 * np.cos(0.2 + 0.7 * j + 0.4 * c) - 0.5
    return torch.tensor(z_id), torch.tensor(labels), torch.tensor(z_out)
