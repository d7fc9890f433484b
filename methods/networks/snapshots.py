"""Snapshots: the weights after some of the epochs, beside the final ones in the same model file.

Their tensors are called ``after<epoch>.<name>``; only a recipe whose ``checkpoint`` asks for an epoch reads them.
"""

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

_NAME = re.compile(r"after(\d+)\.(.+)")


def snapshot(epoch: int, tensors: "Mapping[str, torch.Tensor]") -> "dict[str, torch.Tensor]":
    """Copies of ``tensors`` on the CPU, named as those after ``epoch`` epochs."""
    return {f"after{epoch}.{name}": tensor.detach().cpu().clone() for name, tensor in tensors.items()}


def is_snapshot(name: str) -> bool:
    """Whether a tensor of a model file belongs to a snapshot."""
    return _NAME.fullmatch(name) is not None


def names_after(epoch: int, names: Iterable[str]) -> dict[str, str]:
    """Name in the file of every tensor of one snapshot -> the tensor's own name."""
    parts = {name: _NAME.fullmatch(name) for name in names}
    return {name: part[2] for name, part in parts.items() if part and int(part[1]) == epoch}
