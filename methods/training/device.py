"""Where and in which arithmetic to compute."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from methods.errors import ReproError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


def choose_device(name: str) -> torch.device:
    """``auto`` takes a GPU if there is one.

    Raises:
        ReproError: a GPU is asked for and torch sees none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise ReproError("config.hardware.device is cuda, but torch sees no GPU: set it to auto or cpu.")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    return torch.device(name)


def prepare_device(name: str, cpu_threads: int, deterministic: bool) -> torch.device:
    """Choose the device and set what torch should keep to: number of CPU threads, deterministic kernels."""
    device = choose_device(name)
    torch.set_num_threads(cpu_threads)
    if device.type == "cuda":  # on a CPU the kernels used here are deterministic anyway, and asking costs a second
        torch.backends.cudnn.benchmark = not deterministic
        torch.backends.cudnn.deterministic = deterministic
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision for forward passes; nothing for fp32."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's default random numbers from ``seed`` inside, and leave the outside stream untouched."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
