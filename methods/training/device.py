"""Where and in which arithmetic to compute."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch

from methods.errors import ReproError

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}
# Parameters of glibc's mallopt and what keeps freed memory in the process: nothing is mapped apart, nothing trimmed,
# and the heap grows by so many bytes at least
_KEEP = {"M_MMAP_MAX": (-4, 0), "M_TRIM_THRESHOLD": (-1, -1), "M_TOP_PAD": (-2, 64 << 20)}


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


def prepare_device(name: str, cpu_threads: int, deterministic: bool, precision: str = "fp32") -> torch.device:
    """Choose the device and set what torch keeps to: CPU threads, deterministic kernels, TF32 only if asked for."""
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when CUDA starts; without it cuBLAS may vary
    device = choose_device(name)
    torch.set_num_threads(cpu_threads)
    if device.type == "cpu":
        keep_freed_memory()
    if device.type == "cuda":  # on a CPU the kernels used here are deterministic anyway, and asking costs a second
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = precision == "tf32"
        torch.backends.cudnn.benchmark = not deterministic
        torch.backends.cudnn.deterministic = deterministic
        torch.use_deterministic_algorithms(deterministic, warn_only=True)
    return device


def keep_freed_memory() -> None:
    """Let this process keep what it frees for its next arrays, as a GPU's allocator does.

    A step on a CPU takes and frees the same gigabytes again and again. Left alone, glibc hands large arrays back to the
    system each time and gets them anew, zeroed page by page, which can take a quarter of a step
    (benchmarks.freed_memory). Nothing happens with another C library, or where the user set a MALLOC_* variable.
    """
    if any(name.startswith("MALLOC_") for name in os.environ):
        return
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):  # macOS, musl, Windows
        return
    for parameter, value in _KEEP.values():
        mallopt(parameter, value)


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """Mixed precision for forward passes; nothing for fp32 and tf32."""
    if precision not in DTYPES:
        return nullcontext()
    return torch.autocast(device.type, dtype=DTYPES[precision])


def upload(tensor: torch.Tensor, device: torch.device) -> torch.Tensor:
    """``tensor`` on ``device`` without waiting for what the device is doing."""
    return tensor.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else tensor.to(device)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Draw torch's default random numbers from ``seed`` inside, and leave the outside stream untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield
