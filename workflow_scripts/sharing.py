"""Several workflows on one data folder: who makes which of its files, so that no file is made by two.

Snakemake deletes the outputs of a job when the job starts, also those that came into being after it had planned, and
touches them when it ends. Two workflows that both plan to make an image store would so take it away from under each
other's trainings, and make their models look older than it. Each workflow therefore leaves a claim in the data folder,
a file locked as long as it lives: what it is going to make there, shortened as files get done or fail, and what it
reads. Whoever wants a file that another claims waits, and plans anew once the other has made it.
"""

import atexit
import fcntl
import json
import os
import socket
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from methods.data.lock import held

FOLDER = ".workflows"
_open_claims: list[int] = []  # kept open, and with it locked, as long as the process lives


@dataclass(frozen=True)
class Claim:
    """What one workflow does with a data folder; names are relative to that folder.

    Attributes:
        owner: working folder, host and process, for messages.
        makes: files that it has planned to make and that are not settled yet.
        uses: files that its jobs read.
    """

    owner: str
    makes: frozenset[str] = frozenset()
    uses: frozenset[str] = field(default_factory=frozenset)

    def conflicts(self, other: "Claim") -> frozenset[str]:
        """Files that ``other`` is to make before this workflow can plan."""
        return (self.makes | self.uses) & other.makes

    def disturbs(self, other: "Claim", folder: Path) -> list[str]:
        """Files that are there, that this workflow would make anew, and that ``other`` reads."""
        return sorted(name for name in self.makes & other.uses - other.makes if (folder / name).exists())


def owner() -> str:
    """This workflow's name for others."""
    return f"{Path.cwd()} (host {socket.gethostname()}, process {os.getpid()})"


class Board:
    """The claims on one data folder.

    Args:
        folder: the data folder; ``.workflows`` in it holds a file a workflow.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.place = folder / FOLDER
        self._handle: int | None = None
        self._path: Path | None = None

    def enter(self, claim: Claim) -> tuple[Claim | None, Claim | None]:
        """Put ``claim`` up unless it conflicts.

        Returns:
            the claim to wait for and the claim that would be disturbed; both None when ``claim`` is up.
        """
        with held(self.place / ".lock"):
            for other in self.others():
                if claim.conflicts(other):
                    return other, None
                if claim.disturbs(other, self.folder):
                    return None, other
            self._put_up(claim)
        return None, None

    def blocked(self, claim: Claim) -> bool:
        """Whether some living workflow still has to make what ``claim`` needs."""
        with held(self.place / ".lock"):
            return any(claim.conflicts(other) for other in self.others())

    def others(self) -> Iterator[Claim]:
        """Claims of living workflows other than this; those of dead ones are removed."""
        for path in sorted(self.place.glob("*.json")):
            if path != self._path and (claim := _read(path)):
                yield claim

    def settle(self, claim: Claim, makes: frozenset[str]) -> Claim:
        """Shorten the claim that is up to what is still to be made."""
        shorter = replace(claim, makes=makes)
        with held(self.place / ".lock"):
            self._write(shorter)
        return shorter

    def _put_up(self, claim: Claim) -> None:
        self._path = self.place / f"{uuid.uuid4().hex}.json"
        self._handle = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o666)
        fcntl.flock(self._handle, fcntl.LOCK_EX)
        _open_claims.append(self._handle)
        atexit.register(self._path.unlink, missing_ok=True)
        self._write(claim)

    def _write(self, claim: Claim) -> None:
        assert self._handle is not None
        content = {key: value if isinstance(value, str) else sorted(value) for key, value in asdict(claim).items()}
        os.ftruncate(self._handle, 0)
        os.pwrite(self._handle, json.dumps(content).encode(), 0)


def _read(path: Path) -> Claim | None:
    """The claim of a living workflow; one whose owner is dead is removed."""
    try:
        with open(path, encoding="utf-8") as handle:
            try:
                fcntl.flock(handle, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                content = json.load(handle)
                return Claim(content["owner"], frozenset(content["makes"]), frozenset(content["uses"]))
        path.unlink(missing_ok=True)
    except (FileNotFoundError, ValueError):  # gone, or cut off by a full disk: nobody can be asked what it was
        pass
    return None
