"""The documentation: it builds without a warning, its links hold, and no page asks anything of the network."""

import importlib.util
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest
import yaml
from markdown.extensions.toc import slugify

from methods.training.switches import SWITCHES
from tests.workflow import ROOT, environment, once

PAGES = [
    *sorted((ROOT / "docs").rglob("*.md")),
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")),
]
LINK = re.compile(r"!?\[[^\]]*\]\(([^)\s]+)\)")


def prose(page):
    """A page without its blocks and code, in which brackets are no links."""
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    return re.sub(r"`[^`\n]*`", "", text)


def anchors(page):
    text = re.sub(r"^( *)```.*?^\1```$", "", page.read_text(encoding="utf-8"), flags=re.M | re.S)
    heads = re.findall(r"^#+ (.+)$", text, re.M)
    return {slugify(re.sub(r"[`*]", "", head), "-") for head in heads} | set(re.findall(r'<a id="([^"]+)"', text))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_link_of_a_page_leads_to_a_file_and_a_heading_that_exist(page):
    for link in LINK.findall(prose(page)):
        if link.startswith(("http://", "https://")):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        assert target.exists(), f"{link}: no such file"
        assert not anchor or anchor in anchors(target), f"{link}: no such heading"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    if importlib.util.find_spec("mkdocs") is None:
        pytest.skip("mkdocs is not installed: make env-dev")
    return once(tmp_path_factory, "docs_site", build)


def build(folder):
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    quiet = {**environment(), "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(command, cwd=ROOT, env=quiet, text=True, check=False, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr, done.stderr


def test_the_site_builds_without_a_warning(site):
    assert (site / "index.html").exists()
    assert (site / "tutorials/reproduce-a-paper.html").exists()


class Asked(HTMLParser):
    """Addresses that a browser fetches to show a page."""

    def __init__(self):
        super().__init__()
        self.addresses = []

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        if tag in ("script", "img", "iframe", "source"):
            self.addresses.append(given.get("src") or "")
        elif tag == "link" and given.get("rel") in ("stylesheet", "icon", "preload", "preconnect"):
            self.addresses.append(given["href"])


def test_no_page_of_the_site_asks_anything_of_the_network(site):
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 20
    for page in pages:
        asked = Asked()
        asked.feed(page.read_text(encoding="utf-8"))
        assert any(address.endswith("worker.js") for address in asked.addresses), page
        assert [address for address in asked.addresses if "//" in address] == [], page


def test_every_switch_stands_on_the_page_of_protocols():
    text = (ROOT / "docs/protocols.md").read_text()
    rows = {row[0]: row[1:] for row in re.findall(r"^\| `(\w+)` \| ([^|]+?) \| ([^|]+?) \|", text, re.M)}
    assert set(SWITCHES) <= set(rows)


def rule_graph():
    spec = importlib.util.spec_from_file_location("rule_graph", ROOT / "docs/rule_graph.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def followed(pairs):
    """All pairs that follow from the given ones: what stays when arrows that follow from others are left out."""
    found = set(pairs)
    while more := {(a, d) for a, b in found for c, d in found if b == c} - found:
        found |= more
    return found


def test_the_picture_of_the_rules_shows_the_rules_of_today():
    titles = re.findall(r"<title>(\w+)&#45;&gt;(\w+)</title>", (ROOT / "docs/pictures/rules.svg").read_text())
    assert followed(titles) == followed(rule_graph().edges("demo"))


def test_the_workflow_catalog_and_the_citation_can_be_read():
    for name in ("CITATION.cff", ".snakemake-workflow-catalog.yml", "mkdocs.yml"):
        assert yaml.safe_load((ROOT / name).read_text()), name


def test_the_readme_stays_under_200_lines():
    assert len((ROOT / "README.md").read_text().splitlines()) < 200
