"""What a training cost: time, rate, memory and the machine. Never part of compared content."""

import platform
import resource
from collections.abc import Mapping
from typing import Any

import torch

from methods.training import acceleration
from methods.training.device import choose_device

# What a training reports of itself
COSTS = ("seconds", "images_per_second", "peak_gpu_bytes", "resumed")


def cost_row(cost: Mapping[str, float], hardware: Mapping[str, Any]) -> dict[str, Any]:
    """One row for ``cost.csv``: seconds, images a second, peak bytes, device, versions and how the device was used."""
    device = choose_device(hardware["device"])
    gpu = device.type == "cuda"
    return {
        **cost,
        "peak_process_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
        "device": torch.cuda.get_device_name(device) if gpu else f"CPU {platform.machine()}",
        "torch": torch.__version__,
        "python": platform.python_version(),
        **acceleration.record(hardware),
    }
