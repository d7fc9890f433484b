"""Which images make a batch."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import torch

from methods.training.randomness import generator


def epoch_batches(count: int, batch: int, seed: int, epoch: int, drop_last: bool) -> list[torch.Tensor]:
    """Index tensors of one shuffled pass over ``count`` images; the last is smaller unless it is dropped."""
    order = torch.randperm(count, generator=generator(seed, "order", epoch))
    batches = list(order.split(batch))
    return batches[:-1] if drop_last and len(batches[-1]) < batch and len(batches) > 1 else batches


def drops_last(switches: Mapping[str, Any]) -> bool:
    """Whether a smaller last batch is left out: by drop_last or, where the objective has it, by last_batch."""
    return switches["drop_last"] or switches.get("last_batch") == "drop_last"


def steps_per_epoch(count: int, batch: int, drop_last: bool) -> int:
    """Number of batches of a pass."""
    full, rest = divmod(count, batch)
    return max(full, 1) if drop_last else full + (rest > 0)


def cycled_batch(count: int, batch: int, seed: int, step: int) -> torch.Tensor:
    """Indices of the outlier batch of global ``step``: endless shuffled passes, independent of the ID batches."""
    position = torch.arange(step * batch, (step + 1) * batch)
    passes = range(int(position[0]) // count, int(position[-1]) // count + 1)
    orders = torch.cat([_pass_order(count, seed, number) for number in passes])
    return orders[position - passes[0] * count]


@lru_cache(maxsize=4)
def _pass_order(count: int, seed: int, number: int) -> torch.Tensor:
    return torch.randperm(count, generator=generator(seed, "outlier order", number))
