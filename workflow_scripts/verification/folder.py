"""A bundle's small files as a folder: to be kept in a repository, read there, checked and compared like the bundle.

The manifest is that of these files; the records are all of the bundle, compressed. Files have shorter names than in a
bundle: what lies in ``results/papers/<paper>/`` and ``results/`` lies in the folder itself.
"""

import gzip
import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from methods.errors import ReproError, refuse
from methods.files import atomic, write_text

MANIFEST, RECORDS = "manifest.json", "records.json"
# Forms for print and browser, and what tables and records.json hold already
_LEFT_OUT = (".pdf", ".html", ".tex", "README.txt", "metrics.csv", ".provenance.json")
_BLOCK = re.compile(r"(<!-- from (?P<file>\S+) -->\n).*?(<!-- end -->)", re.DOTALL)


def is_small(key: str) -> bool:
    """Whether a member of a bundle is kept in the folder."""
    return not key.endswith(_LEFT_OUT)


def read_folder(folder: Path) -> dict[str, bytes]:
    """Members by their names in a bundle, unchecked; files beside them are no members.

    Raises:
        ReproError: the folder has no manifest, or one that cannot be read.
    """
    try:
        content = (folder / MANIFEST).read_bytes()
        manifest = json.loads(content)
        named = {key: folder / file_of(key, manifest["paper"]) for key in manifest["members"]}
        return {key: _unpacked(key, path.read_bytes()) for key, path in named.items() if path.is_file()} | {
            MANIFEST: content
        }
    except (OSError, ValueError, KeyError, TypeError, EOFError) as error:
        raise ReproError(f"{folder} cannot be read as an unpacked bundle ({error}): fetch or make it again.") from error


def write_folder(folder: Path, members: Mapping[str, bytes]) -> None:
    """Write ``members`` (with their manifest); what only an older manifest there lists is removed."""
    paper = json.loads(members[MANIFEST])["paper"]
    refuse(folder.is_file(), f"{folder} is a file: name a folder for the results of {paper}.")
    old = read_folder(folder) if (folder / MANIFEST).is_file() else {}
    for key, content in members.items():
        with atomic(folder / file_of(key, paper)) as temporary:
            temporary.write_bytes(_packed(key, content))
    for key in set(old) - set(members):
        (folder / file_of(key, json.loads(old[MANIFEST])["paper"])).unlink(missing_ok=True)


def fill(pages: Iterable[Path]) -> None:
    """Put files into the pages that quote them: between `<!-- from FILE -->` and `<!-- end -->`, FILE as in a link.

    Raises:
        ReproError: a file that is quoted does not exist.
    """
    for page in pages:
        text = page.read_text(encoding="utf-8")
        if (filled := _filled(page, text)) != text:
            write_text(page, filled)


def _filled(page: Path, text: str) -> str:
    return _BLOCK.sub(lambda block: f"{block[1]}{quoted(page, block['file'])}{block[3]}", text)


def quoted(page: Path, file: str) -> str:
    """What a page shows of a file."""
    path = page.parent / file
    refuse(not path.is_file(), f"{page} quotes {file}, which does not exist: publish it, or take the quotation out.")
    return path.read_text(encoding="utf-8").rstrip("\n") + "\n"


def file_of(key: str, paper: str) -> str:
    """Name in the folder of a member."""
    if key == RECORDS:
        return f"{RECORDS}.gz"
    return key.removeprefix(f"results/papers/{paper}/").removeprefix("results/")


def _packed(key: str, content: bytes) -> bytes:
    return gzip.compress(content, mtime=0) if key == RECORDS else content


def _unpacked(key: str, content: bytes) -> bytes:
    return gzip.decompress(content) if key == RECORDS else content
