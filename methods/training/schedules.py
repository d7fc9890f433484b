"""Learning rate (and momentum) as pure functions of the step."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Length:
    """Length of a training: ``total`` steps, ``epoch`` steps an epoch."""

    total: int
    epoch: int


def constant(step: int, rate: float, length: Length, schedule: Mapping[str, Any]) -> float:
    """Always ``rate``."""
    return rate


def cosine(step: int, rate: float, length: Length, schedule: Mapping[str, Any]) -> float:
    """From ``rate`` to ``final_rate`` along half a cosine over all steps."""
    return _blend(rate, schedule["final_rate"], step / length.total)


def warmup_cosine(step: int, rate: float, length: Length, schedule: Mapping[str, Any]) -> float:
    """Linear from 0 over ``warmup_epochs``, then half a cosine to ``final_rate`` (ADAPT, PALM)."""
    warm = schedule["warmup_epochs"] * length.epoch
    if step < warm:
        return rate * step / warm
    return _blend(rate, schedule["final_rate"], (step - warm) / (length.total - warm))


def one_cycle(step: int, rate: float, length: Length, schedule: Mapping[str, Any]) -> float:
    """rate/25 up to rate over the first fifth, then down to rate/25e4, along half cosines (EDGE)."""
    return _cycle(step, length.total, rate / 25, rate, rate / 25e4)


def one_cycle_momentum(step: int, length: Length) -> float:
    """Momentum of the one-cycle schedule: .95 down to .85 and back."""
    return _cycle(step, length.total, 0.95, 0.85, 0.95)


def cider(step: int, rate: float, length: Length, schedule: Mapping[str, Any]) -> float:
    """Linear by step from ``warmup_from`` over ``warmup_epochs``, then half a cosine by epoch (CIDER, SupCon).

    As released, epochs are counted from 0 where the warm-up takes them to count from 1: it goes on for an epoch more
    and starts an epoch's way below ``warmup_from``, with negative rates. ``cider_lr_epoch`` keeps that
    (``zero_based``), cuts it off at ``warmup_from`` (``clipped_at_zero``), or counts from 1 (``one_based``).
    """
    counting = schedule.get("cider_lr_epoch", "clipped_at_zero")
    number, batch = divmod(step, length.epoch)
    epoch, epochs, warm = number + (counting == "one_based"), length.total / length.epoch, schedule["warmup_epochs"]
    if not warm or epoch > warm:
        return _blend(rate, schedule["final_rate"], epoch / epochs)
    top, start = _blend(rate, schedule["final_rate"], warm / epochs), schedule["warmup_from"]
    share = (batch + (epoch - 1) * length.epoch) / (warm * length.epoch)
    return start + (share if counting == "zero_based" else max(share, 0.0)) * (top - start)


SCHEDULES = {
    "constant": constant,
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
    "one_cycle": one_cycle,
    "cider": cider,
}


def _cycle(step: int, total: int, start: float, peak: float, end: float) -> float:
    top, last = 0.2 * total - 1, total - 1
    if step < top:
        return _blend(start, peak, step / top)
    return _blend(peak, end, (step - top) / (last - top))


def _blend(start: float, end: float, share: float) -> float:
    weight = (1 + math.cos(math.pi * share)) / 2
    return start * weight + end * (1 - weight)
