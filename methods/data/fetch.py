"""Bringing a source file to its place, verified; nothing unverified ever carries the final name."""

import gzip
import importlib.resources
import shutil
import time
import zlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import requests

from methods.data.downloads import size_text
from methods.data.lock import held
from methods.data.pages import direct_url
from methods.data.part import Part
from methods.data.places import archive_places
from methods.data.transfer import GaveUp, Patience, SourceFailure, download, new_session
from methods.data.verify import Expected, WrongBytes
from methods.errors import ReproError, refuse
from methods.files import atomic, sha256_bytes, sha256_file
from methods.progress import LOG, readable_bytes, report_transfer

_USUAL = Patience()


def fetch(
    dataset: str,
    file: Mapping[str, Any],
    destination: str | Path,
    *,
    lock: Path | None = None,
    folders: Sequence[str | Path] = (),
    offline: bool = False,
    patience: Patience = _USUAL,
) -> None:
    """Bring one file of a catalog record to ``destination``.

    The bytes of a download that broke off stay beside it, and the next call goes on from there. Of several
    processes that want the same file one fetches and the others wait for it.

    Args:
        dataset: its name, for messages and the lock file.
        file: ``name`` and either ``package`` (a file inside an installed Python package, verified by the hash
            of its decoded content) or ``urls`` (tried in order) with ``sha256``, ``md5``, ``sha256_prefix`` or
            ``hash: unknown``, and where known ``size`` (bytes, verified) or ``about`` (bytes, for messages).
        lock: where to record hashes that the catalog lacks, and to compare with those recorded.
        folders: folders of the user's; a file of the right name and content there is copied instead of fetched.
        offline: refuse to download.
        patience: how long to wait and how often to try.

    Raises:
        ReproError: no source gave the expected content (names every source and what it gave), the disk is full,
            ``offline`` forbids it, or the lock file is damaged.
    """
    target = Path(destination)
    with held(target.with_name(f".{target.name}.lock")):
        if "package" in file:
            return _from_package(dataset, file, target)
        wanted = Expected(dataset, file, lock)
        part = Part(target, file, wanted.verifiable)
        if wanted.lies_at(target):
            return part.drop()
        refused: list[str] = []
        if _copied(wanted, archive_places(folders, dataset, target.name), target, refused):
            return part.drop()
        urls = [direct_url(url) for url in file["urls"]]
        refuse(offline, "\n".join([_offline_message(dataset, file, urls), *refused]))
        return _from_urls(wanted, urls, part, patience)


def _copied(wanted: Expected, places: Iterable[Path], target: Path, refused: list[str]) -> bool:
    """Take the first right file; what is wrong with others is added to ``refused``."""
    for place in places:
        try:
            sha256 = wanted.verify(place)
        except SourceFailure as failure:
            refused.append(f"  {place} {failure}: it is not used.")
            LOG.warning("%s", refused[-1].strip())
            continue
        wanted.record("data.sources", place.stat().st_size, sha256)
        with atomic(target) as temporary:
            shutil.copyfile(place, temporary)
        LOG.info("%s copied from %s", target.name, place)
        return True
    return False


def _from_package(dataset: str, file: Mapping[str, Any], destination: Path) -> None:
    source = file["package"]
    try:
        origin = importlib.resources.files(source["name"]).joinpath(source["path"])
        content = origin.read_bytes()
    except (ModuleNotFoundError, FileNotFoundError) as error:
        install = f", or `pip install {source['install']}`" if "install" in source else ""
        raise ReproError(
            f"{dataset} needs {source['path']} of the Python package {source['name']}, which is not installed "
            f"as pinned: run `make env`{install}."
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
    """Hash of what a file says rather than how it is packed: ``gzip`` text, ``pixels`` of a picture, else its bytes."""
    if decoded == "bytes":
        return sha256_file(path)
    if decoded == "gzip":
        return sha256_bytes(gzip.decompress(path.read_bytes()))
    import numpy as np
    from PIL import Image

    with Image.open(path) as picture:
        return sha256_bytes(np.asarray(picture.convert("RGB")).tobytes())


def _from_urls(wanted: Expected, urls: Sequence[str], part: Part, patience: Patience) -> None:
    failures, start = [], time.monotonic()
    with new_session() as session:
        for url in urls:
            try:
                sha256 = _from_url(url, wanted, part, patience, session)
            except SourceFailure as failure:
                failures.append(f"  {url}: {failure}")
                LOG.warning("%s: %s %s", part.name, url, failure)
                continue
            wanted.record(url, part.size, sha256)
            report_transfer(part.name, part.size, time.monotonic() - start, url, wanted.hash_kind())
            return part.move_to_its_place()
    if not part.size:
        part.drop()
    raise ReproError(_failure_message(wanted, failures, part.size))


def _from_url(url: str, wanted: Expected, part: Part, patience: Patience, session: requests.Session) -> str:
    """SHA-256 of the part once it is the right file; joined bytes that are wrong are fetched once more whole."""
    try:
        return _download(url, wanted, part, patience, session)
    except WrongBytes as wrong:
        joined = part.resumed
        part.drop()
        if not joined:
            raise
        LOG.info("%s: the bytes joined to earlier ones %s; once more from the start", part.name, wrong)
    try:
        return _download(url, wanted, part, patience, session)
    except WrongBytes:
        part.drop()
        raise


def _download(url: str, wanted: Expected, part: Part, patience: Patience, session: requests.Session) -> str:
    if part.size and part.size == wanted.file.get("size"):
        part.resumed = True  # ended between its last byte and its check
    else:
        try:
            download(url, part, patience, session)
        except GaveUp:
            if not wanted.fits(part.path):  # an announced length can be wrong, a hash cannot
                raise
    return wanted.verify(part.path)


def _failure_message(wanted: Expected, failures: Sequence[str], kept: int) -> str:
    name, dataset = wanted.file["name"], wanted.dataset
    resume = f"{readable_bytes(kept)} of it are kept: the same command goes on from there.\n" if kept else ""
    return (
        f"No source of {dataset} gave {name} as the catalog expects it:\n" + "\n".join(failures) + f"\n{resume}"
        f"To go on without this set, add to config.yaml:\n  datasets: {{unavailable: [{dataset}]}}\n"
        f"To go on with it, get {name} by hand and put it into a folder listed in:\n  data: {{sources: [...]}}"
    )


def _offline_message(dataset: str, file: Mapping[str, Any], urls: Sequence[str]) -> str:
    return (
        f"{file['name']} of {dataset} ({size_text(file)}) is not here, and `offline` forbids to download it from "
        f"{urls[0]}. Unset `offline`, or put the file into a folder listed in `data: {{sources: [...]}}`."
    )
