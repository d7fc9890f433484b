"""The documentation opened from its folder in a headless Chromium: search, no errors, nothing asked of the network."""

import pytest

from tests.test_docs import build
from tests.test_site_browser import CHROMIUM, PATIENCE, PHONE, sync_api
from tests.workflow import once

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    pytest.importorskip("mkdocs", reason="mkdocs is not installed: make env-dev")
    return once(tmp_path_factory, "docs_site", build)


@pytest.fixture(scope="module")
def page():
    """A tab; ``page.problems`` collects what the console says and requests that leave the folder."""
    with sync_api.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        tab = browser.new_context(viewport=PHONE).new_page()
        tab.set_default_timeout(PATIENCE)
        tab.problems = []
        tab.on("console", lambda message: tab.problems.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: tab.problems.append(str(error)))
        tab.on("request", lambda r: None if r.url.startswith(("file:", "data:")) else tab.problems.append(r.url))
        yield tab
        browser.close()


@pytest.mark.parametrize("address", ["index.html", "reference/papers.html", "tutorials/add-a-method.html"])
def test_a_page_opens_without_errors_and_is_no_wider_than_a_phone(page, site, address):
    page.goto((site / address).as_uri())
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    assert page.problems == []


def test_search_works_without_a_server(page, site):
    page.goto((site / "index.html").as_uri())
    page.click("label.md-header__button[for=__search]")
    page.type("input.md-search__input", "dilation")
    page.wait_for_selector(".md-search-result__item")
    assert "outliers.html" in page.eval_on_selector(".md-search-result__list", "list => list.innerHTML")
    assert page.problems == []
