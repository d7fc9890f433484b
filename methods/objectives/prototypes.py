"""Prototypes on the sphere: assignment, pruning and contrast, shared by the prototype methods.

Shapes: N rows of embeddings z (N, D) and K = C * M prototypes (K, D), all of unit length. Prototype j belongs
to class j mod C (class varies fastest).
"""

import torch
from torch.nn.functional import normalize

_TINY = 1e-12


def initial_prototypes(
    classes: int, per_class: int, dimension: int, kind: str, generator: torch.Generator
) -> torch.Tensor:
    """(C * M, D) unit rows; ``uniform01`` lies in the positive orthant as the released code has it."""
    draw = torch.rand if kind == "uniform01" else torch.randn
    return normalize(draw(classes * per_class, dimension, generator=generator), dim=1)


def sinkhorn(cosine: torch.Tensor, epsilon: float, rounds: int) -> torch.Tensor:
    """Soft assignment (N, K) of embeddings to all prototypes by their cosines (N, K); rows sum to 1 over all K.

    Each round scales prototypes, then samples, to equal mass (ADAPT and PALM, equal-partition constraint). The scales
    are kept as vectors, so that a round reads the matrix twice and writes it never.
    """
    wide = cosine.float() if cosine.dtype in (torch.float16, torch.bfloat16) else cosine  # e^20 is no half
    kernel = torch.exp(wide / epsilon)
    samples, count = kernel.shape
    rows, columns = kernel.new_ones(samples) / kernel.sum(), kernel.new_ones(count)
    with torch.autocast(cosine.device.type, enabled=False):  # products of the kernel in half precision overflow
        for _ in range(rounds):
            columns = columns / (columns * (rows @ kernel)).clamp_min(_TINY) / count
            rows = rows / (rows * (kernel @ columns)).clamp_min(_TINY) / samples
    return kernel.mul_(columns).mul_(rows[:, None] * samples)


def own_columns(labels: torch.Tensor, classes: int, per_class: int) -> torch.Tensor:
    """(N, M) indices of the prototypes of each row's class."""
    return labels[:, None] + classes * torch.arange(per_class, device=labels.device)


def top_own(assignment: torch.Tensor, own: torch.Tensor, top_k: int) -> torch.Tensor:
    """(N, min(k, M)) columns of the ``top_k`` largest own-class assignments of each row."""
    best = assignment.gather(1, own).topk(min(top_k, own.shape[1]), dim=1).indices
    return own.gather(1, best)


def row_weights(assignment: torch.Tensor, columns: torch.Tensor) -> torch.Tensor:
    """(N, k) assignments at ``columns``, each row scaled to sum 1."""
    chosen = assignment.gather(1, columns)
    return chosen / chosen.sum(dim=1, keepdim=True).clamp_min(_TINY)


def column_weights(weights: torch.Tensor) -> torch.Tensor:
    """(N, K) weights, each column scaled to sum 1: a prototype moves by a mean, however many samples it gets (PALM)."""
    return weights / weights.sum(dim=0, keepdim=True).clamp_min(_TINY)


def spread(weights: torch.Tensor, columns: torch.Tensor, count: int) -> torch.Tensor:
    """(N, K) matrix with ``weights`` (N, k) at ``columns`` and zeros elsewhere."""
    return weights.new_zeros(len(weights), count).scatter(1, columns, weights)


def prototype_contrast(prototypes: torch.Tensor, temperature: torch.Tensor | float, classes: int) -> torch.Tensor:
    """Pull prototypes of a class together and push classes apart (ADAPT section (h), PALM).

    With one prototype a class there is no positive; its term is taken as zero (our definition).
    """
    per_class = len(prototypes) // classes
    similarity = (prototypes @ prototypes.T / temperature).fill_diagonal_(-torch.inf)
    normaliser = similarity.logsumexp(dim=1)
    if per_class == 1:
        return normaliser.mean()
    by_class = prototypes.view(per_class, classes, -1)  # the cosines of a class, all at once, without its own
    cosines = prototypes.square().sum() - by_class.sum(dim=0).square().sum()
    return normaliser.mean() + cosines / (temperature * (per_class - 1) * len(prototypes))
