"""Results kept in the repository: whole, small, quoted as they are, and made by papers that are here."""

import json
import re

import pytest

from tests.test_docs import PAGES
from tests.workflow import ROOT
from workflow_scripts.verification.bundle import check, read_bundle
from workflow_scripts.verification.folder import MANIFEST, quoted

FOLDERS = sorted(path.parent for path in (ROOT / "docs/results").glob(f"*/{MANIFEST}"))
QUOTATION = re.compile(r"<!-- from (\S+) -->\n(.*?)<!-- end -->", re.DOTALL)
QUOTING = [page for page in PAGES if "<!-- from " in page.read_text(encoding="utf-8")]


def test_there_are_results_and_pages_that_quote_them():
    assert {folder.name for folder in FOLDERS} >= {"cifar100_small"}
    assert ROOT / "README.md" in QUOTING


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published_results_are_whole_and_small(folder):
    flaws, counts = check(folder)
    assert flaws == []
    assert counts["links"] > 100
    sizes = {path: path.stat().st_size for path in folder.rglob("*") if path.is_file()}
    assert sum(sizes.values()) < 1_000_000
    kinds = {path.suffix for path in sizes}
    assert kinds <= {".csv", ".md", ".svg", ".json", ".gz", ".yaml"}


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published_results_name_no_place_of_a_machine(folder):
    for name, content in read_bundle(folder).items():
        assert not re.search(rb"(?:^|[\"' (:])/(?:home|tmp|root|work|mnt|data|scratch|Users)/", content), name


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_published_results_have_a_page_and_a_paper(folder):
    paper = json.loads((folder / MANIFEST).read_text())["paper"]
    assert (ROOT / f"papers/{paper}.yaml").is_file()
    assert (folder / "index.md").is_file()
    assert f"{folder.name}/index.md" in (ROOT / "docs/results/index.md").read_text()


@pytest.mark.parametrize("page", QUOTING, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_quotation_is_what_the_file_says(page):
    for file, text in QUOTATION.findall(page.read_text(encoding="utf-8")):
        if file != "FILE":
            assert text == quoted(page, file), f"{file}: fill it by `publish` (docs/verify.md)"
