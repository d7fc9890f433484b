"""A disk that is full, over its quota or read-only, found early and told in a sentence."""

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

from methods.errors import ReproError
from methods.progress import readable_bytes

_ROOM = 1 << 16  # bytes; less than this is no room for logs and records
_MESSAGES = {  # libraries that wrap the error keep its text, and no number
    errno.ENOSPC: ("No space left on device", "os error 28", "errno = 28"),
    errno.EDQUOT: ("Disk quota exceeded", "os error 122", "errno = 122"),
    errno.EROFS: ("Read-only file system", "os error 30", "errno = 30"),
}


def disk_trouble(error: BaseException, folders: Iterable[str | Path]) -> str | None:
    """The sentence for an error that comes from a disk that takes no more; None for any other error.

    Args:
        error: what was raised, also by a library that wraps the system's error in one of its own.
        folders: where the caller writes; the fullest of them is named where the error names no file.
    """
    for cause in _causes(error):
        number = _number(cause)
        if number is not None:
            return _sentence(number, _folder(cause, number, [existing(folder) for folder in folders]))
    return None


def require_writable(folder: str | Path, what: str) -> None:
    """Refuse a ``folder`` that nothing can be written into; it need not exist yet.

    Args:
        folder: where files are to be written.
        what: what it is for, such as ``results.folder``.

    Raises:
        ReproError: the disk is full or read-only, or this user may not write there.
    """
    place = existing(folder)
    try:
        with tempfile.TemporaryFile(dir=place) as handle:
            os.posix_fallocate(handle.fileno(), 0, _ROOM)
    except OSError as error:
        told = disk_trouble(error, [place]) or f"{place} cannot be written ({error.strerror}): mend its permissions."
        raise ReproError(f"{what} is {folder}, which takes no files. {told}") from error


def existing(folder: str | Path) -> Path:
    """``folder``, or the nearest folder above it that exists."""
    place = Path(folder).absolute()
    while not place.is_dir() and place != place.parent:
        place = place.parent
    return place


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _number(error: BaseException) -> int | None:
    number = getattr(error, "errno", None)
    if isinstance(error, OSError) and number is not None:
        return number if number in _MESSAGES else None
    text = str(error)
    return next((number for number, parts in _MESSAGES.items() if any(part in text for part in parts)), None)


def _folder(error: BaseException, number: int, folders: list[Path]) -> Path:
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if isinstance(name, str | os.PathLike):
        return existing(Path(name).absolute().parent)
    folders = folders or [Path.cwd()]
    if number == errno.EROFS:
        return next((folder for folder in folders if not os.access(folder, os.W_OK)), folders[0])
    return min(folders, key=lambda folder: shutil.disk_usage(folder).free)


def _sentence(number: int, folder: Path) -> str:
    again = "and run the same command again: what is finished is kept."
    free = readable_bytes(shutil.disk_usage(folder).free)
    if number == errno.EROFS:
        return f"The file system of {folder} is read-only: mount it for writing, or name another folder, {again}"
    if number == errno.EDQUOT:
        return f"The quota on the disk of {folder} is used up (the disk has {free} free): make room in it, {again}"
    return f"The disk of {folder} has no room left ({free} free): make room, or take a larger disk, {again}"
