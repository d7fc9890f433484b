"""Progress a person can read: a bar on a terminal, plain lines in a log."""

import logging
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from tqdm import tqdm

LOG = logging.getLogger("ood_repro")
_beats: list[tuple[float, str]] = []  # the last sign of progress: when, by the clock that never jumps, and of what


def beat(what: str) -> None:
    """A sign that work goes on, for :mod:`methods.watchdog`; call it once a step of a loop that may hang."""
    _beats[:] = [(time.monotonic(), what)]


def last_beat() -> tuple[float, str] | None:
    """When the last sign was given (seconds of ``time.monotonic``) and of what; None before the first."""
    return _beats[-1] if _beats else None


NO_BARS = "OOD_REPRO_NO_BARS"  # set where several jobs share a terminal: bars of two would overwrite one another


def _quiet() -> bool:
    return not sys.stderr.isatty() or NO_BARS in os.environ


def log_to(path: str | Path) -> logging.Handler:
    """Let lines go into the log at ``path`` too, after what is there; several processes may add to one file."""
    handler = logging.FileHandler(path, mode="a", encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    LOG.addHandler(handler)
    LOG.setLevel(logging.INFO)
    return handler


class EpochProgress:
    """One bar or line an epoch, with the remaining time and the latest values."""

    def __init__(self, name: str, epochs: int, first: int, seconds_between_lines: float = 10.0) -> None:
        self.epochs = epochs
        self.first = first
        self.pause = seconds_between_lines
        self.start = self.last = time.monotonic()
        self.bar = tqdm(total=epochs, initial=first, desc=name, unit="epoch", leave=False, disable=_quiet())
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


class CountProgress:
    """A bar on a terminal and a line now and then in the log for ``total`` things of one kind."""

    def __init__(self, name: str, total: int, unit: str, seconds_between_lines: float = 10.0) -> None:
        self.name, self.total, self.unit, self.done = name, total, unit, 0
        self.pause = seconds_between_lines
        self.start = self.last = time.monotonic()
        self.bar = tqdm(total=total, desc=name, unit=unit, leave=False, disable=_quiet())

    def update(self) -> None:
        """Report one more."""
        self.done += 1
        beat(f"{self.unit} {self.done} of {self.total} of {self.name}")
        self.bar.update(1)
        now = time.monotonic()
        if now - self.last >= self.pause:
            self.last = now
            rest = (now - self.start) / self.done * (self.total - self.done)
            LOG.info("%s: %d of %d %ss, %.0f s left", self.name, self.done, self.total, self.unit, rest)

    def close(self) -> None:
        """Take the bar off the terminal."""
        self.bar.close()


def readable_bytes(size: float) -> str:
    """Size in decimal units with three digits: 169001437 gives ``169 MB``."""
    factor, unit = _unit(size)
    return f"{size / factor:.3g} {unit}"


def _unit(size: float) -> tuple[int, str]:
    factor = 1
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5 * factor:
            return factor, unit
        factor *= 1000
    return factor, "TB"


class TransferProgress:
    """A bar in bytes on a terminal, a line now and then in the log: amount, rate and remaining time of one connection.

    Args:
        name: the file's, for the lines.
        total: bytes of the whole file; None if nobody announced them.
        first: bytes that an earlier connection brought.
    """

    def __init__(self, name: str, total: int | None, first: int = 0, seconds_between_lines: float = 10.0) -> None:
        self.name, self.total, self.first, self.done = name, total, first, first
        self.pause = seconds_between_lines
        self.start = self.last = time.monotonic()
        quiet = _quiet()
        self.bar = tqdm(total=total, initial=first, desc=name, unit="B", unit_scale=True, leave=False, disable=quiet)
        if first:
            LOG.info("%s resumed at byte %d%s", name, first, f" of {total}" if total else "")

    def update(self, size: int) -> None:
        """Report ``size`` more bytes."""
        self.done += size
        self.bar.update(size)
        now = time.monotonic()
        if now - self.last >= self.pause:
            self.last = now
            LOG.info("%s %s", self.name, self._state(max(now - self.start, 1e-9)))

    def _state(self, seconds: float) -> str:
        rate = (self.done - self.first) / seconds
        speed = f"{readable_bytes(rate)}/s"
        if self.total is None:
            return f"{readable_bytes(self.done)}, {speed}"
        factor, _ = _unit(self.total)
        rest = max(self.total - self.done, 0) / rate if rate else float("inf")
        return f"{self.done / factor:.3g} of {readable_bytes(self.total)}, {speed}, {rest:.0f} s left"

    def close(self) -> None:
        """Take the bar off the terminal."""
        self.bar.close()


def report_transfer(name: str, size: int, seconds: float, url: str, verified: str) -> None:
    """The last line about a file that has come whole: ``verified`` says by which hash that is known."""
    LOG.info("%s: %s in %.1f s from %s, verified by %s", name, readable_bytes(size), seconds, url, verified)


def counted(number: int, what: str) -> str:
    """``1 file``, ``2 files``."""
    return f"{number} {what}" + ("" if number == 1 else "s")
