"""Sets of one run made by one process: importing torch and loading a network often costs more than using it.

Snakemake has one job a set, so that a new OOD set is made alone. When a run starts, the sets that wait for the same
network are listed (`announce`). A job that has made its own set goes on with others of its list and leaves them beside
their places, named by everything that shapes them; their own jobs find them there and import nothing. Two jobs never
make the same set: each holds the byte of the list that stands for it.
"""

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import IO, Any

from methods.files import atomic, sha256_bytes, sha256_file
from methods.progress import LOG
from methods.provenance import fingerprint

FOLDER = Path(".snakemake/ood-repro.ahead")
RULES = ("extract_features", "score_network")
PATIENCE_SECONDS = 3.0  # about what loading torch and a network costs
_POLL_SECONDS = 0.02
LONGEST_SECONDS = 1200.0  # a job that goes on for others would run into the time limit of a cluster
_OF_ONE_SET = ("dataset", "split", "views")  # settings in which the sets of one network may differ

Make = Callable[["Part", Path], None]


@dataclass(frozen=True)
class Part:
    """What the job of one set is told.

    Attributes:
        rule: the job's.
        output: path of the file to make.
        split: data set and split.
        inputs: role -> path.
        settings: canonical JSON.
        digest: of the code.
    """

    rule: str
    output: str
    split: tuple[str, str]
    inputs: dict[str, str]
    settings: str
    digest: str

    @property
    def list_path(self) -> Path:
        """The list of all sets of the same network."""
        return FOLDER / f"{self.rule}-{sha256_bytes(self.inputs['model'].encode())[:16]}.json"

    @property
    def told(self) -> dict[str, Any]:
        """The settings, read."""
        return json.loads(self.settings)

    @property
    def stem(self) -> str:
        """How the names of files begin that wait for this set's job."""
        return f".{Path(self.output).name}."

    @cached_property
    def hashes(self) -> dict[str, str]:
        """Role -> SHA-256 of each input; read once, they may be gigabytes."""
        return {role: sha256_file(path) for role, path in self.inputs.items()}

    @cached_property
    def waiting(self) -> Path:
        """Where the finished file lies until its job comes for it."""
        name = fingerprint([self.settings, self.digest, self.hashes])[:16]
        return Path(self.output).with_name(f"{self.stem}{name}.ahead")

    def common(self) -> dict[str, Any]:
        """All that the sets of one network have in common: how it is taken up, by which code, beside which files."""
        told = {key: value for key, value in self.told.items() if key not in _OF_ONE_SET}
        return {**asdict(self), "output": "", "split": "", "settings": told, "inputs": {**self.inputs, "images": ""}}


def announce(jobs: Iterable[Any]) -> None:
    """Write the lists for the Snakemake jobs that will run; what an earlier run left is removed."""
    lists: dict[Path, list[Part]] = {}
    for job in jobs:
        if job.rule.name in RULES:
            part = _part(job.rule.name, job)
            lists.setdefault(part.list_path, []).append(part)
    shutil.rmtree(FOLDER, ignore_errors=True)
    for path, parts in lists.items():
        with atomic(path) as temporary:
            temporary.write_text(json.dumps([asdict(part) for part in sorted(parts, key=lambda part: part.output)]))


def make_in_turn(snakemake: Any, prepare: Callable[[], Make]) -> None:
    """Put the job's own file in its place and, where it had to be made, go on with others of the same network.

    Args:
        snakemake: the job.
        prepare: loads the network; gives the function that makes one set's file at a path, whole or not at all.
    """
    own, make = _part(snakemake.rule, snakemake), cache(prepare)
    with _Turn(own) as turn:
        if not turn.begin(PATIENCE_SECONDS):  # another process makes it: this one has a core, and can help
            _go_on(turn, make())
            turn.begin(float("inf"))
        if not own.waiting.exists():
            _remove_waiting(own)
            make()(own, own.waiting)
            _go_on(turn, make())
        os.replace(own.waiting, own.output)


class _Turn:
    """The list of the sets that wait for one network, as one job sees it; empty where its set waits alone.

    The byte of a set in the list is locked by whoever makes it; its byte in the file beside it tells that its job has
    begun, and what lies in its place is new.
    """

    def __init__(self, own: Part) -> None:
        self.own, self.parts = own, list[Part]()
        self.handle: IO[str] | None = None

    def __enter__(self) -> "_Turn":
        try:
            self.handle = open(self.own.list_path, "r+")
        except FileNotFoundError:
            return self
        parts = [Part(**{**entry, "split": tuple(entry["split"])}) for entry in json.load(self.handle)]
        if self.own in parts:
            self.parts = parts
            self._begun = os.open(self.own.list_path.with_suffix(".begun"), os.O_RDWR | os.O_CREAT, 0o666)
        return self

    def __exit__(self, *_: object) -> None:
        if self.handle:
            self.handle.close()  # and with it every lock

    def begin(self, seconds: float) -> bool:
        """Take the job's own set; False if another process is still making it after so many seconds."""
        if not self.parts:
            return True
        number, end = self.parts.index(self.own), time.monotonic() + seconds
        while not self._taken(number):
            if time.monotonic() > end:
                return False
            time.sleep(_POLL_SECONDS)
        os.pwrite(self._begun, b"1", number)
        return True

    def others(self) -> Iterator[Part]:
        """One set after the other that no job has begun and nobody is making; locked until the next is asked for."""
        for number, part in enumerate(self.parts):
            if part == self.own or part.common() != self.own.common():
                continue
            if not self._taken(number):
                continue
            try:
                if os.pread(self._begun, 1, number) != b"1":
                    yield part
            finally:
                self._lock(number, fcntl.LOCK_UN)

    def _taken(self, number: int) -> bool:
        try:
            self._lock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock(self, number: int, how: int) -> None:
        assert self.handle is not None
        fcntl.lockf(self.handle, how, 1, number)


def _go_on(turn: _Turn, make: Make) -> None:
    """Make what nobody else is making; whatever is wrong with another set is told by its own job."""
    end = time.monotonic() + LONGEST_SECONDS
    for part in turn.others():
        if time.monotonic() > end:
            break
        try:
            if all(os.path.exists(path) for path in part.inputs.values()) and not part.waiting.exists():
                make(part, part.waiting)
                LOG.info("made ahead of its job: %s", part.output)
        except Exception as error:
            LOG.info("left to its own job: %s (%s)", part.output, error)


def _part(rule: str, job: Any) -> Part:
    split = (job.wildcards.dataset, job.wildcards.split)
    inputs = {role: str(path) for role, path in job.input.items()}
    return Part(rule, str(job.output[0]), split, inputs, job.params.settings, job.params.digest)


def _remove_waiting(part: Part) -> None:
    """Remove what earlier code or another model left for this set."""
    folder = Path(part.output).parent
    for path in folder.glob(f"{part.stem}*.ahead") if folder.is_dir() else ():
        path.unlink(missing_ok=True)
