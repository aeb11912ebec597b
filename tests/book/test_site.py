"""The published site: its links lead somewhere, and in a real browser every page loads, the grid sorts, audio plays."""

from __future__ import annotations

import functools
import http.server
import re
import shutil
import threading
from html.parser import HTMLParser
from pathlib import Path

import pytest
import yaml

from serab_lib.book.build import build_book

ROOT = Path(__file__).resolve().parents[2]
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--autoplay-policy=no-user-gesture-required",
]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(copy_project, shared_cache):
    """The folder of the published book, built anew, with few draws: the one time that all notebooks run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERAB_CACHE", str(shared_cache))
        patch.delenv("SERAB_RESULTS", raising=False)
        return build_book("published", root=copy_project(), parameters={"n_draws": 50, "n_resamples": 100}).parent


class Links(HTMLParser):
    """What a page links to, and what can be linked to in it."""

    def __init__(self, page):
        super().__init__()
        self.found, self.ids = [], set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attributes):
        given = dict(attributes)
        self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
        if tag in ("a", "link", "img", "script"):
            self.found += [given[key] for key in ("href", "src") if given.get(key)]


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_site_lead_somewhere(site, page):
    here = site / f"{page}.html"
    for link in Links(here).found:
        if re.match(r"(https?:|mailto:|data:|javascript:)", link):
            continue
        path, _, anchor = link.partition("#")
        target = here.parent / path.partition("?")[0] if path else here
        assert target.is_file(), link
        if anchor and target.suffix == ".html":
            assert anchor in Links(target).ids, link


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_colab_button_leads_to_a_committed_notebook(site, page):
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    repository = settings["url"].removeprefix("https://github.com/")
    prefix = f"https://colab.research.google.com/github/{repository}/blob/{settings['branch']}/"
    (address,) = {link for link in Links(site / f"{page}.html").found if "colab.research.google.com" in link}
    assert address == f"{prefix}{page}.ipynb"
    assert (ROOT / f"{page}.ipynb").is_file()


def test_synthetic_numbers_are_marked_and_stand_alone(site):
    """The pages that compute on synthetic speech say so, no other does, and none holds numbers of people."""
    pages = {page: (site / f"{page}.html").read_text() for page in NOTEBOOKS}
    marked = {page for page, text in pages.items() if "They test the pipeline and say nothing" in text}
    assert marked == {"notebooks/02_pipeline", "notebooks/08_beyond_the_paper"}
    for page in marked:
        assert not re.search(r'id="tbl-(paper|beside|measured|cells|doubt|pairs)', pages[page])
    assert 'id="tbl-paper"' in pages["notebooks/05_accuracy_grid"]


@pytest.fixture(scope="module")
def address(site):
    """Where the site is served."""
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(site))
    handler.log_message = lambda *_: None
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra [test]")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, address):
    """Open a page; what its console and its requests complain of comes back, too."""
    contexts = []

    def open_page(page, *, width=1280):
        context = browser.new_context(viewport={"width": width, "height": 900})
        contexts.append(context)
        tab, complaints = context.new_page(), []
        # Only what this site serves is fetched: a page must not need the network.
        tab.route(lambda url: not url.startswith((address, "data:")), lambda route: route.abort())
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("requestfailed", lambda request: complaints.append(request.url))
        tab.goto(f"{address}/{page}.html", wait_until="load")
        return tab, complaints

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_without_a_complaint_and_fits_a_phone(visit, page):
    tab, complaints = visit(page, width=390)
    assert tab.locator("article.bd-article h1").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    images = tab.locator("main img").evaluate_all("all => all.map(i => [i.src, i.naturalWidth, i.alt])")
    assert [src for src, width, alt in images if not width or not alt.strip()] == []
    assert complaints == []


def test_grid_sorts_and_filters(visit):
    tab, complaints = visit("notebooks/05_accuracy_grid")
    wrapper = tab.locator(".dt-container", has=tab.locator("#tbl-beside, [id='tbl-beside']")).first
    header = wrapper.locator("thead th", has_text="paper").first
    first_rows = []
    for direction in ("ascending", "descending"):
        header.click()
        wrapper.locator(f"thead th[aria-sort={direction}]", has_text="paper").first.wait_for()
        first_rows.append(wrapper.locator("tbody tr").first.inner_text())
    assert first_rows[0] != first_rows[1]
    before = wrapper.locator("tbody tr").count()
    wrapper.locator("input[type=search]").fill("EMV")
    tab.wait_for_timeout(300)
    assert 0 < wrapper.locator("tbody tr").count() < before
    assert set(wrapper.locator("tbody tr td:first-child").all_inner_texts()) == {"EMV"}
    assert complaints == []


def test_search_finds_a_word(visit):
    tab, _ = visit("search")
    tab.goto(tab.url + "?q=RAVDESS")
    tab.wait_for_selector("#search-results li")
    assert tab.locator("#search-results li").count() > 0


def test_audio_plays(visit):
    tab, _ = visit("notebooks/01_tasks")
    assert tab.locator("audio").count() == 9
    tab.evaluate("document.querySelector('audio').play()")
    tab.wait_for_function("document.querySelector('audio').currentTime > 0.05", timeout=10_000)
