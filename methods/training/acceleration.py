"""How a training uses its device: compilation, the optimiser's kernel, memory layout.

All of it leaves what is computed as it is, apart from rounding, and so causes no rerun; ``cost.csv`` records it.
"""

import os
import shutil
from collections.abc import Callable, Mapping
from typing import Any

import torch

from methods.errors import refuse
from methods.networks.model import OODModel, Outputs
from methods.training.recompute import recompute_blocks

# config.hardware.compile -> mode of torch.compile; `cuda_graphs` replays the network's kernels without the host
MODES = {"default": "default", "cuda_graphs": "reduce-overhead"}
LAYOUTS = {True: torch.channels_last, False: torch.contiguous_format}


def compiled(model: OODModel, hardware: Mapping[str, Any], device: torch.device) -> Callable[..., Outputs]:
    """The forward pass of ``model``, compiled if ``hardware.compile`` says so; its weights stay those of ``model``.

    With ``hardware.recompute_activations`` the model itself computes its blocks again for their gradients.

    Raises:
        ReproError: several devices, CUDA graphs on a CPU, no compiler, or a network to recompute that has no blocks.
    """
    kind = hardware.get("compile", "none")
    if hardware.get("recompute_activations"):
        _recompute(model, kind)
    if kind == "none":
        return model
    place = f"config.hardware.compile is {kind}"
    refuse(
        hardware.get("devices", 1) > 1,
        f"{place} and config.hardware.devices is {hardware.get('devices')}: the exchange between devices is not "
        "compiled, set compile to none or devices to 1.",
    )
    refuse(
        kind == "cuda_graphs" and device.type != "cuda",
        f"{place}, but the training runs on a CPU: set it to default or none.",
    )
    refuse(
        not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")),
        f"{place}, which needs a C++ compiler, and none is on the path: install g++, or set it to none.",
    )
    run: Callable[..., Outputs] = torch.compile(model, mode=MODES[kind], dynamic=False)  # the last batch: another graph
    return run


def _recompute(model: OODModel, kind: str) -> None:
    place = "config.hardware.recompute_activations is true"
    refuse(
        kind != "none",
        f"{place}, but compile is {kind}: a compiled network is not computed again, set compile to none.",
    )
    refuse(not recompute_blocks(model.backbone), f"{place}, but this network has no blocks: set it to false.")


def memory_format(hardware: Mapping[str, Any]) -> torch.memory_format:
    """Layout of images and convolution weights."""
    return LAYOUTS[hardware.get("channels_last", True)]


def record(hardware: Mapping[str, Any]) -> dict[str, Any]:
    """What ``cost.csv`` says about all this."""
    return {
        "devices": hardware.get("devices", 1),
        "compile": hardware.get("compile", "none"),
        "fused_optimiser": hardware.get("fused_optimiser", False),
        "channels_last": hardware.get("channels_last", True),
        "recompute_activations": hardware.get("recompute_activations", False),
        "deterministic": hardware["deterministic"],
    }


def begin_step(hardware: Mapping[str, Any]) -> None:
    """Tell torch where a step begins: from there on, CUDA graphs may write over the outputs of the step before."""
    if hardware.get("compile") == "cuda_graphs":
        torch.compiler.cudagraph_mark_step_begin()
