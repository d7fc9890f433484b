"""Training with less memory: what a block of the network computed is computed again when its gradient is due.

Only the inputs of blocks are kept. The second pass sees the same weights, inputs and batch statistics, so gradients are
the same bit for bit where the kernels are deterministic; running statistics are moved by the first pass alone. No
network here draws random numbers in its forward pass.
"""

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial

import torch
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recompute_blocks(backbone: nn.Module) -> int:
    """Let every block of ``backbone`` be computed again in the backward pass; returns their number.

    Names of tensors stay, and so do passes without gradients.
    """
    found = list(blocks(backbone))
    for block in found:
        block.forward = partial(_run, block, block.forward)
    return len(found)


def blocks(backbone: nn.Module) -> Iterator[nn.Module]:
    """Members of the network's sequences that have parts of their own and are no sequence."""
    for sequence in backbone.modules():
        if isinstance(sequence, nn.Sequential):
            yield from (m for m in sequence if not isinstance(m, nn.Sequential) and any(m.children()))


def _run(block: nn.Module, forward: Callable[[torch.Tensor], torch.Tensor], x: torch.Tensor) -> torch.Tensor:
    if not torch.is_grad_enabled():
        return forward(x)
    found: torch.Tensor = checkpoint(
        forward, x, use_reentrant=False, preserve_rng_state=False, context_fn=partial(_contexts, block)
    )
    return found


def _contexts(block: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Around the first pass and around the second."""
    norms = [module for module in block.modules() if isinstance(module, _BatchNorm)]
    return nullcontext(), _second_pass({norm: norm.track_running_stats for norm in norms})


@contextmanager
def _second_pass(tracked: Mapping[_BatchNorm, bool]) -> Iterator[None]:
    """Batch norms follow their statistics, or not, as in the first pass; on copies that are thrown away."""
    now = {norm: norm.track_running_stats for norm in tracked}
    own = {norm: dict(norm.named_buffers(recurse=False)) for norm in tracked}
    try:
        for norm, follows in tracked.items():
            norm.track_running_stats = follows
            _replace(norm, {name: buffer.clone() for name, buffer in own[norm].items()})
        yield
    finally:
        for norm, follows in now.items():
            norm.track_running_stats = follows
            _replace(norm, own[norm])


def _replace(module: nn.Module, buffers: Mapping[str, torch.Tensor]) -> None:
    for name, buffer in buffers.items():
        setattr(module, name, buffer)
