"""What to do when memory runs out: try again with a smaller batch, or say how much there was. Imports torch."""

import os
import resource
from collections.abc import Callable
from typing import TypeVar

import torch

from methods.errors import ReproError
from methods.progress import LOG, readable_bytes

T = TypeVar("T")

# cuDNN, cuBLAS and the CPU's allocator say it in words of their own, not by torch.OutOfMemoryError
_SIGNS = ("out of memory", "ALLOC_FAILED", "can't allocate memory")


def ran_out(error: BaseException) -> bool:
    """Whether ``error`` says that memory of the GPU, or of the CPU for tensors, ran out."""
    return isinstance(error, RuntimeError) and any(sign in str(error) for sign in _SIGNS)


def with_smaller_batches(
    compute: Callable[[int], T], batch: int, what: str, device: torch.device, switch: str = ""
) -> T:
    """``compute(batch)``, or from its beginning with half the batch as often as memory runs out.

    The result is what the smaller batch gives from the start: nothing of an attempt that failed is kept.

    Args:
        compute: takes a number of images and keeps nothing on the device between calls.
        batch: to begin with.
        what: for the log.
        device: where memory ran out.
        switch: key of the config by which the batch can be made smaller from the start, if there is one.

    Raises:
        ReproError: not even a batch of one fits.
    """
    while True:
        try:
            return compute(batch)
        except RuntimeError as error:
            if not ran_out(error):
                raise
            found = f"{what}: out of memory with a batch of {batch} ({memory_use(device)})"
            if batch == 1:
                raise ReproError(f"{found}: not even one fits, so free the device or take another.") from error
        batch //= 2  # out of the handler, for the error holds on to all that its calls had made
        spared = f"; {switch}: {batch} in the config spares it" if switch else ""
        LOG.warning("%s: starts again with %d, the same up to rounding%s", found, batch, spared)
        if device.type == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats(device)


def memory_use(device: torch.device) -> str:
    """Peak and total memory in words; of the GPU, or on a CPU of the process and the machine."""
    if device.type == "cuda":
        sizes = (torch.cuda.max_memory_allocated(device), torch.cuda.max_memory_reserved(device))
        used, kept = map(readable_bytes, sizes)
        free, total = map(readable_bytes, torch.cuda.mem_get_info(device))
        return f"peak {used} in use, {kept} reserved; {free} free of {total} on {torch.cuda.get_device_name(device)}"
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    total_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return f"peak {readable_bytes(peak)} of the process; the machine has {readable_bytes(total_bytes)}"
