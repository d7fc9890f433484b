"""EfficientNet-Lite0 (Tan and Le 2019, the variant for small devices): ReLU6, no squeeze-and-excitation.

Its ImageNet weights come with a Python package and expect pixels (x - 127) / 128 of 0 to 255, which is mean 127/255 and
standard deviation 128/255 here. Trained without the random dropping of blocks that the original training had.
"""

import re
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.nn.functional import pad, relu6

from methods.networks.pretrained import start_from

RECORD = {
    "title": "EfficientNet-Lite0",
    "paper": "Tan and Le, EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019",
    "pretrained": {"imagenet": "efficientnet_lite0_imagenet"},
    "parameters": {
        "weights": {
            "enum": ["imagenet", "none"],
            "default": "imagenet",
            "description": "what a training starts from: ImageNet weights, or none for training from scratch",
        },
        "norm_momentum": {
            "type": "number",
            "exclusiveMinimum": 0,
            "maximum": 1,
            "default": 0.01,
            "description": "share of a batch in the running statistics; the published 0.01 lags in short trainings",
        },
    },
}

_STAGES = (  # blocks, kernel, stride of the first block, expansion, channels
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
_STEM, _TOP = 32, 1280
# Parts of a block, and of the whole, by their names in the package's file.
_PARTS = {"_expand_conv": "expand.0", "_bn0": "expand.1", "_depthwise_conv": "spread.0", "_bn1": "spread.1"}
_PARTS |= {"_project_conv": "project.0", "_bn2": "project.1"}
_ENDS = {"_conv_stem": "stem.0", "_bn0": "stem.1", "_conv_head": "top.0", "_bn1": "top.1"}


class SameConv2d(nn.Conv2d):
    """Convolution without bias whose map has ceil(side / stride) places a side, padded more at its end if uneven."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> None:
        super().__init__(channels_in, channels_out, kernel, stride, groups=groups, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sides = []
        for side in (x.shape[3], x.shape[2]):  # width first, as `pad` has it
            lacking = max((-(-side // self.stride[0]) - 1) * self.stride[0] + self.kernel_size[0] - side, 0)
            sides += [lacking // 2, lacking - lacking // 2]
        return super().forward(pad(x, sides) if any(sides) else x)


def _convolution(channels_in: int, channels_out: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    norm = nn.BatchNorm2d(channels_out, eps=1e-3)
    return nn.Sequential(SameConv2d(channels_in, channels_out, kernel, stride, groups), norm)


class Block(nn.Module):
    """Expansion, depthwise convolution, projection, beside a shortcut where the shape stays."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        inner = channels_in * expansion
        self.expand = _convolution(channels_in, inner, 1) if expansion > 1 else None
        self.spread = _convolution(inner, inner, kernel, stride, groups=inner)
        self.project = _convolution(inner, channels_out, 1)
        self.shortcut = stride == 1 and channels_in == channels_out

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        inner = x if self.expand is None else relu6(self.expand(x))
        found = self.project(relu6(self.spread(inner)))
        return x + found if self.shortcut else found


class EfficientNetLite0(nn.Module):
    """(B, 3, H, W) normalised images -> (B, 1280) pooled features."""

    features = _TOP

    def __init__(self) -> None:
        super().__init__()
        self.stem = _convolution(3, _STEM, 3, stride=2)
        channels, blocks = _STEM, []
        for count, kernel, stride, expansion, width in _STAGES:
            for number in range(count):
                blocks.append(Block(channels, width, kernel, stride if number == 0 else 1, expansion))
                channels = width
        self.blocks = nn.Sequential(*blocks)
        self.top = _convolution(channels, _TOP, 1)
        self.apply(_initialise)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.blocks(relu6(self.stem(images)))
        return relu6(self.top(maps)).mean(dim=(2, 3))


def build(parameters: Mapping[str, Any]) -> EfficientNetLite0:
    """The network of a benchmark's ``network`` entry."""
    network = EfficientNetLite0()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = parameters["norm_momentum"]
    start_from(network, parameters, own_name, ignore=("_fc",))
    return network


def own_name(name: str) -> str | None:
    """A tensor of the package's file under its name here."""
    if match := re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name):
        number, part, rest = match.groups()
        return f"blocks.{number}.{_PARTS[part]}.{rest}" if part in _PARTS else None
    part, _, rest = name.partition(".")
    return f"{_ENDS[part]}.{rest}" if part in _ENDS else None


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):  # Kaiming by the outputs of an input place, which a depthwise one has few of
        outputs = module.weight.numel() / module.weight.shape[1] / module.groups
        nn.init.normal_(module.weight, std=(2 / outputs) ** 0.5)
