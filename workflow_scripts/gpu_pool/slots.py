"""GPUs for jobs: one lock file a device, shared by all workflows of a user on one machine.

A job holds the lock of each of its GPUs as long as it lives, and so does every process that inherits the open file
(:mod:`methods.training.processes`); the kernel lets go of it however they end. A job that needs several must not hold
one while another holds the rest: only whoever stands at the gate, one process at a time, may keep some and wait.
"""

import fcntl
import os
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import quote

from methods.errors import ReproError, refuse
from methods.progress import LOG
from workflow_scripts.gpu_pool.devices import VISIBLE, Gpu, gpus_here

FOLDER = "OOD_REPRO_GPU_SLOTS"  # another folder for the lock files, local to the machine
_SHARED = Path("/tmp")
_GATE = "gate"
_POLL_SECONDS = 0.5
_GATE_POLL_SECONDS = 0.05  # who stands at the gate is next, as nearly always


@contextmanager
def own_gpus(count: int) -> Iterator[list[Gpu]]:
    """``count`` GPUs for this process alone, named in ``CUDA_VISIBLE_DEVICES``; waits until there are so many.

    CUDA reads that variable when it starts, which importing torch does not do.

    Raises:
        ReproError: there are fewer, or CUDA has started already.
    """
    if count == 0:
        yield []
        return
    gpus, begun = gpus_here(), time.monotonic()
    _require(count, gpus)
    with ExitStack() as held:
        mine = claim(gpus, count, slot_folder(), held)
        os.environ[VISIBLE] = ",".join(gpu.name for gpu in mine)
        names, waited = ", ".join(map(str, mine)), time.monotonic() - begun
        LOG.info("computes on GPU %s (%d may be used), after %.1f s in the queue", names, len(gpus), waited)
        yield mine


def slot_folder() -> Path:
    """The folder of the lock files, made if need be.

    Neither TMPDIR nor a folder of the login session: two checkouts must find the same one.

    Raises:
        ReproError: somebody else made it.
    """
    if own := os.environ.get(FOLDER):
        Path(own).mkdir(parents=True, exist_ok=True)
        return Path(own)
    folder = _SHARED / f"ood-repro-gpus-{os.getuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.lstat().st_uid
    refuse(
        folder.is_symlink() or found != os.getuid(),
        f"{folder}, where GPUs are locked, belongs to user {found}: have it removed, or name another in {FOLDER}.",
    )
    return folder


def claim(gpus: Sequence[Gpu], count: int, folder: Path, held: ExitStack) -> list[Gpu]:
    """``count`` of ``gpus``, the first that are free, locked until ``held`` closes; waits for them.

    Who does not stand at the gate takes all or none. So a job that needs one GPU may slip past another that collects
    two, which keeps what it has, looks ten times as often, and gets the next one.
    """
    held.callback(os.close, _keep_from_cleaning(folder))
    slots, gate, told = Slots(folder), None, False
    held.callback(slots.release)
    with ExitStack() as waiting:
        while True:
            if gate is None and (gate := try_lock(folder / _GATE)) is not None:
                waiting.callback(os.close, gate)
            if len(mine := slots.take(gpus, count)) == count:
                return mine
            if not told:
                told = True
                LOG.info("waits for %d of %d GPUs: others hold the locks in %s", count, len(gpus), folder)
            if gate is None:
                slots.release()
            time.sleep(_POLL_SECONDS if gate is None else _GATE_POLL_SECONDS)


class Slots:
    """The locks of a folder that this process holds."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.handles: dict[Gpu, int] = {}

    def take(self, gpus: Sequence[Gpu], count: int) -> list[Gpu]:
        """Lock free ones of ``gpus`` up to ``count`` in all; returns those held now."""
        for gpu in gpus:
            if len(self.handles) < count and gpu not in self.handles:
                handle = try_lock(self.folder / quote(gpu.slot, safe=""))
                if handle is not None:
                    os.set_inheritable(handle, True)  # for processes that compute for this one
                    self.handles[gpu] = handle
        return [gpu for gpu in gpus if gpu in self.handles]

    def release(self) -> None:
        """Let go of all."""
        for handle in self.handles.values():
            os.close(handle)
        self.handles.clear()


def try_lock(path: Path) -> int | None:
    """The open and locked file; None while another process holds it, or when it was replaced meanwhile."""
    handle = os.open(path, os.O_RDONLY | os.O_CREAT, 0o644)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.path.samestat(os.fstat(handle), os.stat(path)):
            return handle
    except (BlockingIOError, FileNotFoundError):
        pass
    os.close(handle)
    return None


def _keep_from_cleaning(folder: Path) -> int:
    """A shared lock on the folder: systemd-tmpfiles, which empties /tmp of old files, passes over locked folders."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    fcntl.flock(handle, fcntl.LOCK_SH)
    return handle


def _require(count: int, gpus: Sequence[Gpu]) -> None:
    shown = f" ({VISIBLE} is {os.environ[VISIBLE]!r})" if VISIBLE in os.environ else ""
    here = f"there is none here{shown}"
    refuse(not gpus, f"The job asks for a GPU, but {here}: set config.hardware.device to auto or cpu.")
    refuse(
        count > len(gpus),
        f"The job asks for {count} GPUs, but there are {len(gpus)} here{shown}: set config.hardware.devices to "
        f"{len(gpus)}.",
    )
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        raise ReproError("CUDA had started before the job had its GPU: no import may ask torch for a device.")
