"""Sums over an epoch, kept on the training device and read once at its end."""

import torch

from methods.objectives.base import Terms


class EpochSums:
    """Running sums of an objective's terms, and the first step whose loss was not finite."""

    def __init__(self, device: torch.device) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.steps = 0
        self._bad = torch.full((), -1, dtype=torch.int64, device=device)

    def add(self, terms: Terms, step: int) -> None:
        """Add one step's terms without waiting for the device."""
        for name, value in {"total": terms.total, **terms.parts, **terms.monitors}.items():
            self.sums[name] = self.sums.get(name, 0) + value.detach().double()
        new = (self._bad < 0) & ~torch.isfinite(terms.total.detach())
        self._bad = torch.where(new, torch.full_like(self._bad, step), self._bad)
        self.steps += 1

    def means(self) -> dict[str, float]:
        """Mean of every term over the steps."""
        return {name: value.item() / self.steps for name, value in self.sums.items()}

    @property
    def first_bad_step(self) -> int | None:
        """Global number of the first step whose loss was NaN or infinite."""
        step = int(self._bad.item())
        return None if step < 0 else step
