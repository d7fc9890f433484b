"""DenseNet-121 for photographs (Huang et al. 2017): torchvision's convolutions, ReLU, then the mean over the map."""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from methods.networks.pretrained import start_from

RECORD = {
    "title": "DenseNet-121",
    "paper": "Huang et al., Densely connected convolutional networks, CVPR 2017",
    "pretrained": {"imagenet": "densenet121_imagenet"},
    "parameters": {
        "weights": {
            "enum": ["imagenet", "none"],
            "default": "imagenet",
            "description": "what a training starts from: ImageNet weights, or none for training from scratch",
        },
    },
}


class DenseNet121(nn.Module):
    """(B, 3, H, W) normalised images -> (B, 1024) pooled features.

    EDGE's release pools in its head what torchvision pools before its classifier; both are the mean over all places.
    """

    def __init__(self) -> None:
        super().__init__()
        from torchvision.models import densenet121

        whole = densenet121(weights=None)
        self.features = whole.classifier.in_features
        self.maps = whole.features

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.maps(images)).mean(dim=(2, 3))


def build(parameters: Mapping[str, Any]) -> DenseNet121:
    """The network of a benchmark's ``network`` entry."""
    network = DenseNet121()
    start_from(network, parameters, own_name, ignore=("classifier",))
    return network


def own_name(name: str) -> str | None:
    """A tensor of torchvision's file under its name here; the file has ``norm.1`` where the module is ``norm1``."""
    name = re.sub(r"(\.denselayer\d+\.(?:norm|conv))\.([12])\.", r"\1\2.", name)
    return f"maps.{name.removeprefix('features.')}" if name.startswith("features.") else None
