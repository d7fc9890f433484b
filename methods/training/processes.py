"""One training on several GPUs, or on several processes of a CPU: starting them, and bringing the result back.

    python -m methods.training.processes FOLDER RANK

is one of them; it reads its task from FOLDER, where the processes also meet and where the first one leaves the result.
"""

import json
import logging
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from methods.data.images import read_images
from methods.disk import disk_trouble
from methods.errors import ReproError, refuse
from methods.progress import LOG, log_to
from methods.settings.pretrained import ROLE, starting_from
from methods.training import checkpoint as ckpt
from methods.training.device import choose_device
from methods.training.distributed import Group
from methods.training.fit import FitData, Result, fit
from methods.watchdog import watch

Sources = Mapping[str, tuple[str, str, str]]  # role -> (image store, data set, split), or (weights, name, file name)

_ROOT = Path(__file__).resolve().parents[2]
_SILENCE = timedelta(minutes=30)  # after which a process that waits for another gives up
_POLL_SECONDS = 0.2
_COMMAND = [sys.executable, "-m", "methods.training.processes"]


def fit_on_devices(settings: Mapping[str, Any], sources: Sources, hardware: Mapping[str, Any], resume: Path) -> Result:
    """:func:`methods.training.fit.fit` on ``hardware.devices`` GPUs or, on a CPU, processes.

    ``sources`` has under ``pretrained`` the file that the network starts from, if it does.

    Raises:
        ReproError: what ``fit`` refuses, fewer GPUs than asked for, or a process that ended without a word.
    """
    if hardware["devices"] == 1:
        return fit(*_ready(settings, sources), hardware, resume)
    _require_devices(hardware)
    resume.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=resume.parent) as name:
        folder = Path(name).resolve()
        logs = [handler.baseFilename for handler in LOG.handlers if isinstance(handler, logging.FileHandler)]
        task = {"settings": settings, "sources": sources, "hardware": hardware, "resume": str(resume.resolve())}
        (folder / "task.json").write_text(json.dumps({**task, "logs": logs}), encoding="utf-8")
        _run(folder, hardware["devices"])
        return _result(folder)


def read(sources: Sources) -> FitData:
    """The images that a training reads."""
    return FitData(**{role: read_images(*source) for role, source in sources.items() if role != ROLE})


def _ready(settings: Mapping[str, Any], sources: Sources) -> tuple[dict[str, Any], FitData]:
    """Settings with the place of the pretrained weights, if the network starts from some, and the images."""
    return starting_from(settings, sources[ROLE][0] if ROLE in sources else None), read(sources)


def _require_devices(hardware: Mapping[str, Any]) -> None:
    count, found = hardware["devices"], torch.cuda.device_count()
    if choose_device(hardware["device"]).type == "cuda":
        refuse(
            found < count,
            f"config.hardware.devices is {count}, but the job sees {found} of the GPUs: set it to {found} or, where "
            f"Snakemake was given too few, start it with --resources gpu={count}.",
        )


def _run(folder: Path, count: int) -> None:
    """Start the processes and wait; when one fails, end the others and say what it said."""
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "PYTHONPATH": path}
    # Files that were made inheritable, the locks of the GPUs, stay open in them: locked as long as one of them computes
    start = partial(subprocess.Popen, env=environment, close_fds=False)
    started = [start([*_COMMAND, str(folder), str(rank)]) for rank in range(count)]
    ended: list[tuple[int, int]] = []  # (code, number) of those that failed
    try:
        while not ended and any(process.poll() is None for process in started):
            time.sleep(_POLL_SECONDS)
            ended = [(code, rank) for rank, process in enumerate(started) if (code := process.poll())]
    finally:
        for process in started:
            process.kill()  # does nothing to one that has ended
            process.wait()
    if ended:
        said = sorted(folder.glob("error*"))
        # one that was killed (a code below 0) takes the others along, which then miss it
        raise ReproError(said[0].read_text(encoding="utf-8") if said else _end_of(*min(ended), count))


def _end_of(code: int, rank: int, count: int) -> str:
    what = f"Process {rank} of the {count} of this training"
    if code < 0:
        return (
            f"{what} was killed by signal {-code}, by somebody or for lack of memory; the others were ended. Run the "
            "same command again: it goes on from its last checkpoint."
        )
    return f"{what} ended with code {code}; its traceback is on the terminal."


def _result(folder: Path) -> Result:
    found = ckpt.load_checkpoint(folder / "result.safetensors")
    assert found is not None
    cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    return Result(found[0], found[1].history, cost)


def _process(folder: Path, rank: int) -> None:
    """The training as number ``rank`` sees it."""
    threading.Thread(target=_end_with, args=(os.getppid(),), daemon=True).start()
    task = json.loads((folder / "task.json").read_text(encoding="utf-8"))
    settings, hardware, resume = task["settings"], task["hardware"], Path(task["resume"])
    if rank == 0:
        for log in task["logs"]:
            log_to(log)
    log = Path(task["logs"][0]) if task["logs"] else None
    watch(hardware.get("stall_minutes", 0), partial(_say, folder, rank), log)
    _meet(folder, Group(rank, hardware["devices"]), choose_device(hardware["device"]))
    try:
        ready = _ready(settings, task["sources"])
        result = fit(*ready, hardware, resume, Group(rank, hardware["devices"]))
    except ReproError as error:
        _say(folder, rank, str(error))
        sys.exit(1)
    except Exception as error:
        if told := disk_trouble(error, [folder]):
            _say(folder, rank, told)
        raise
    if rank == 0:
        ckpt.save_checkpoint(folder / "result.safetensors", result.tensors, ckpt.Progress(history=result.history))
        (folder / "cost.json").write_text(json.dumps(result.cost), encoding="utf-8")
    dist.barrier()
    dist.destroy_process_group()


def _say(folder: Path, rank: int, text: str) -> None:
    """Leave a sentence for the process that started this one."""
    (folder / f"error{rank}").write_text(text, encoding="utf-8")


def _meet(folder: Path, group: Group, device: torch.device) -> None:
    backend = "gloo"
    if device.type == "cuda":
        torch.cuda.set_device(group.rank)
        backend = "nccl"
    place = f"file://{folder}/meeting"
    dist.init_process_group(backend, init_method=place, rank=group.rank, world_size=group.size, timeout=_SILENCE)


def _end_with(parent: int) -> None:
    """End this process when the one that started it is gone, however it went."""
    while os.getppid() == parent:
        time.sleep(_POLL_SECONDS)
    os._exit(1)


if __name__ == "__main__":
    _process(Path(sys.argv[1]), int(sys.argv[2]))
