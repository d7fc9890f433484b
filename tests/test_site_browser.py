"""The site in a headless Chromium: sorting, filtering, links, no console errors, legible on a phone."""

import shutil
import statistics

import pytest

from tests.site_folder import RUNS, metrics_rows, write_site

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: make env-dev")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

PATIENCE = 240_000  # milliseconds: a busy machine takes its time
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}
PAGES = (
    "index.html",
    "methods.html",
    "methods/adapt.html",
    "tables.html",
    "tables/one/main.html",
    "published.html",
    "figures.html",
    "about.html",
    "runs/animals/plain/corrected.html",
)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    return write_site(tmp_path_factory.mktemp("site"))


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as play:
        found = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=PATIENCE)
        yield found
        found.close()


@pytest.fixture(scope="module")
def tab(browser):
    """One tab for all tests; ``tab.problems`` collects what the console says and requests that leave the folder."""
    context = browser.new_context(viewport=DESK)
    context.set_default_timeout(PATIENCE)
    page = context.new_page()
    page.problems = []
    page.on("console", lambda message: page.problems.append(message.text) if message.type != "log" else None)
    page.on("pageerror", lambda error: page.problems.append(str(error)))
    page.on("requestfailed", lambda request: page.problems.append(request.url))
    page.on("request", lambda r: page.problems.append(r.url) if not r.url.startswith(("file:", "data:")) else None)
    return page


@pytest.fixture
def board(tab, site):
    """The leaderboard, freshly loaded."""
    return opened(tab, site, "index.html")


def opened(tab, site, address):
    tab.goto("about:blank")
    tab.problems.clear()
    tab.goto((site / address.partition("#")[0]).as_uri() + "".join(address.partition("#")[1:]))
    return tab


def shown(tab):
    """Texts of the rows on the leaderboard, cell by cell."""
    rows = "rows => rows.map(row => [...row.cells].map(cell => cell.textContent.trim()))"
    return tab.eval_on_selector_all("#leaderboard tbody tr", rows)


def heads(tab):
    return tab.eval_on_selector_all("#leaderboard thead th", "cells => cells.map(cell => cell.textContent.trim())")


def column(tab, name):
    place = heads(tab).index(name)
    return [row[place] for row in shown(tab)]


def sort_by(tab, name):
    """A click on a column's head; the table sorts a moment after it, so wait for what the head says of itself."""
    head = f"#leaderboard thead th:has-text('{name}')"
    before = tab.get_attribute(head, "aria-sort")
    tab.click(head)
    tab.wait_for_function(
        "([head, before]) => head.getAttribute('aria-sort') !== before", arg=[tab.query_selector(head), before]
    )


def means(column_texts):
    return [float(text.split(" ")[0]) for text in column_texts]


def options(tab, name):
    return tab.eval_on_selector_all(f"#choose-{name} option", "found => found.map(one => one.textContent)")


def test_the_board_opens_with_the_first_benchmark_and_group_best_first(board):
    assert heads(board) == ["Method", "Score", "FPR95 ↓", "AUROC ↑", "OOD set or group", "ID acc. or mAP", "Seeds"]
    assert set(column(board, "OOD set or group")) == {"Average near*"}
    assert len(shown(board)) == 6
    values = means(column(board, "AUROC ↑"))
    assert values == sorted(values, reverse=True)


def test_numbers_in_the_browser_are_means_of_metrics_csv(board):
    rows = [row for run in RUNS if run[:2] == ("animals", "plain") for row in metrics_rows(run)]
    values = [r["value"] for r in rows if (r["score"], r["target"], r["metric"]) == ("msp", "near", "auroc")]
    own = next(row for row in shown(board) if row[:2] == ["Plain <b>", "MSP"])
    wanted = f"{100 * statistics.mean(values):.2f} ± {100 * statistics.stdev(values):.2f}"
    assert own[heads(board).index("AUROC ↑")] == wanted


def test_a_click_on_a_column_sorts_by_value_both_ways(board):
    sort_by(board, "FPR95")
    up = means(column(board, "FPR95 ↓"))
    assert up == sorted(up)
    sort_by(board, "FPR95")
    assert means(column(board, "FPR95 ↓")) == up[::-1]


def test_what_has_no_value_comes_last_in_both_directions(board):
    board.select_option("#choose-target", label="All sets and groups")
    for _ in range(2):
        texts = column(board, "AUROC ↑")
        assert len(texts) == 24
        assert texts[-6:] == ["1 of 2"] * 6
        sort_by(board, "AUROC")


def test_filters_hold_together(board):
    board.select_option("#choose-method", label="ADAPT")
    board.select_option("#choose-score", label="KNN (knn_tuned)")
    assert [row[:2] for row in shown(board)] == [["ADAPT", "KNN†"]]
    board.select_option("#choose-target", label="Near set*")
    assert column(board, "OOD set or group") == ["Near set*"]


