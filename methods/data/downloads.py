"""What will be downloaded, said before it starts."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from methods.progress import readable_bytes

File = Mapping[str, Any]


def describe(file: File) -> str:
    """Name and size of a source file: ``cifar-100-python.tar.gz (169 MB)``."""
    return f"{file['name']} ({size_text(file)})" if "urls" in file else file["name"]


def announce(files: Sequence[tuple[str, File]], folder: str | Path, offline: bool) -> list[str]:
    """Lines that say what is missing, how large it is, where it comes from and whether the disk holds it.

    Args:
        files: (data set, file record) of everything still to fetch.
        folder: the data folder.
        offline: nothing will be asked of the network.
    """
    if not files:
        return []
    known = [size for _, file in files if (size := _bytes(file)) is not None]
    unknown = len(files) - len(known)
    parts = [readable_bytes(sum(known))] if known else []
    parts += [f"{unknown} of unknown size"] if unknown else []
    total = " and ".join(parts)
    free = shutil.disk_usage(_existing(Path(folder))).free
    head = f"{len(files)} source {'file is' if len(files) == 1 else 'files are'} not here yet, {total}"
    if offline:
        lines = [f"offline: {head}; unset offline, or put them into a folder of data.sources:"]
    else:
        lines = [f"to download: {head}, into {folder}; {readable_bytes(free)} are free there:"]
    lines += [f"  {dataset}: {describe(file)} from {urlparse(file['urls'][0]).netloc}" for dataset, file in files]
    if not offline and sum(known) > free:
        lines.append(
            f"  not enough: free {readable_bytes(sum(known) - free)} more in {folder}, or set data.folder elsewhere"
        )
    return lines


def _bytes(file: File) -> int | None:
    return file.get("size", file.get("about"))


def size_text(file: File) -> str:
    """Size of a source file as far as anybody knows it: ``169 MB``, ``about 103 MB`` or ``size unknown``."""
    if "size" in file:
        return readable_bytes(file["size"])
    return f"about {readable_bytes(file['about'])}" if "about" in file else "size unknown"


def _existing(path: Path) -> Path:
    return path if path.exists() else _existing(path.absolute().parent)
