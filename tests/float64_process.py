"""A process of a training in float64: `python -m tests.float64_process FOLDER RANK`, as methods.training.processes."""

import sys
from pathlib import Path

import torch

from methods.training import processes


def in_float64() -> None:
    """Everything that the engine makes or widens becomes float64."""
    torch.set_default_dtype(torch.float64)
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign,assignment]


if __name__ == "__main__":
    in_float64()
    processes._process(Path(sys.argv[1]), int(sys.argv[2]))
