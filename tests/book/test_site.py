"""The published site in a real browser: every page loads, the grid sorts, nothing overflows on a phone."""

from __future__ import annotations

import functools
import http.server
import os
import re
import shutil
import threading
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

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine: install Debian's package chromium"),
]


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The published book, built anew from a copy of the sources, and served on this machine."""
    root = tmp_path_factory.mktemp("project")
    for name in ("book", "notebooks", "results"):
        shutil.copytree(ROOT / name, root / name)
    for name in ("_config.yml", "_toc.yml", "CONTRIBUTING.md", "CHANGELOG.md", "environment.yml"):
        shutil.copy(ROOT / name, root / name)
    before = os.environ.get("SERAB_RESULTS")
    os.environ.pop("SERAB_RESULTS", None)
    folder = build_book("published", root=root).parent
    if before:
        os.environ["SERAB_RESULTS"] = before
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", folder
    server.shutdown()


@pytest.fixture(scope="module")
def browser():
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra [test]")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def visit(browser, site):
    """Open a page; what its console and its requests complain of comes back, too."""
    contexts = []

    def open_page(page, *, width=1280, scheme="light"):
        context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        contexts.append(context)
        tab, complaints = context.new_page(), []
        address = site[0]
        # Only what this site serves is fetched: a page must not need the network.
        tab.route(lambda url: not url.startswith((address, "data:")), lambda route: route.abort())
        tab.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        tab.on("pageerror", lambda error: complaints.append(str(error)))
        tab.on("requestfailed", lambda request: complaints.append(request.url))
        tab.goto(f"{address}/{page}.html")
        tab.wait_for_load_state("networkidle")
        return tab, complaints

    yield open_page
    for context in contexts:
        context.close()


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_without_a_complaint(visit, page):
    tab, complaints = visit(page)
    assert tab.locator("article.bd-article h1").count() == 1
    assert complaints == []
    images = tab.locator("main img").evaluate_all("all => all.map(i => [i.src, i.naturalWidth, i.alt])")
    assert [src for src, width, _ in images if not width] == []
    assert [src for src, _, alt in images if not alt.strip()] == []


@pytest.mark.parametrize("page", PAGES)
def test_nothing_overflows_on_a_phone(visit, page):
    tab, _ = visit(page, width=390)
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("page", PAGES)
def test_links_within_the_site_lead_somewhere(site, page):
    from html.parser import HTMLParser

    class Links(HTMLParser):
        def __init__(self):
            super().__init__()
            self.found, self.ids = [], set()

        def handle_starttag(self, tag, attributes):
            given = dict(attributes)
            self.ids |= {given[key] for key in ("id", "name") if given.get(key)}
            if tag in ("a", "link", "img", "script"):
                self.found += [given[key] for key in ("href", "src") if given.get(key)]

    def read(path):
        parser = Links()
        parser.feed(path.read_text())
        return parser

    folder = site[1]
    for link in read(folder / f"{page}.html").found:
        if re.match(r"(https?:|mailto:|data:|javascript:)", link):
            continue
        path, _, anchor = link.partition("#")
        target = (folder / f"{page}.html").parent / path.partition("?")[0] if path else folder / f"{page}.html"
        assert target.is_file(), link
        if anchor and target.suffix == ".html":
            assert anchor in read(target).ids, link


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_colab_button_leads_to_a_committed_notebook(visit, page):
    tab, _ = visit(page)
    address = tab.locator("a[href*='colab.research.google.com']").first.get_attribute("href")
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    repository = settings["url"].removeprefix("https://github.com/")
    prefix = f"https://colab.research.google.com/github/{repository}/blob/{settings['branch']}/"
    assert address.startswith(prefix)
    assert (ROOT / address.removeprefix(prefix)).is_file()
    assert address.endswith(".ipynb")


def test_grid_sorts_and_filters(visit):
    tab, _ = visit("notebooks/05_accuracy_grid")
    wrapper = tab.locator(".dt-container", has=tab.locator("#tbl-beside, [id='tbl-beside']")).first
    first_task = wrapper.locator("tbody tr").first.locator("td").first
    header = wrapper.locator("thead th", has_text="paper").first
    first_rows = []
    for direction in ("ascending", "descending"):
        header.click()
        wrapper.locator(f"thead th[aria-sort={direction}]", has_text="paper").first.wait_for()
        first_rows.append(wrapper.locator("tbody tr").first.inner_text())
    assert first_rows[0] != first_rows[1]
    before = wrapper.locator("tbody tr").count()
    wrapper.locator("input[type=search]").fill("EMOVO" if "EMOVO" in first_task.inner_text() else "EMV")
    tab.wait_for_timeout(300)
    assert 0 < wrapper.locator("tbody tr").count() < before
    assert set(wrapper.locator("tbody tr td:first-child").all_inner_texts()) == {"EMV"}


def test_search_finds_a_word(visit):
    tab, _ = visit("search")
    tab.goto(tab.url + "?q=RAVDESS")
    tab.wait_for_selector("#search-results li")
    assert tab.locator("#search-results li").count() > 0


def test_audio_plays(visit):
    tab, _ = visit("notebooks/01_tasks")
    players = tab.locator("audio")
    assert players.count() == 9
    tab.evaluate("document.querySelector('audio').play()")
    tab.wait_for_function("document.querySelector('audio').currentTime > 0.05", timeout=10_000)


def test_synthetic_numbers_are_marked_and_stand_alone(site):
    """A page that shows synthetic numbers says so and holds none of the paper's."""
    for page in NOTEBOOKS:
        text = (site[1] / f"{page}.html").read_text()
        if "They test the pipeline and say nothing about" in text:
            assert "tbl-paper" not in text and "tbl-beside" not in text
