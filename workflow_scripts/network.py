"""Taking up a trained network: what the jobs that run one have in common. Imports torch."""

from pathlib import Path
from typing import Any

import torch

from methods import provenance
from methods.features.extract import restore_model
from methods.networks.model import OODModel
from methods.networks.weights import load_model, require_architecture
from methods.training.device import prepare_device


def trained_network(
    path: str | Path, settings: dict[str, Any], hardware: dict[str, Any]
) -> tuple[OODModel, torch.device, dict[str, Any]]:
    """The network of a model file, the device to use it on, and the file's record.

    Raises:
        ReproError: the file is of another architecture, training or seed than ``settings`` say.
    """
    tensors, origin = load_model(path)
    require_architecture(path, origin, settings["architecture"])
    provenance.require_settings(path, origin, settings["training"])
    device = prepare_device(hardware["device"], settings["cpu_threads"], hardware["deterministic"])
    return restore_model(settings["architecture"], tensors, str(path)), device, origin
