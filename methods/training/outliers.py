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
    head_twice: bool = False,
) -> tuple[Outputs, Outputs]:
    """Outputs of both batches, by ``forward`` where the model's own pass is compiled.

    ``mixed`` normalises them with the statistics of the joint batch. ``split_domains`` normalises each with its own
    and lets only the ID batch move the running statistics, as two devices with one domain each do. With
    ``head_twice`` the head sees the ID features once more, as in EDGE's release, which moves its running statistics
    again and nothing else.
    """
    forward = model if forward is None else forward
    if bn_mode == "mixed":
        joint = forward(torch.cat([images, outliers])).float()
        inside, outside = joint.map(lambda part: part[: len(images)]), joint.map(lambda part: part[len(images) :])
    else:
        inside = forward(images).float()
        with held_running_statistics(model):
            outside = forward(outliers).float()
    if head_twice:
        with torch.no_grad():
            model.get_submodule("head")(inside.pooled)
    return inside, outside


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
