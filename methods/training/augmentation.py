"""Random views of a whole batch at once, on the training device.

Images stay uint8 as long as they can. The parameters of every image are drawn on the CPU from a generator that depends
on (seed, epoch, step) and sent to the device, so no step waits for the device. Crop and scaling are Pillow's bilinear
ones: one sampling of the whole batch or, for photographs on a CPU, image by image in whole levels.
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch.nn.functional import grid_sample, interpolate

from methods.training.colour import colour_jitter, grayscale
from methods.training.device import upload
from methods.training.distributed import Share

_TRIES = 10  # draws of a random crop before the centre is taken, as in torchvision
_ONE_BY_ONE = 48 * 48  # pixels of an image from which a CPU is faster by one call an image than by one a batch
_CHUNK = 4  # images whose float copy stays in a CPU's cache between two passes over it


def augment(
    images: torch.Tensor, spec: Mapping[str, Any], generator: torch.Generator, share: Share | None = None
) -> torch.Tensor:
    """One random view of every image.

    Args:
        images: (B, H, W, 3) uint8 on the training device.
        spec: the recipe's ``augmentation``.
        generator: CPU generator of the parameters.
        share: the part of a batch that ``images`` are; parameters are drawn for all of it. By default its whole.

    Returns:
        (B, 3, H, W): uint8 levels or float32 in [0, 1], whichever the last change made; ``normalise`` takes both.
    """
    height, width = images.shape[1:3]
    share = share or Share(len(images), slice(None))
    batch, part = share.batch, share.part
    x = plain(images)
    flip = (torch.rand(batch, generator=generator) < spec.get("horizontal_flip", 0.0))[part]
    if "random_resized_crop" in spec:
        boxes = crop_boxes(batch, height, width, spec["random_resized_crop"], generator)[part]
        x = resized_crop(x, boxes, flip)
    else:
        x = _flip(x, flip)
    if "random_crop" in spec:
        x = random_crop(x, spec["random_crop"]["padding"], generator, share)
    if "colour_jitter" in spec:
        x = colour_jitter(unit_floats(x), spec["colour_jitter"], generator, share)
    if "grayscale" in spec:
        x = grayscale(unit_floats(x), (torch.rand(batch, generator=generator) < spec["grayscale"])[part])
    return x


def normalise(x: torch.Tensor, normalisation: Mapping[str, Any]) -> torch.Tensor:
    """Subtract the channel means of (B, 3, H, W) images and divide by the standard deviations.

    Args:
        x: uint8 levels or float32 in [0, 1].
        normalisation: ``mean`` and ``std`` of the three channels on the scale of [0, 1].

    Returns:
        (B, 3, H, W) float32.
    """
    mean, std = (torch.tensor(normalisation[key]) for key in ("mean", "std"))
    if x.dtype == torch.uint8:
        return _normalise_levels(x, mean, std)
    mean, std = (upload(value[:, None, None], x.device) for value in (mean, std))
    return (x - mean).div_(std)  # in place: a second array of this size costs more than the division


def _normalise_levels(x: torch.Tensor, mean: torch.Tensor, std: torch.Tensor) -> torch.Tensor:
    """One multiplication and addition for each level, along rows of pixels: channels are innermost in memory."""
    rows = x.permute(0, 2, 3, 1).flatten(2)
    factor, offset = (upload(v.repeat(x.shape[3]), x.device) for v in (1 / (255 * std), -mean / std))
    out = torch.empty(rows.shape, device=x.device)
    size = _CHUNK if x.device.type == "cpu" else len(x)
    for chunk, target in zip(rows.split(size), out.split(size), strict=True):
        torch.addcmul(offset, chunk.float(), factor, out=target)
    return out.unflatten(2, (-1, len(mean))).permute(0, 3, 1, 2)


def plain(images: torch.Tensor) -> torch.Tensor:
    """(B, H, W, 3) uint8 as (B, 3, H, W), nothing else."""
    return images.permute(0, 3, 1, 2)


def unit_floats(x: torch.Tensor) -> torch.Tensor:
    """Levels as float32 in [0, 1], contiguous; what is float stays."""
    return x if x.is_floating_point() else x.to(torch.float32, memory_format=torch.contiguous_format).div_(255)


def crop_boxes(
    batch: int, height: int, width: int, spec: Mapping[str, Any], generator: torch.Generator
) -> torch.Tensor:
    """(B, 4) long: top, left, height, width of a random crop by area and aspect (torchvision's rule).

    Up to ten draws are made; where none fits into the image, the largest centred crop of an allowed aspect is taken.
    """
    area = height * width * torch.empty(_TRIES, batch).uniform_(*spec["area"], generator=generator)
    low, high = (math.log(a) for a in spec["aspect"])
    aspect = torch.empty(_TRIES, batch).uniform_(low, high, generator=generator).exp()
    w, h = (area * aspect).sqrt().round().long(), (area / aspect).sqrt().round().long()
    fits = (w > 0) & (w <= width) & (h > 0) & (h <= height)
    first = fits.float().argmax(dim=0, keepdim=True)
    h, w, fits = (t.gather(0, first)[0] for t in (h, w, fits))
    place = torch.rand(2, batch, generator=generator)
    top, left = (place[0] * (height - h + 1)).long(), (place[1] * (width - w + 1)).long()
    centre = torch.tensor(_centre_box(height, width, spec["aspect"]))
    return torch.where(fits[:, None], torch.stack([top, left, h, w], dim=1), centre)


def _centre_box(height: int, width: int, aspect: list[float]) -> list[int]:
    h, w = height, width
    if width / height < min(aspect):
        h = round(width / min(aspect))
    elif width / height > max(aspect):
        w = round(height * max(aspect))
    return [(height - h) // 2, (width - w) // 2, h, w]


def resized_crop(x: torch.Tensor, boxes: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """Crop (B, 3, H, W) uint8 images to ``boxes`` (B, 4), scale back to (H, W), mirror where ``flip`` (B,) holds.

    A crop is never larger than its image, so scaling never shrinks, and bilinear weights are those of two neighbours.

    Returns:
        (B, 3, H, W): float32 in [0, 1] or, for large images on a CPU, uint8, rounded as Pillow rounds.
    """
    one_by_one = x.device.type == "cpu" and x.shape[2] * x.shape[3] >= _ONE_BY_ONE
    return (_crop_each if one_by_one else _crop_batch)(x, boxes, flip)


def _crop_each(x: torch.Tensor, boxes: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """The processor's instructions for bytes do four times what they do for floats; rows, then columns."""
    out = torch.empty_like(x)
    size = list(x.shape[2:])
    for number, ((top, left, height, width), mirrored) in enumerate(zip(boxes.tolist(), flip.tolist(), strict=True)):
        box = x[number : number + 1, :, top : top + height, left : left + width]
        view = interpolate(box, size=size, mode="bilinear", align_corners=False, antialias=True)
        out[number] = (view.flip(3) if mirrored else view)[0]
    return out


def _crop_batch(x: torch.Tensor, boxes: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    """One sampling of all images."""
    x, boxes, flip = unit_floats(x), upload(boxes, x.device), upload(flip, x.device)
    height, width = x.shape[2:]
    rows = sampling_places(boxes[:, 0], boxes[:, 2], height)
    columns = sampling_places(boxes[:, 1], boxes[:, 3], width)
    columns = torch.where(flip[:, None], columns.flip(1), columns)
    grid = x.new_empty(len(x), height, width, 2)  # of (-1, 1) from edge to edge, as torch wants it
    grid[..., 0] = ((2 * columns + 1) / width - 1)[:, None, :]
    grid[..., 1] = ((2 * rows + 1) / height - 1)[:, :, None]
    return grid_sample(x, grid, mode="bilinear", padding_mode="border", align_corners=False)


def sampling_places(start: torch.Tensor, length: torch.Tensor, size: int) -> torch.Tensor:
    """(B, size) places on a line of pixels that scale its stretches [start, start + length) to ``size`` pixels.

    Pixel centres are whole numbers; a place beyond the outermost centre of the stretch is that centre.
    """
    first, last = start[:, None].float(), (start + length - 1)[:, None].float()
    centres = torch.arange(size, device=start.device) + 0.5
    return (centres * (length[:, None] / size) + start[:, None] - 0.5).clamp(first, last)


def random_crop(x: torch.Tensor, padding: int, generator: torch.Generator, share: Share | None = None) -> torch.Tensor:
    """A window of full size at a random place of (B, 3, H, W) images padded with black; they are ``share``."""
    batch, _, height, width = x.shape
    share = share or Share(batch, slice(None))
    places = torch.randint(0, 2 * padding + 1, (2, share.batch), generator=generator)
    place = upload(places[:, share.part], x.device)
    padded = torch.nn.functional.pad(x, [padding] * 4)
    rows = place[0][:, None] + torch.arange(height, device=x.device)
    columns = place[1][:, None] + torch.arange(width, device=x.device)
    image = torch.arange(batch, device=x.device)[:, None, None]
    return padded.permute(0, 2, 3, 1)[image, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _flip(x: torch.Tensor, flip: torch.Tensor) -> torch.Tensor:
    return torch.where(upload(flip, x.device)[:, None, None, None], x.flip(3), x)
