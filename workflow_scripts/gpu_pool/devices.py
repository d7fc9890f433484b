"""Which GPUs this process may use, found without importing torch."""

import os
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path

FAKE = "OOD_REPRO_FAKE_GPUS"  # a number: as if there were so many GPUs, to show the queue on a machine without any
VISIBLE = "CUDA_VISIBLE_DEVICES"  # set by the user or by Slurm: which of the machine's GPUs there are for this process
_DEVICES = Path("/dev")
_LIST = ("nvidia-smi", "-L")
_SECONDS = 30.0  # for a driver that must wake up first


@dataclass(frozen=True)
class Gpu:
    """One GPU, or one part of a GPU that is split (MIG).

    Attributes:
        number: of the card, as nvidia-smi counts.
        name: as ``CUDA_VISIBLE_DEVICES`` takes it; where it is known, the one that means this device for everybody.
        slot: what its lock file is called, the same whoever looks at the device.
    """

    number: str
    name: str
    slot: str

    def __str__(self) -> str:
        return self.number if self.name == self.number else f"{self.number} ({self.name})"


def gpus_expected() -> bool:
    """Whether there seem to be GPUs: device files and a variable, for nvidia-smi can take a second."""
    hidden = os.environ.get(VISIBLE, "all").strip() in ("", "-1", "NoDevFiles")
    return not hidden and (bool(_faked()) or _has_device_files())


def gpus_here() -> list[Gpu]:
    """The GPUs that this process may use, those of ``CUDA_VISIBLE_DEVICES`` if it is set, in its order.

    Numbers there count as nvidia-smi does. As for CUDA itself, what comes after an unknown name does not count.
    """
    found = _fake_gpus(_faked()) or listed(_names()) or _device_files()
    if (wanted := os.environ.get(VISIBLE)) is None:
        return found
    chosen: dict[Gpu, None] = {}
    for name in map(str.strip, wanted.split(",")):
        known = [gpu for gpu in found if gpu.number == name or _is_named(gpu, name)]
        if not known and not (name.startswith(("GPU-", "MIG-")) and _nameless(found)):
            break
        chosen |= dict.fromkeys(known or [Gpu(name, name, name)])
    return list(chosen)


def listed(text: str) -> list[Gpu]:
    """The devices in what ``nvidia-smi -L`` prints: whole GPUs, and the parts of those that are split."""
    cards: dict[str, list[str]] = {}
    for line in text.splitlines():
        if card := re.match(r"GPU (\d+):.*\(UUID: ([^)]+)\)", line):
            number = card[1]
            cards[number] = [card[2]]
        elif (part := re.match(r"\s+MIG .*\(UUID: ([^)]+)\)", line)) and cards:
            cards[number].append(part[1])
    return [Gpu(n, name, name) for n, names in cards.items() for name in (names[1:] or names)]


def _is_named(gpu: Gpu, name: str) -> bool:
    """Whether ``name`` is the beginning of the device's own name, which CUDA takes as well."""
    return name.startswith(("GPU-", "MIG-")) and gpu.name.startswith(name)


def _nameless(found: list[Gpu]) -> bool:
    return bool(found) and all(gpu.name == gpu.number for gpu in found)


def _faked() -> int:
    return int(os.environ.get(FAKE) or 0)


def _fake_gpus(count: int) -> list[Gpu]:
    return [Gpu(str(i), str(i), f"fake{i}") for i in range(count)]


def _names() -> str:
    """What ``nvidia-smi -L`` prints; nothing where it is missing or fails."""
    if not _has_device_files():
        return ""
    try:
        done = subprocess.run(_LIST, capture_output=True, text=True, timeout=_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout


def _has_device_files() -> bool:
    return any(_DEVICES.glob("nvidia[0-9]*"))


def _device_files() -> list[Gpu]:
    """Without nvidia-smi: CUDA counts the device files that it may open from 0; a container has its own only."""
    files = {int(path.name.removeprefix("nvidia")): path for path in _DEVICES.glob("nvidia[0-9]*")}
    mine = [minor for minor, path in sorted(files.items()) if _opens(path)]
    return [Gpu(str(i), str(i), f"nvidia{minor}") for i, minor in enumerate(mine)]


def _opens(path: Path) -> bool:
    """A control group may forbid a device whose file is there for all to see."""
    try:
        os.close(os.open(path, os.O_RDWR))
    except OSError:
        return False
    return True
