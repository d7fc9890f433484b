"""The hash of every file a job made, kept outside the file, and fast hashing of many files.

A record of an artifact says what it was made *from*. What it *is* stands in the records of those who read it, which a
file that nobody has read yet does not have. So each job also leaves one line a file it made, in the form of
``sha256sum``, under ``hashes/`` of the folder that holds the file; nothing of the artifact itself changes. A second
line holds the hash of the first, so that a damaged line is not taken for a damaged artifact.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from methods.files import sha256_bytes, sha256_file, write_text

FOLDER = "hashes"
_LINE = re.compile(r"(?P<line>(?P<sha256>[0-9a-f]{64})  (?P<name>[^\n]+)\n)# (?P<own>[0-9a-f]{64})\n")
_THREADS = 8


def made_files(outputs: Iterable[str | Path], roots: Sequence[str | Path]) -> Iterator[tuple[Path, str]]:
    """(root, name in it) of every file among ``outputs``; of a folder, of all files in it.

    Files outside all ``roots`` are left out; of roots that lie in each other the inner one counts.
    """
    for output in map(Path, outputs):
        files = sorted(path for path in output.rglob("*") if path.is_file()) if output.is_dir() else [output]
        for file in files:
            if (root := holding_root(file, roots)) is not None:
                yield root, file.relative_to(root).as_posix()


def holding_root(file: Path, roots: Iterable[str | Path]) -> Path | None:
    """The root that holds ``file``, the inner one of several; None if it is outside all."""
    holding = [Path(root) for root in roots if file.is_relative_to(root)]
    return max(holding, key=lambda folder: len(folder.parts)) if holding else None


def keep_hashes(outputs: Iterable[str | Path], roots: Sequence[str | Path]) -> list[str]:
    """Write the line of every file that a job made; gives their hashes."""
    found = []
    for root, name in made_files(outputs, roots):
        found.append(sha256_file(root / name))
        line = f"{found[-1]}  {name}\n"
        write_text(line_path(root, name), f"{line}# {sha256_bytes(line.encode())}\n")
    return found


def forget_hashes(outputs: Iterable[str | Path], roots: Sequence[str | Path]) -> None:
    """Remove the lines of files that a job is about to make anew, so that a killed job leaves no old line."""
    for root, name in made_files(outputs, roots):
        line_path(root, name).unlink(missing_ok=True)


def line_path(root: str | Path, name: str) -> Path:
    """Where the line of a file is kept."""
    return Path(root) / FOLDER / f"{name}.sha256"


def read_hashes(root: str | Path) -> tuple[dict[str, str], dict[str, Path]]:
    """Name in ``root`` -> SHA-256, and name -> file of the lines that are damaged."""
    found, damaged = {}, {}
    for path in sorted((Path(root) / FOLDER).rglob("*.sha256")):
        name = path.relative_to(Path(root) / FOLDER).as_posix().removesuffix(".sha256")
        parts = _LINE.fullmatch(path.read_bytes().decode("utf-8", errors="replace"))
        if parts is None or sha256_bytes(parts["line"].encode()) != parts["own"] or parts["name"] != name:
            damaged[name] = path
        else:
            found[name] = parts["sha256"]
    return found, damaged


def hash_files(paths: Mapping[str, Path], report: Callable[[int], None] = lambda size: None) -> dict[str, str]:
    """Key -> SHA-256 of many files, several at once: hashing and reading leave Python's lock.

    Args:
        paths: key -> file; the largest are begun first, so that no thread is left with one at the end.
        report: is told how many more bytes were hashed, from any thread.
    """
    order = sorted(paths, key=lambda key: -paths[key].stat().st_size)
    with ThreadPoolExecutor(min(_THREADS, os.cpu_count() or 1)) as pool:
        found = dict(zip(order, pool.map(lambda key: sha256_file(paths[key], report), order), strict=True))
    return {key: found[key] for key in paths}
