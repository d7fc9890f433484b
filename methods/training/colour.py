"""Colour changes of a batch, with parameters of their own for every image.

All functions take (B, 3, H, W) images in [0, 1] and (B,) parameters on the CPU. The formulas are Pillow's,
as the papers' pipelines use them; values are not rounded to whole levels between the operations.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch

from methods.training.device import upload
from methods.training.distributed import Share

_LUMA = (0.299, 0.587, 0.114)

Operation = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]


def colour_jitter(
    x: torch.Tensor, spec: Mapping[str, Any], generator: torch.Generator, share: Share | None = None
) -> torch.Tensor:
    """Brightness, contrast, saturation and hue in an order drawn for every image, with some probability.

    Parameters are drawn for a whole batch, of which x is ``share``.
    """
    share = share or Share(len(x), slice(None))
    batch, part = share.batch, share.part
    applied = (torch.rand(batch, generator=generator) < spec["probability"])[part]
    order = torch.rand(batch, len(OPERATIONS), generator=generator).argsort(dim=1)[part]
    factors = {name: _factors(name, spec[name], batch, generator)[part] for name in OPERATIONS}
    x = x.clone()
    for position in range(len(OPERATIONS)):
        for number, (name, operation) in enumerate(OPERATIONS.items()):
            chosen = torch.nonzero(applied & (order[:, position] == number))[:, 0]
            if spec[name] > 0 and len(chosen):
                index = upload(chosen, x.device)
                x[index] = operation(x[index], factors[name][chosen])
    return x


def grayscale(x: torch.Tensor, chosen: torch.Tensor) -> torch.Tensor:
    """Gray where ``chosen`` (B,) holds."""
    mask = upload(chosen, x.device)[:, None, None, None]
    return torch.where(mask, luminance(x).expand_as(x), x)


def luminance(x: torch.Tensor) -> torch.Tensor:
    """(B, 1, H, W) luminance of RGB images."""
    red, green, blue = x.unbind(dim=1)
    return (_LUMA[0] * red + _LUMA[1] * green + _LUMA[2] * blue)[:, None]


def brightness(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with black."""
    return (x * _wide(factor, x)).clamp(0, 1)


def contrast(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with the image's mean luminance."""
    return _blend(x, luminance(x).mean(dim=(1, 2, 3), keepdim=True), factor)


def saturation(x: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    """Blend with gray."""
    return _blend(x, luminance(x), factor)


def hue(x: torch.Tensor, shift: torch.Tensor) -> torch.Tensor:
    """Turn the colour circle by ``shift`` (in turns), keeping saturation and value (HSV)."""
    value, least = x.amax(dim=1), x.amin(dim=1)
    chroma = value - least
    angle = (_hue_sextant(x, value, chroma) / 6 + _wide(shift, x)[:, 0]) % 1
    sector = upload(torch.tensor([5.0, 3.0, 1.0]), x.device)[:, None, None]
    k = (sector + 6 * angle[:, None]) % 6
    return value[:, None] - chroma[:, None] * torch.minimum(k, 4 - k).clamp(0, 1)


OPERATIONS: dict[str, Operation] = {
    "brightness": brightness,
    "contrast": contrast,
    "saturation": saturation,
    "hue": hue,
}


def _hue_sextant(x: torch.Tensor, value: torch.Tensor, chroma: torch.Tensor) -> torch.Tensor:
    red, green, blue = x.unbind(dim=1)
    safe = torch.where(chroma > 0, chroma, torch.ones_like(chroma))
    from_green, from_blue = 2 + (blue - red) / safe, 4 + (red - green) / safe
    return torch.where(value == red, (green - blue) / safe, torch.where(value == green, from_green, from_blue))


def _factors(name: str, strength: float, batch: int, generator: torch.Generator) -> torch.Tensor:
    centre = 0.0 if name == "hue" else 1.0
    low = centre - strength if name == "hue" else max(0.0, centre - strength)
    return torch.empty(batch).uniform_(low, centre + strength, generator=generator)


def _blend(x: torch.Tensor, other: torch.Tensor, factor: torch.Tensor) -> torch.Tensor:
    weight = _wide(factor, x)
    return (weight * x + (1 - weight) * other).clamp(0, 1)


def _wide(factor: torch.Tensor, x: torch.Tensor) -> torch.Tensor:
    return upload(factor, x.device)[:, None, None, None]
