"""Snakemake's cache between workflows: what one checkout has computed another links, and what went bad is not used."""

import os
import re
from pathlib import Path

import pytest

from tests.workflow import EVALUATION, MODEL, ROOT, snakemake, write_inputs

pytestmark = pytest.mark.workflow
FEATURE = f"{EVALUATION}/features/digits/train.h5"
READOUT = f"{EVALUATION}/readout.h5"
DETECTORS = f"{EVALUATION}/detectors.h5"
IMAGES = "data/images/digits/train@8px-native.h5"
CACHED = ("fetch_archive", "prepare_images", "train", "extract_features", "extract_readout")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache that a first checkout has filled, and the folder of that checkout."""
    folder, one = tmp_path_factory.mktemp("cache"), tmp_path_factory.mktemp("one")
    before = os.environ.get("SNAKEMAKE_OUTPUT_CACHE")
    os.environ["SNAKEMAKE_OUTPUT_CACHE"] = str(folder)
    write_inputs(one)
    done = snakemake(one, FEATURE, READOUT, "--cache")
    assert done.returncode == 0, done.stdout
    yield folder, one
    os.environ.pop("SNAKEMAKE_OUTPUT_CACHE")
    if before is not None:
        os.environ["SNAKEMAKE_OUTPUT_CACHE"] = before


def computed(folder: Path) -> set[str]:
    """Rules whose jobs really ran: only they write into their log."""
    logs = [path for path in (folder / "logs").rglob("*.log") if path.stat().st_size]
    return {path.relative_to(folder / "logs").parts[0] for path in logs}


def test_a_second_checkout_computes_nothing_that_lies_in_the_cache_and_notices_what_was_damaged_there(cache, tmp_path):
    shared, one = cache
    assert computed(one) == set(CACHED)
    # under other names of its folders, for the key holds no path
    write_inputs(tmp_path, data={"folder": "elsewhere"}, results={"folder": "other"})
    feature, readout, detectors, model, images = (
        name.replace("results/", "other/").replace("data/", "elsewhere/")
        for name in (FEATURE, READOUT, DETECTORS, MODEL, IMAGES)
    )
    done = snakemake(tmp_path, detectors, "--cache")
    assert done.returncode == 0, done.stdout
    assert computed(tmp_path) == {"fit_scores"}
    for own, other in ((feature, FEATURE), (readout, READOUT), (model, MODEL), (images, IMAGES)):
        assert (tmp_path / own).is_symlink()
        assert (tmp_path / own).resolve().parent == shared
        assert (tmp_path / own).read_bytes() == (one / other).read_bytes()

    entry = (tmp_path / feature).resolve()
    content = bytearray(entry.read_bytes())
    content[len(content) // 2] ^= 1
    entry.write_bytes(content)
    (tmp_path / detectors).unlink()
    done = snakemake(tmp_path, detectors, "--cache", "--rerun-triggers", "params")
    assert done.returncode == 1
    assert (
        f"{feature} is a link to {entry} in the cache between workflows, which holds bytes that no job" in done.stdout
    )
    assert not (tmp_path / detectors).exists()


def test_the_rules_of_the_cache_are_those_of_the_guide():
    text = "".join(path.read_text() for path in (ROOT / "rules").glob("*.smk"))
    parts = re.split(r"^rule (\w+):", text, flags=re.M)
    assert {name for name, body in zip(parts[1::2], parts[2::2], strict=True) if "cache:" in body} == set(CACHED)
