"""What every job of the workflow does around its work.

It writes the rule's log, keeps the hash of every file the job made, turns a known error into one sentence on the
terminal, takes part in the folder's job lock, gets the job its GPUs, and ends when the Snakemake that started it is
gone: an orphan would write into a folder another run believes free.
"""

import errno
import fcntl
import logging
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import gettempdir
from typing import IO, Any

from methods.disk import disk_trouble
from methods.errors import ReproError
from methods.liveness import process_identity
from methods.progress import LOG, log_to
from methods.watchdog import watch
from workflow_scripts.cluster.head import end_with_head
from workflow_scripts.gpu_pool.slots import own_gpus
from workflow_scripts.shared_cache import note_made, require_sound
from workflow_scripts.verification.hashes import forget_hashes, keep_hashes

OWNER = "OOD_REPRO_OWNER"  # pid and start time of the Snakemake that started this job
JOB_LOCK = Path(".snakemake/ood-repro.jobs.lock")
_POLL_SECONDS = 0.5


def run_job(main: Callable[[Any], None], snakemake: Any) -> None:
    """Run ``main(snakemake)``; exit code 1 and a message after an error."""
    end_with(os.environ.get(OWNER))  # first of all: an orphan must not touch the new run's log
    end_with_head()
    try:
        lock = locked(JOB_LOCK, fcntl.LOCK_SH)  # as long as this process lives
    except ReproError as error:
        sys.exit(f"{snakemake.rule}: {error}")
    log = Path(snakemake.log[0])
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    started, folders = time.monotonic(), [snakemake.config[part]["folder"] for part in ("data", "results")]
    try:
        _open_log(log)
        forget_hashes(snakemake.output, folders)
        require_sound(snakemake.input)
        with own_gpus(_gpus(snakemake)):
            watch(snakemake.config["hardware"]["stall_minutes"], lambda said: _say(log, snakemake.rule, said), log)
            main(snakemake)
        note_made(keep_hashes(snakemake.output, folders))  # `snakemake verify` compares
        LOG.info("done in %.1f s", time.monotonic() - started)
    except ReproError as error:
        _fail(log, snakemake.rule, str(error))
    except KeyboardInterrupt:
        _fail(log, snakemake.rule, "interrupted")
    except Exception as error:
        LOG.error("%s", traceback.format_exc())
        if told := disk_trouble(error, [*map(os.path.dirname, snakemake.output), *folders, log.parent, gettempdir()]):
            _fail(log, snakemake.rule, told)
        _fail(log, snakemake.rule, f"unexpected {type(error).__name__}: {error} (traceback in {log})")
    finally:
        lock.close()


def _gpus(snakemake: Any) -> int:
    """How many GPUs the job computes on: none where the config says so, whatever a profile claims for the rule."""
    return 0 if snakemake.config["hardware"]["device"] == "cpu" else int(snakemake.resources.get("gpu", 0))


def locked(path: Path, mode: int) -> IO[str]:
    """The file at ``path``, opened and locked by ``flock``.

    Raises:
        BlockingIOError: ``mode`` says not to wait and another process holds it.
        ReproError: the file system has no such locks.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = open(path, "a+")  # noqa: SIM115 - NFS gives a shared lock only to who may read
    try:
        fcntl.flock(handle, mode)
    except OSError as error:
        handle.close()
        if error.errno in (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP):
            raise ReproError(
                f"{path.absolute()} cannot be locked ({error.strerror}): the file system must offer flock "
                "(NFS: no `nolock`; Lustre: mounted with `-o flock`), or the project must run in another folder"
            ) from error
        raise
    return handle


def end_with(identity: str | None) -> None:
    """End this process, at once or later, when the process of ``identity`` is gone."""
    if identity:
        _end_if_gone(identity)
        threading.Thread(target=_watch, args=(identity,), daemon=True).start()


def _watch(identity: str) -> None:
    while True:
        time.sleep(_POLL_SECONDS)
        _end_if_gone(identity)


def _end_if_gone(identity: str) -> None:
    if process_identity(int(identity.split(":")[0])) != identity:
        os._exit(1)  # outputs are written whole or not at all, so there is nothing to clean up


def lock_file(snakemake: Any) -> Path:
    """Where hashes are recorded that nobody published."""
    return Path(snakemake.config["data"]["folder"]) / "datasets.lock.json"


def hardware_of(snakemake: Any) -> dict[str, Any]:
    """``config.hardware`` and the run's name; no params, so that they never cause a rerun or a cache miss."""
    w = snakemake.wildcards
    return {**snakemake.config["hardware"], "name": f"{w.benchmark}/{w.method}/{w.protocol}/seed{w.seed}"}


def files(value: Any) -> list[str]:
    """Paths of one named input, which Snakemake gives as a text or a list."""
    return [value] if isinstance(value, str) else list(value or [])


def parents(source: Any) -> dict[str, str]:
    """Role -> path of every input; several of one name are numbered."""
    found: dict[str, str] = {}
    for role, value in source.items():
        paths = files(value)
        found |= {role if isinstance(value, str) else f"{role}_{i}": path for i, path in enumerate(paths)}
    return found


def _open_log(path: Path) -> None:
    logging.raiseExceptions = False  # a log on a full disk is no reason to stop, or to fill the terminal
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("")  # and then only added to, also by processes that the job starts
    handler = log_to(path)
    logging.captureWarnings(True)
    logging.getLogger("py.warnings").addHandler(handler)


def _fail(log: Path, rule: str, message: str) -> None:
    LOG.error("%s", message)
    _say(log, rule, message)
    sys.exit(1)


def _say(log: Path, rule: str, message: str) -> None:
    print(f"\n{rule}: {message}\n(log: {log})", file=sys.stderr, flush=True)
