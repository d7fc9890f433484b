"""How many GPUs a job claims from the scheduler, found without importing torch."""

from pathlib import Path


def gpus_claimed(device: str) -> int:
    """1 where a job will compute on a GPU (``auto`` and there is one), else 0, so that CPU jobs run abreast."""
    present = any(Path("/dev").glob("nvidia[0-9]*"))
    return int(device == "cuda" or (device == "auto" and present))
