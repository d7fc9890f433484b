"""Weights files as torchvision publishes them, made of random numbers, and what backbones are compared by."""

import re
from pathlib import Path

import torch
from torch import nn


def build(**network):
    """A backbone by the entry of a benchmark."""
    from methods.networks.model import build_model
    from methods.settings.parts import complete_part

    network = complete_part("networks", "name", network, "pretrained")
    return build_model({"network": network, "classes": 5, "head": None, "projector": None}).backbone


def theirs(name: str, seed: int = 1) -> nn.Module:
    """A network of torchvision with its classifier, random weights and running statistics unlike the first ones."""
    from torchvision import models

    torch.manual_seed(seed)
    model = getattr(models, name)(weights=None)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return model.eval()


def published(model: nn.Module, path: Path) -> Path:
    """A file in the form of the published ones: no counts of batches, and the old names of DenseNet's layers."""
    state = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    old = {re.sub(r"(\.denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value for name, value in state.items()}
    torch.save(old, path)
    return path
