"""Rule verify_source: a split that lies in a folder of the user's, read once and compared with what is known of it."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods.data import sources
from methods.data.places import Wanted, locate
from methods.errors import ReproError
from workflow_scripts.job import LOG, lock_file, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    want = Wanted(**json.loads(snakemake.params.settings))
    folders = snakemake.config["data"]["sources"]
    place = locate(want, folders)
    if place is None:
        raise ReproError(f"{want.name} was not found in data.sources ({', '.join(folders) or 'empty'}).")
    manifest = sources.verify_place(want, place, lock_file(snakemake))
    sources.write_manifest(Path(snakemake.output.manifest), want, place, manifest)
    size = sum(size for size, _ in manifest.values())
    LOG.info("%s: %d files in %s, %d bytes", want.name, len(manifest), place.folder, size)


run_job(main, snakemake)
