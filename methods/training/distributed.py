"""One training spread over several processes, each with a share of every batch, equal to one process with all of it.

Every process holds the whole model and draws the same random numbers. It runs the network on its own rows; outputs are
gathered, so that each computes the loss of the whole batch; batch norm takes its statistics over all processes; and
gradients of the weights, each the part that runs through a process's own rows, are summed.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from methods.networks.model import Outputs


@dataclass(frozen=True)
class Share:
    """The rows ``part`` of a batch of ``batch``."""

    batch: int
    part: slice


@dataclass(frozen=True)
class Group:
    """``size`` processes, of which this is number ``rank``; alone by default."""

    rank: int = 0
    size: int = 1

    def share(self, batch: int) -> Share:
        """This process's rows of a batch; where it does not divide, some processes have one more than others."""
        ends = self._ends(batch)
        return Share(batch, slice(ends[self.rank], ends[self.rank + 1]))

    def gather(self, outputs: Outputs, batch: int, views: int = 1) -> Outputs:
        """Outputs of the whole batch in its order, view-major, from those of each process's rows; differentiable."""
        return outputs if self.size == 1 else outputs.map(lambda part: self._gather(part, batch, views))

    def sum_gradients(self, weights: Iterable[nn.Parameter]) -> None:
        """Add up the gradients of all processes."""
        if self.size == 1:
            return
        gradients = [weight.grad for weight in weights if weight.grad is not None]
        joined = torch.cat([gradient.flatten() for gradient in gradients])
        dist.all_reduce(joined)
        for gradient, part in zip(gradients, joined.split([g.numel() for g in gradients]), strict=True):
            gradient.copy_(part.view_as(gradient))

    def share_statistics(self, model: nn.Module) -> None:
        """Let every batch norm of the model take its statistics over all processes."""
        for module in model.modules() if self.size > 1 else ():
            if isinstance(module, _BatchNorm):
                module.__class__ = SharedBatchNorm

    def _ends(self, batch: int) -> list[int]:
        return [batch * number // self.size for number in range(self.size + 1)]

    def _gather(self, rows: torch.Tensor, batch: int, views: int) -> torch.Tensor:
        counts = [end - start for start, end in pairwise(self._ends(batch))]
        by_view = rows.reshape(views, -1, *rows.shape[1:]).transpose(0, 1)  # (b, V, ...)
        whole: torch.Tensor = _Gather.apply(by_view.contiguous(), counts, self.rank)
        return whole.transpose(0, 1).reshape(views * batch, *rows.shape[1:])


ALONE = Group()


class SharedBatchNorm(_BatchNorm):
    """Batch norm whose training statistics are those of the rows of all processes (torch's own refuses the CPU)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if not self.training:
            return super().forward(x)
        wide = x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
        axes = [0, *range(2, x.ndim)]
        own = wide.new_tensor([wide.numel() / wide.shape[1]])
        totals = _Sum.apply(torch.cat([wide.sum(dim=axes), own]))
        mean, count = totals[:-1] / totals[-1], totals[-1].detach()
        shape = [1, -1, *[1] * (x.ndim - 2)]
        apart = wide - mean.view(shape)
        variance = _Sum.apply(apart.square().sum(dim=axes)) / count
        if self.track_running_stats:
            self._follow(mean.detach(), variance.detach() * count / (count - 1))
        scale = torch.rsqrt(variance + self.eps) * self.weight
        return (apart * scale.view(shape) + self.bias.view(shape)).to(x.dtype)

    def _follow(self, mean: torch.Tensor, variance: torch.Tensor) -> None:
        assert self.momentum is not None
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        self.running_mean.lerp_(mean.to(self.running_mean.dtype), self.momentum)
        self.running_var.lerp_(variance.to(self.running_var.dtype), self.momentum)
        self.num_batches_tracked.add_(1)

    def _check_input_dim(self, x: torch.Tensor) -> None:
        """Any number of dimensions from two up."""


class _Sum(torch.autograd.Function):
    """Sum over processes; what depends on it does so in all of them, so its gradient is summed too."""

    @staticmethod
    def forward(context: Any, value: torch.Tensor) -> torch.Tensor:
        total = value.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> torch.Tensor:
        total = gradient.clone()
        dist.all_reduce(total)
        return total


class _Gather(torch.autograd.Function):
    """Rows of all processes; each computes the same loss of them, so each already has the whole gradient of its own."""

    @staticmethod
    def forward(context: Any, rows: torch.Tensor, counts: list[int], rank: int) -> torch.Tensor:
        context.part = slice(sum(counts[:rank]), sum(counts[: rank + 1]))
        padded = rows.new_zeros(max(counts), *rows.shape[1:])
        padded[: len(rows)] = rows
        found = [torch.empty_like(padded) for _ in counts]
        dist.all_gather(found, padded)
        return torch.cat([part[:count] for part, count in zip(found, counts, strict=True)])

    @staticmethod
    def backward(context: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        return gradient[context.part].contiguous(), None, None
