"""Bringing a source file to its place, verified; nothing unverified ever carries the final name."""

import gzip
import importlib.resources
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from methods.errors import ReproError
from methods.files import atomic, sha256_bytes


def fetch(dataset: str, file: Mapping[str, Any], destination: str | Path) -> None:
    """Bring one file of a catalog record to ``destination``.

    Args:
        dataset: its name, for messages.
        file: ``name`` and either ``package`` (a file inside an installed Python package, verified by the hash
            of its decoded content) or ``urls`` (tried in order, verified by ``sha256`` or ``md5``).

    Raises:
        ReproError: no source gave the expected content; names every source and what it gave.
    """
    if "package" in file:
        _from_package(dataset, file, Path(destination))
    else:
        _from_urls(dataset, file, Path(destination))


def _from_package(dataset: str, file: Mapping[str, Any], destination: Path) -> None:
    source = file["package"]
    try:
        origin = importlib.resources.files(source["name"]).joinpath(source["path"])
        content = origin.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        raise ReproError(
            f"{dataset} needs {source['path']} of the Python package {source['name']}, which is not installed "
            "as pinned: run `make env`."
        ) from error
    with atomic(destination) as temporary:
        temporary.write_bytes(content)
        found = _decoded_or_nothing(temporary, source["decoded"])
        if found != source["decoded_sha256"]:
            raise ReproError(
                f"{source['path']} of the Python package {source['name']} decodes to {found[:12]}, {dataset} expects "
                f"sha256 {source['decoded_sha256'][:12]}: install the pinned versions (`make env`)."
            )


def _decoded_or_nothing(path: Path, decoded: str) -> str:
    try:
        return decoded_sha256(path, decoded)
    except (OSError, EOFError, zlib.error):
        return "nothing"


def decoded_sha256(path: Path, decoded: str) -> str:
    """Hash of what a file says rather than how it is packed: ``gzip`` text or ``pixels`` of a picture."""
    if decoded == "gzip":
        return sha256_bytes(gzip.decompress(path.read_bytes()))
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return sha256_bytes(np.asarray(picture.convert("RGB")).tobytes())


def _from_urls(dataset: str, file: Mapping[str, Any], destination: Path) -> None:
    failures = []
    for url in file["urls"]:
        try:
            return _download(url, file, destination)
        except (OSError, ValueError) as error:
            failures.append(f"  {url}: {(str(error).splitlines() or [type(error).__name__])[0]}")
    raise ReproError(
        f"No source of {dataset} gave {file['name']} as the catalog expects it:\n" + "\n".join(failures) + "\n"
        f"To go on without this set, add to config.yaml:\n  datasets: {{unavailable: [{dataset}]}}"
    )


def _download(url: str, file: Mapping[str, Any], destination: Path) -> None:
    import pooch

    algorithm = "sha256" if file.get("sha256") else "md5"
    with atomic(destination) as temporary:
        downloader = pooch.HTTPDownloader(progressbar=False, timeout=60)
        pooch.retrieve(
            url,
            known_hash=f"{algorithm}:{file[algorithm]}",
            fname=temporary.name,
            path=temporary.parent,
            downloader=downloader,
        )
