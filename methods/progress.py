"""Progress a person can read: a bar on a terminal, plain lines in a log."""

import logging
import sys
import time
from collections.abc import Mapping

from tqdm import tqdm

LOG = logging.getLogger("ood_repro")


class EpochProgress:
    """One bar or line an epoch, with the remaining time and the latest values."""

    def __init__(self, name: str, epochs: int, first: int, seconds_between_lines: float = 10.0) -> None:
        self.epochs = epochs
        self.first = first
        self.pause = seconds_between_lines
        self.start = self.last = time.monotonic()
        quiet = not sys.stderr.isatty()
        self.bar = tqdm(total=epochs, initial=first, desc=name, unit="epoch", leave=False, disable=quiet)
        if first:
            LOG.info("resumed at epoch %d of %d", first, epochs)

    def update(self, epoch: int, values: Mapping[str, float]) -> None:
        """Report that ``epoch`` (from 0) is done."""
        shown = {key: f"{value:.4g}" for key, value in values.items()}
        self.bar.set_postfix(shown, refresh=False)
        self.bar.update(1)
        now = time.monotonic()
        if now - self.last >= self.pause or epoch + 1 == self.epochs:
            self.last = now
            rest = (now - self.start) / (epoch + 1 - self.first) * (self.epochs - epoch - 1)
            text = " ".join(f"{key}={value}" for key, value in shown.items())
            LOG.info("epoch %d/%d %s remaining %.0f s", epoch + 1, self.epochs, text, rest)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self.bar.close()
