"""ResNet for small images (He et al. 2016, as the CIFAR contrastive papers build it).

A 3x3 stem without pooling, then one stage of basic blocks a width; the first stage keeps the resolution, every
further one halves it; global average pooling. ``blocks: [3, 4, 6, 3]`` with the default widths is ResNet-34,
``[2, 2, 2, 2]`` ResNet-18.
"""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

RECORD = {
    "title": "CIFAR ResNet",
    "paper": "He et al., Deep residual learning for image recognition, CVPR 2016",
    "at_least_as_long": {"widths": "blocks"},
    "parameters": {
        "blocks": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "default": [2, 2, 2, 2],
            "description": "basic blocks of each stage",
        },
        "widths": {
            "type": "array",
            "items": {"type": "integer", "minimum": 1},
            "minItems": 1,
            "default": [64, 128, 256, 512],
            "description": "channels of each stage",
        },
    },
}


class BasicBlock(nn.Module):
    """Two 3x3 convolutions beside a shortcut; (B, C_in, H, W) -> (B, C_out, H/stride, W/stride)."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or channels_in != channels_out:
            conv = nn.Conv2d(channels_in, channels_out, 1, stride, bias=False)
            self.shortcut = nn.Sequential(conv, nn.BatchNorm2d(channels_out))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = self.bn2(self.conv2(torch.relu(self.bn1(self.conv1(x)))))
        return torch.relu(inner + self.shortcut(x))


class CifarResNet(nn.Module):
    """(B, 3, H, W) normalised images -> (B, features) pooled features."""

    def __init__(self, blocks: list[int], widths: list[int]) -> None:
        super().__init__()
        self.features = widths[-1]
        self.stem = nn.Sequential(
            nn.Conv2d(3, widths[0], 3, padding=1, bias=False), nn.BatchNorm2d(widths[0]), nn.ReLU()
        )
        channels, stages = widths[0], []
        for number, (count, width) in enumerate(zip(blocks, widths, strict=True)):
            strides = [1 if number == 0 else 2] + [1] * (count - 1)
            stages.append(
                nn.Sequential(*(BasicBlock(channels if i == 0 else width, width, s) for i, s in enumerate(strides)))
            )
            channels = width
        self.stages = nn.Sequential(*stages)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.stages(self.stem(images)).mean(dim=(2, 3))


def build(parameters: Mapping[str, Any]) -> CifarResNet:
    """The network of a benchmark's ``network`` entry; as many widths as stages."""
    blocks, widths = list(parameters["blocks"]), list(parameters["widths"])
    return CifarResNet(blocks, widths[: len(blocks)])


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
