"""A training that runs out of memory: what it was doing, and which switches make it smaller.

It never takes a smaller batch by itself: the batch is part of the recipe, and the statistics of batch norms and losses
over all pairs of a batch would be others.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from methods import registry
from methods.errors import ReproError
from methods.memory import memory_use, ran_out
from methods.training.device import choose_device


@contextmanager
def told_if_short_of_memory(settings: Mapping[str, Any], hardware: Mapping[str, Any]) -> Iterator[None]:
    """Turn the error of a training that ran out of memory into one sentence.

    Raises:
        ReproError: names batch, views, devices, peak and the switches that are left.
    """
    try:
        yield
    except RuntimeError as error:
        if not ran_out(error):
            raise
        device = choose_device(hardware["device"])
        kind = "GPU memory" if device.type == "cuda" else "memory"
        found = f"{hardware['name']} ran out of {kind} with {_batch(settings, hardware)}: {memory_use(device)}."
        remedy = "; or ".join(switches(settings, hardware))
        raise ReproError(f"{found} Its batch is part of the recipe and stays. Set in the config {remedy}.") from error


def switches(settings: Mapping[str, Any], hardware: Mapping[str, Any]) -> list[str]:
    """What makes this training take less memory, and what each changes; those in use already are left out."""
    gpu, devices = choose_device(hardware["device"]).type == "cuda", hardware.get("devices", 1)
    compiled = hardware.get("compile", "none") != "none"
    known = {
        "hardware.compile: none (a compiled network keeps buffers of its own; same result up to rounding)": compiled,
        "hardware.recompute_activations: true (same result, a forward pass more a step)": not (
            hardware.get("recompute_activations") or compiled
        ),
        f"hardware.devices: {2 * devices} (same result up to rounding, takes as many GPUs)": gpu,
        "precision: bf16 (about half the activations; another result, so all methods train again)": (
            settings["precision"] in ("fp32", "tf32")
        ),
    }
    remaining = [text for text, usable in known.items() if usable]
    return remaining or ["nothing more: it needs a machine with more memory"]


def _batch(settings: Mapping[str, Any], hardware: Mapping[str, Any]) -> str:
    views = registry.records("objectives")[settings["objective"]["name"]]["views"]
    outliers = f" and {settings['outlier_batch']} outliers" if "outlier_batch" in settings else ""
    shown = f" in {views} views" if views > 1 else ""
    return f"batch {settings['batch']}{shown}{outliers}, precision {settings['precision']}, {_devices(hardware)}"


def _devices(hardware: Mapping[str, Any]) -> str:
    count = hardware.get("devices", 1)
    return f"{count} device{'s' if count > 1 else ''}"
