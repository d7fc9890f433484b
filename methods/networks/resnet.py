"""ResNet for photographs (He et al. 2016): torchvision's module without its classifier.

Tensors are named as torchvision names them. ``weights: imagenet`` starts a training from the file that the workflow
hands over; torchvision itself is never asked to fetch anything.
"""

from collections.abc import Mapping
from typing import Any

from torch import nn

from methods.networks.pretrained import start_from

RECORD = {
    "title": "ResNet",
    "paper": "He et al., Deep residual learning for image recognition, CVPR 2016",
    "pretrained": {"imagenet": "resnet{depth}_imagenet"},
    "parameters": {
        "depth": {"enum": [18, 34, 50, 101], "default": 50, "description": "number of layers"},
        "weights": {
            "enum": ["imagenet", "none"],
            "default": "imagenet",
            "description": "what a training starts from: ImageNet weights, or none for training from scratch",
        },
    },
}


def build(parameters: Mapping[str, Any]) -> nn.Module:
    """(B, 3, H, W) normalised images -> (B, F) pooled features; F = 512 for depths 18 and 34, else 2048."""
    from torchvision.models import resnet

    network = getattr(resnet, f"resnet{parameters['depth']}")(weights=None)
    network.features = network.fc.in_features
    network.fc = nn.Identity()
    start_from(network, parameters, lambda name: name, ignore=("fc",))
    return network
