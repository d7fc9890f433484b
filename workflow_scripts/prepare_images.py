"""Rule prepare_images: one split of the image store."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from methods import provenance
from methods.data.images import KIND
from methods.data.prepare import prepare
from methods.data.sources import open_files, open_source, record_source
from methods.data.subsets import read_lists
from workflow_scripts.job import LOG, lock_file, run_job

if TYPE_CHECKING:
    from snakemake.script import snakemake


def main(snakemake: Any) -> None:
    settings, digest = json.loads(snakemake.params.settings), snakemake.params.digest
    fetched = [Path(path) for path in snakemake.input.get("fetched", [])]
    parents = {path.name: path for path in fetched}
    if manifest := snakemake.input.get("source"):
        tree = open_source(Path(manifest), snakemake.config["data"]["sources"], fetched)
        parents["source"] = Path(manifest)
    else:
        tree = open_files(fetched)
    record = provenance.record(KIND, settings, digest, parents)
    count = prepare(snakemake.output.images, settings, tree, read_lists(settings), record, snakemake.threads)
    if manifest:
        record_source(Path(manifest), lock_file(snakemake))
    LOG.info("%d images", count)


run_job(main, snakemake)
