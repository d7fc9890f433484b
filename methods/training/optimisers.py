"""One optimiser step under a schedule and a precision."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from methods.training.schedules import SCHEDULES, Length, one_cycle_momentum


class Stepper:
    """Optimiser, schedule and loss scaling together.

    Attributes:
        optimiser: the torch optimiser.
        rate: learning rate of the last step.
        skipped: whether the loss scaler skipped that step.
    """

    def __init__(
        self,
        model: nn.Module,
        settings: Mapping[str, Any],
        length: Length,
        device: torch.device,
        after_backward: Callable[[], None] = lambda: None,
        fused: bool = False,
        backbone: nn.Module | None = None,
    ) -> None:
        self.after_backward = after_backward  # where several processes add up their gradients
        self.spec, self.switches = settings["optimiser"], settings["switches"]
        self.schedule = {**settings["schedule"], **self.switches}  # some schedules have a quirk of their own
        self.length = length
        groups = parameter_groups(model, self.spec, self.switches, backbone)
        self.optimiser = make_optimiser(groups, self.spec, fused)
        self.scaler = torch.amp.GradScaler(device.type, enabled=settings["precision"] == "fp16")
        self.rate = self.spec["learning_rate"]
        self.skipped = False

    def set_rate(self, step: int) -> None:
        """Set rate and momentum for ``step``; with lr_timing `after_step` the rate of the step before it."""
        timed = step - 1 if self.switches["lr_timing"] == "after_step" else step
        held = self.skipped and self.switches.get("lr_on_skipped_step") == "hold"
        if timed >= 0 and not held:
            schedule = SCHEDULES[self.schedule["name"]]
            self.rate = schedule(timed, self.spec["learning_rate"], self.length, self.schedule)
        cycles = self.schedule["name"] == "one_cycle" and self.switches["momentum_cycling"]
        for group in self.optimiser.param_groups:
            group["lr"] = self.rate * group["rate_share"]
            if cycles:
                _set_momentum(group, one_cycle_momentum(step, self.length))

    def step(self, loss: torch.Tensor) -> bool:
        """Descend; returns whether the loss scaler skipped the step (only ever with fp16)."""
        self.optimiser.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()
        self.after_backward()
        self.scaler.step(self.optimiser)
        if not self.scaler.is_enabled():
            return False
        before = self.scaler.get_scale()
        self.scaler.update()
        self.skipped = self.scaler.get_scale() < before
        return self.skipped

    def scaler_state(self) -> dict[str, float]:
        """State of the loss scaler and what a held rate needs, empty where it is off."""
        if not self.scaler.is_enabled():
            return {}
        return {**self.scaler.state_dict(), "rate": self.rate, "skipped": float(self.skipped)}

    def restore_scaler(self, state: Mapping[str, float]) -> None:
        """Put back what :meth:`scaler_state` gave."""
        if state:
            kept = dict(state)
            self.rate, self.skipped = kept.pop("rate"), bool(kept.pop("skipped"))
            self.scaler.load_state_dict(kept)


def parameter_groups(
    model: nn.Module, spec: Mapping[str, Any], switches: Mapping[str, Any], backbone: nn.Module | None = None
) -> list[dict[str, Any]]:
    """All weights with weight decay; vectors (batch norm, biases) without it where the switch says so.

    Those of ``backbone`` are groups of their own where the recipe gives it another rate.
    """
    share = spec.get("backbone_rate_share", 1.0)
    slow = {id(w) for w in backbone.parameters()} if backbone is not None and share != 1 else set()
    decayed = {id(w) for w in model.parameters() if w.ndim > 1 or switches["weight_decay_on_norm"]}
    groups: dict[tuple[bool, bool], list[nn.Parameter]] = {}
    for weight in model.parameters():
        groups.setdefault((id(weight) in slow, id(weight) in decayed), []).append(weight)
    return [
        {
            "params": groups[kind],
            "weight_decay": spec["weight_decay"] if kind[1] else 0.0,
            "rate_share": share if kind[0] else 1.0,
        }
        for kind in ((True, True), (True, False), (False, True), (False, False))
        if kind in groups
    ]


def make_optimiser(groups: list[dict[str, Any]], spec: Mapping[str, Any], fused: bool = False) -> torch.optim.Optimizer:
    """SGD or Adam as the recipe has it; ``fused`` updates all weights in one kernel."""
    one = {"lr": spec["learning_rate"], "fused": fused or None}  # None: torch's own choice
    if spec["name"] == "adam":
        return torch.optim.Adam(groups, betas=(spec["momentum"], 0.999), **one)
    nesterov = spec["nesterov"] and spec["momentum"] > 0
    return torch.optim.SGD(groups, momentum=spec["momentum"], nesterov=nesterov, **one)


def _set_momentum(group: dict[str, Any], momentum: float) -> None:
    if "betas" in group:
        group["betas"] = (momentum, *group["betas"][1:])
    else:
        group["momentum"] = momentum
