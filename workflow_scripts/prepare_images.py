"""Rule prepare_images: one split of the image store."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.catalog import SPLITS
from methods.data.images import KIND, write_images
from methods.data.prepare import prepare
from methods.data.subsets import read_list
from workflow_scripts.job import LOG, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings = json.loads(snakemake.params.settings)
    files = {Path(path).name: Path(path) for path in snakemake.input.archives}
    entries = read_list(SPLITS / settings["list"], settings["list_sha256"]) if "list" in settings else []
    images = prepare(settings, files, entries)
    record = provenance.record(KIND, settings, snakemake.params.digest, files)
    write_images(snakemake.output.images, images, record)
    LOG.info("%d images of %s", len(images.images), "x".join(map(str, images.images.shape[1:])))


run_job(main, snakemake)
