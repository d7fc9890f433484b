"""The resume checkpoint: everything a training needs to go on as if it had never stopped.

One safetensors file (no pickle is ever loaded), written whole or not at all. Random numbers need no place in it:
they follow from (seed, epoch, step).
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from methods.errors import ReproError
from methods.files import atomic


@dataclass
class Progress:
    """What is not a tensor: the next epoch, the history so far, the best value, the seconds spent."""

    epoch: int = 0
    history: list[dict[str, float]] = field(default_factory=list)
    best_value: float | None = None
    seconds: float = 0.0
    resumed: int = 0
    scaler: dict[str, float] = field(default_factory=dict)


def save_checkpoint(path: Path, tensors: Mapping[str, torch.Tensor], progress: Progress) -> None:
    """Write tensors and progress to ``path``."""
    contiguous = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
    with atomic(path) as temporary:
        save_file(contiguous, temporary, metadata={"progress": json.dumps(asdict(progress))})


def load_checkpoint(path: Path) -> tuple[dict[str, torch.Tensor], Progress] | None:
    """Tensors and progress, or None if there is no checkpoint.

    Raises:
        ReproError: the file is damaged; says that deleting it starts the training anew.
    """
    if not path.is_file():
        return None
    try:
        with safe_open(path, framework="pt") as file:
            progress = Progress(**json.loads(file.metadata()["progress"]))
            return {name: file.get_tensor(name) for name in file.keys()}, progress  # noqa: SIM118
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ReproError(
            f"The resume checkpoint {path} is damaged ({error}): delete it to train from the start."
        ) from error


def optimiser_tensors(optimiser: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    """State of an optimiser as named tensors."""
    return {
        f"optimiser.{index}.{key}": value
        for index, state in optimiser.state_dict()["state"].items()
        for key, value in state.items()
        if isinstance(value, torch.Tensor)
    }


def restore_optimiser(optimiser: torch.optim.Optimizer, tensors: Mapping[str, torch.Tensor]) -> None:
    """Put the named tensors back."""
    document = optimiser.state_dict()
    document["state"] = {}
    for name, value in tensors.items():
        if name.startswith("optimiser."):
            _, index, key = name.split(".", 2)
            document["state"].setdefault(int(index), {})[key] = value
    optimiser.load_state_dict(document)
    for weight, state in optimiser.state.items():
        for key, value in state.items():
            if isinstance(value, torch.Tensor) and value.shape == weight.shape:
                # in the memory layout of its weight, which a fused optimiser takes for granted and no file keeps
                state[key] = torch.empty_like(weight).copy_(value)


def subset(tensors: Mapping[str, torch.Tensor], prefix: str) -> dict[str, torch.Tensor]:
    """Tensors whose names start with ``prefix``, without it."""
    return {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
