"""Files that Snakemake's cache between workflows gives in the place of a job.

The cache names a file by what it was made from and never looks into it again. So that bytes which went bad there are
noticed before they are used, every job leaves the hash of what it made in the cache's folder, and a job that is given a
link into the cache looks for the hash of what the link leads to.
"""

import os
from collections.abc import Iterable
from pathlib import Path

from methods.errors import refuse
from methods.files import sha256_file

LOCATION = "SNAKEMAKE_OUTPUT_CACHE"
FOLDER = ".ood-repro"  # of the cache; an empty file a hash


def note_made(hashes: Iterable[str]) -> None:
    """Leave the hashes of files that a job made, if a cache is in use."""
    cache = Path(os.environ.get(LOCATION, ""))
    if not os.environ.get(LOCATION) or not os.access(cache, os.W_OK):
        return
    (cache / FOLDER).mkdir(exist_ok=True)
    if os.stat(cache / FOLDER).st_uid == os.getuid():
        os.chmod(cache / FOLDER, 0o777)  # for all who share it, as the files of the cache
    for sha256 in hashes:
        (cache / FOLDER / sha256).touch()


def require_sound(paths: Iterable[str]) -> None:
    """Refuse a link into the cache that leads to bytes which no job made.

    Raises:
        ReproError: names the link, and what to delete.
    """
    for path in map(Path, paths):
        if not path.is_symlink():
            continue
        known = path.resolve().parent / FOLDER
        refuse(
            known.is_dir() and not (known / sha256_file(path)).exists(),
            f"{path} is a link to {path.resolve()} in the cache between workflows, which holds bytes that no job made: "
            "it was damaged there. Delete both and run the same command again.",
        )
