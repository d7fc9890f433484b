"""Forward passes over ID and outlier images, with batch statistics together or apart."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from methods.networks.model import Outputs


def forward_with_outliers(
    model: nn.Module,
    images: torch.Tensor,
    outliers: torch.Tensor,
    bn_mode: str,
    forward: Callable[..., Outputs] | None = None,
) -> tuple[Outputs, Outputs]:
    """Outputs of both batches, by ``forward`` where the model's own pass is compiled.

    ``mixed`` normalises them with the statistics of the joint batch. ``split_domains`` normalises each with its own
    and lets only the ID batch move the running statistics, as two devices with one domain each do.
    """
    forward = model if forward is None else forward
    if bn_mode == "mixed":
        joint = forward(torch.cat([images, outliers])).float()
        return joint.map(lambda part: part[: len(images)]), joint.map(lambda part: part[len(images) :])
    inside = forward(images).float()
    with held_running_statistics(model):
        return inside, forward(outliers).float()


@contextmanager
def held_running_statistics(model: nn.Module) -> Iterator[None]:
    """Let batch norm use batch statistics without moving the running ones."""
    norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    layers = [norm for norm in norms if norm.track_running_stats]
    for layer in layers:
        layer.track_running_stats = False
    try:
        yield
    finally:
        for layer in layers:
            layer.track_running_stats = True