def test_the_benchmark_decides_which_sets_can_be_chosen(board):
    assert options(board, "target")[:2] == ["Average near*", "Average far"]
    board.select_option("#choose-benchmark", label="Scenes")
    assert options(board, "target") == ["Average far", "Far set", "All sets and groups"]
    assert len(shown(board)) == 1
    board.select_option("#choose-benchmark", label="All benchmarks")
    board.select_option("#choose-target", label="Far set")
    assert heads(board)[0] == "Benchmark"
    assert set(column(board, "Benchmark")) == {"Animals*", "Scenes"}


def test_a_metric_is_shown_alone_and_sorted_by_best_first(board):
    board.select_option("#choose-metric", label="FPR95 (at least)")
    assert [head for head in heads(board) if "FPR" in head or "AU" in head] == ["FPR95 (at least) ↓"]
    values = means(column(board, "FPR95 (at least) ↓"))
    assert values == sorted(values)
    board.select_option("#choose-metric", label="Every metric")
    assert len(heads(board)) == 9
    values = means(column(board, "AUROC ↑"))
    assert values == sorted(values, reverse=True)


def test_a_search_finds_words(board):
    board.fill("input[type=search]", "plain")
    assert set(column(board, "Method")) == {"Plain <b>"}
    board.fill("input[type=search]", "nobody")
    assert "No row fits this choice." in board.inner_text("#leaderboard")


def test_a_choice_stands_in_the_address_and_comes_back(board, site):
    board.select_option("#choose-method", label="ADAPT")
    board.select_option("#choose-metric", label="FPR95 (at least)")
    address = board.url.rpartition("/")[2]
    rows = shown(board)
    assert shown(opened(board, site, address)) == rows
    assert heads(board)[2] == "FPR95 (at least) ↓"


def test_the_protocol_can_be_chosen_only_where_there_are_several(board):
    assert not board.is_visible("#choose-protocol")


def test_a_number_leads_to_the_values_of_its_seeds_and_their_record(board):
    board.click("#leaderboard tbody tr:has-text('ADAPT') >> nth=0 >> td:last-child >> xpath=preceding-sibling::td[1]/a")
    board.wait_for_load_state()
    assert "/runs/animals/adapt/corrected.html#score-" in board.url
    anchor = board.url.rpartition("#")[2]
    assert board.is_visible(f"#{anchor} table")
    assert "Seed 1" in board.inner_text(f"#{anchor}")
    board.click("a[href='#seed1']")
    assert board.is_visible("#seed1")
    assert not board.problems


def test_a_method_leads_back_to_its_rows(tab, site):
    opened(tab, site, "methods/adapt.html")
    tab.click("#scenes-corrected a:has-text('on the leaderboard')")
    tab.wait_for_selector("#leaderboard tbody tr")
    assert [row[0] for row in shown(tab)] == ["ADAPT"]
    assert tab.input_value("#choose-benchmark") == "scenes"


@pytest.mark.parametrize("address", PAGES)
def test_a_page_raises_no_error_and_asks_nothing_of_the_network(tab, site, address):
    opened(tab, site, address)
    tab.wait_for_load_state("load")
    assert not tab.problems


@pytest.mark.parametrize("address", PAGES)
def test_a_page_is_no_wider_than_a_phone(tab, site, address):
    tab.set_viewport_size(PHONE)
    try:
        opened(tab, site, address)
        tab.evaluate("document.querySelectorAll('details').forEach(box => { box.open = true })")
        assert tab.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        sizes = tab.eval_on_selector_all(
            "p, li, td, th, select", "found => found.map(one => parseFloat(getComputedStyle(one).fontSize))"
        )
        assert min(sizes) >= 12
    finally:
        tab.set_viewport_size(DESK)


def contrast(tab, selector):
    """Contrast by WCAG 2 of the first element's text with the page behind it."""
    script = "one => [getComputedStyle(one).color, getComputedStyle(document.body).backgroundColor]"
    colours = tab.eval_on_selector(selector, script)
    light, dark = sorted((luminance(text) for text in colours), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(text):
    parts = [float(part) / 255 for part in text[text.index("(") + 1 : -1].split(",")[:3]]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_its_ground_by_day_and_night(tab, site, scheme):
    tab.emulate_media(color_scheme=scheme)
    try:
        opened(tab, site, "index.html")
        for selector in ("h1", "main p a", ".notes li", "#leaderboard td a", "#leaderboard th", "select", "footer p"):
            assert contrast(tab, selector) >= 4.5, selector
    finally:
        tab.emulate_media(color_scheme="light")
