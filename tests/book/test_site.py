import collections
import functools
import http.server
import io
import itertools
import json
import re
import shutil
import threading
import unicodedata
from html.parser import HTMLParser
from pathlib import Path

import nbformat
import plain_notebooks
import pytest
import yaml
from making import ROOT

from serab_lib.book.build import build_book
from serab_lib.corpora.task import PAPER_TASKS
from serab_lib.evaluation.paper import read_accuracies
from serab_lib.evaluation.rankings import rank_subsets

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Only what this site serves is fetched: a page must not need the network.
FLAGS = ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1", "--autoplay-policy=no-user-gesture-required"]
FLAGS += ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text())
PAGES = [TOC["root"], *(chapter["file"] for part in TOC["parts"] for chapter in part["chapters"])]
NOTEBOOKS = [page for page in PAGES if page.startswith("notebooks/")]
GRID = "notebooks/05_accuracy_grid"

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def site(copy_project, shared_cache):
    """The folder of the published book, built anew, with few draws: the one time that all notebooks run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SERAB_CACHE", str(shared_cache))
        patch.delenv("SERAB_RESULTS", raising=False)
        return build_book("published", root=copy_project(), parameters={"n_draws": 50}).parent


@functools.cache
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


@pytest.mark.parametrize("page", PAGES)
def test_page_tells_other_sites_and_readers_what_it_is(site, page):
    config, text = yaml.safe_load((ROOT / "_config.yml").read_text()), (site / f"{page}.html").read_text()
    address, repository = config["html"]["baseurl"], config["repository"]["url"]
    assert f'<link rel="canonical" href="{address}{page}.html" />' in text
    for name in ('name="description"', 'property="og:description"', 'property="og:title"'):
        assert re.search(rf'<meta {name} content="[^"]{{5,220}}" />', text), name
    assert f'<meta property="og:image" content="{address}_static/card.png" />' in text
    assert (site / "_static" / "card.png").is_file()
    assert re.search(r"Version \d+\.\d+.*, built on \d+ \w+ \d{4}", text) and "CC BY 4.0" in text
    (edited,) = re.findall(rf"{repository}/edit/main/([^\"]+)", text)
    assert not edited.endswith(".ipynb") and (ROOT / edited).is_file()
    assert "Your%20issue" not in text
    assert f"<loc>{address}{page}.html</loc>" in (site / "sitemap.xml").read_text()


def test_each_finding_has_an_address_to_which_the_table_leads(site):
    page = Links(site / "notebooks/09_audit.html")
    anchors = {each for each in page.ids if each.startswith("finding-")}
    assert len(anchors) >= 15 and {f"#{each}" for each in anchors} <= set(page.found)


def test_first_page_and_missing_page_have_a_title_and_lead_on(site):
    address = yaml.safe_load((ROOT / "_config.yml").read_text())["html"]["baseurl"]
    for name, link in (("index", f"{TOC['root']}.html"), ("404", f"{address}{TOC['root']}.html")):
        text = (site / f"{name}.html").read_text()
        assert '<html lang="en">' in text and "SERAB, recomputed</title>" in text and f'href="{link}"' in text
    assert "<title>SERAB, recomputed</title>" in (site / f"{TOC['root']}.html").read_text()


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_colab_button_leads_to_a_committed_notebook(site, page):
    settings = yaml.safe_load((ROOT / "_config.yml").read_text())["repository"]
    repository = settings["url"].removeprefix("https://github.com/")
    prefix = f"https://colab.research.google.com/github/{repository}/blob/{settings['branch']}/"
    (address,) = {link for link in Links(site / f"{page}.html").found if "colab.research.google.com" in link}
    assert address == f"{prefix}{page}.ipynb"
    assert (ROOT / f"{page}.ipynb").is_file()


@pytest.mark.parametrize("page", NOTEBOOKS)
def test_downloaded_notebook_has_figures_tables_and_plain_words(site, page):
    (link,) = {link for link in Links(site / f"{page}.html").found if link.endswith(".ipynb") and "://" not in link}
    notebook = nbformat.read((site / page).parent / link, as_version=4)
    outputs = [each for cell in notebook.cells for each in cell.get("outputs", [])]
    nbconvert = pytest.importorskip("nbconvert", reason="nbconvert is not installed: extra [test]")
    html, _ = nbconvert.HTMLExporter().from_notebook_node(notebook)
    words = [cell.source for cell in notebook.cells if cell.cell_type == "markdown"]
    words += [each.get("data", {}).get("text/markdown", "") for each in outputs]
    assert not [text for text in words if plain_notebooks.ROLE.search(text) or "…" in text]
    shown = (site / f"{page}.html").read_text()
    assert " at 0x" not in shown, "a cell ends with an object that nobody is to see"
    assert html.count("<caption>") == len(re.findall(r'<table[^>]* id="tbl-', shown))
    assert html.count("<figure><img") == len(set(re.findall(r"_images/\d\w+-fig-[\w-]+", shown)))


def test_numbers_of_sentences_are_those_of_this_run(site):
    """The committed notebooks have the numbers of the published book, where no random draw makes them."""
    kept = json.loads((ROOT / "notebooks" / "numbers.json").read_text())
    found = plain_notebooks.read_numbers(site.parent / "source" / "notebooks" / "executed")
    assert kept.keys() == found.keys()
    for name in found.keys() - {"commit"}:
        assert kept[name].keys() == found[name].keys(), "run `make book notebooks`"
        if not re.search(r"n_draws|n_resamples", (ROOT / "notebooks" / f"{name}.py").read_text()):
            assert kept[name] == found[name], "run `make book notebooks`"


def test_synthetic_numbers_are_marked_and_stand_alone(site):
    """The pages that compute on synthetic speech say so, no other does, and numbers of people there are marked."""
    pages = {page: (site / f"{page}.html").read_text() for page in NOTEBOOKS}
    marked = {page for page, text in pages.items() if "They test the pipeline and say nothing" in text}
    assert marked == {"notebooks/02_pipeline", "notebooks/10_beyond_the_paper"}
    for page in marked:
        assert not re.search(r'id="tbl-(paper|beside|measured|cells|doubt|pairs)', pages[page])
    (guests,) = re.findall(r'id="tbl-guest".*?</caption>', pages["notebooks/10_beyond_the_paper"], re.S)
    assert "Measured on real recordings." in guests
    assert 'id="tbl-paper"' in pages["notebooks/05_accuracy_grid"]


class Quiet(http.server.SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"  # a connection serves all of a page

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()


@pytest.fixture(scope="module")
def tab():
    """One tab for all pages, as a reader has: a new one for each would load scripts and fonts anew."""
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine: install Debian's package chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: extra [test]")
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium.new_page()
        chromium.close()


@pytest.fixture
def visit(tab, address):
    """Open a page, by its name or address; what its console and its requests complain of comes back, too."""
    complaints = []
    # What a page that leads on at once gives up is no fault.
    listeners = {
        "console": lambda message: message.type == "error" and complaints.append(message.text),
        "pageerror": lambda error: complaints.append(str(error)),
        "requestfailed": lambda request: request.failure == "net::ERR_ABORTED" or complaints.append(request.url),
    }
    for event, listener in listeners.items():
        tab.on(event, listener)

    def open_page(page, *, width=1280, scheme="light"):
        tab.set_viewport_size({"width": width, "height": 900})
        tab.emulate_media(media="screen", color_scheme=scheme)
        tab.goto(page if "://" in page else f"{address}/{page}.html", wait_until="load")
        return tab, complaints

    yield open_page
    for event, listener in listeners.items():
        tab.remove_listener(event, listener)


@pytest.mark.parametrize("page", PAGES)
def test_page_loads_without_a_complaint_and_fits_a_phone(visit, page):
    tab, complaints = visit(page, width=390)
    assert tab.locator("article.bd-article h1").count() == 1
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    images = tab.locator("main img").evaluate_all("all => all.map(i => [i.src, i.naturalWidth, i.alt])")
    assert [src for src, width, alt in images if not width or not alt.strip()] == []
    assert tab.locator("article figure img:not(a.image-reference > img)").count() == 0  # each opens large
    assert tab.locator("article .cell.tag_hide-input + .cell.tag_hide-input").count() == 0  # one bar, not several
    assert complaints == []


# At each push two pages; the others at night.
AT_EACH_PUSH = ((PAGES[0], "dark"), (GRID, "light"))
SCHEMES = itertools.product([*PAGES, "search"], ("light", "dark"))


@pytest.mark.parametrize(
    ("page", "scheme"),
    [pytest.param(*each, marks=() if each in AT_EACH_PUSH else pytest.mark.nightly) for each in SCHEMES],
)
def test_no_serious_fault_of_access(visit, page, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed: extra [test]")
    tab, _ = visit(page, scheme=scheme)
    tab.add_style_tag(content="* { transition: none !important }")  # halfway from light to dark, contrast is low
    found = axe.Axe().run(tab).response["violations"]
    faults = [each for each in found if each["impact"] in ("serious", "critical")]
    assert [(each["id"], [node["target"] for node in each["nodes"]]) for each in faults] == []


@pytest.mark.parametrize("page", [TOC["root"], GRID])
def test_print_has_every_word_of_the_page(visit, page):
    pypdf = pytest.importorskip("pypdf", reason="pypdf is not installed: extra [test]")
    tab, _ = visit(page)
    tab.add_style_tag(content="a::after { content: none !important }")  # addresses within sentences
    tab.emulate_media(media="print")
    printed = [sheet.extract_text() for sheet in pypdf.PdfReader(io.BytesIO(tab.pdf(format="A4"))).pages]
    # A sheet holds its words in the order of painting, so they are counted.
    shown, found = (
        collections.Counter(re.findall(r"\w+", unicodedata.normalize("NFKC", text)))
        for text in (tab.locator("article").inner_text(), "\n".join(printed))
    )
    assert shown - found == collections.Counter()
    assert page != GRID or tab.locator("#tbl-beside tbody tr").filter(visible=True).count() == 117


def read_column(tab, name):
    """The texts of a column of the table that sets the paper beside ours, from the first row to the last."""
    names = [text.strip() for text in tab.locator("#tbl-beside thead th").all_text_contents()]
    return tab.locator(f"#tbl-beside tbody td:nth-child({names.index(name) + 1})").all_text_contents()


def test_differences_sort_as_signed_numbers_with_empty_cells_last(visit):
    tab, complaints = visit(GRID)
    button = tab.locator("#tbl-beside thead th", has_text="difference").get_by_role("button")
    before = read_column(tab, "difference")
    filled = sorted(float(text.replace("−", "-")) for text in before if text != "–")
    assert filled[0] < 0 < filled[-1] and len(filled) < len(before)
    press = {"by mouse": button.click, "by keyboard": lambda: (button.focus(), tab.keyboard.press("Enter"))}
    for how, direction in itertools.product(press, ("ascending", "descending")):
        press[how]()
        assert tab.locator(f"#tbl-beside th[aria-sort={direction}]").count() == 1, how
        texts = read_column(tab, "difference")
        numbers = [float(text.replace("−", "-")) for text in texts[: len(filled)]]
        assert numbers == (filled if direction == "ascending" else filled[::-1]), how
        assert set(texts[len(filled) :]) == {"–"}
    assert complaints == []


def test_long_table_is_filtered_and_saved(visit):
    tab, _ = visit(GRID)
    rows = tab.locator("#tbl-beside tbody tr")
    n_measured = sum(text != "–" for text in read_column(tab, "difference"))
    assert rows.count() == 117 and rows.filter(visible=True).count() == n_measured
    tools = tab.locator("#tbl-beside").locator("xpath=preceding::div[contains(@class, 'serab-tools')][1]")
    tools.get_by_role("searchbox", name="Filter Table", exact=False).fill("EMV")
    assert rows.filter(visible=True).count() == sum(task == "EMV" for task in read_column(tab, "task")) == 13
    with tab.expect_download() as saved:
        tools.get_by_role("button", name="CSV").click()
    assert saved.value.suggested_filename == "tbl-beside.csv"
    assert len(Path(saved.value.path()).read_text().splitlines()) == 118
    tools.get_by_role("searchbox").fill("")
    tab.emulate_media(media="print")
    assert tab.locator("details.hide, .serab-tools, .bd-header-article").filter(visible=True).count() == 0


@pytest.mark.parametrize("width", [390, 820, 1280])
def test_controls_of_the_header_have_names_and_show_the_focus_and_menus_open(visit, width):
    tab, _ = visit(GRID, width=width)
    tab.locator(".bd-header-article button:visible").first.wait_for()
    tab.keyboard.press("Tab")  # from here on, focus is the keyboard's
    for button in tab.locator(".bd-header-article button:visible").all():
        button.focus()
        style = button.evaluate("e => [getComputedStyle(e).outlineStyle, getComputedStyle(e).outlineWidth]")
        assert style == ["solid", "3px"]
        assert button.get_attribute("aria-label") or button.get_attribute("title")
    chapters = tab.locator("nav.bd-docs-nav").first
    was_visible = chapters.is_visible()
    assert was_visible == (width == 1280)
    tab.get_by_role("button", name="Chapters").click()
    chapters.wait_for(state="hidden" if was_visible else "visible")
    if width == 390:
        tab.keyboard.press("Escape")
        tab.get_by_role("button", name="Contents of this page").click()
        tab.locator("#pst-secondary-sidebar-modal").get_by_role("link", name="Cell by cell").wait_for()


def test_signs_and_players_have_names_and_audio_plays(visit):
    tab, _ = visit(GRID)
    names = tab.locator("details.hide summary").all_text_contents()
    assert "Show the set-up" in names[0] and any(re.search(r"Show the code\s+of Table \d+", name) for name in names)
    assert tab.locator("details.hide summary[aria-label]").count() == 0
    assert tab.locator("button.copybtn:not([aria-label])").count() == 0
    tab, _ = visit("notebooks/02_pipeline")
    assert all(tab.locator("audio").evaluate_all("all => all.map(each => each.ariaLabel)"))
    assert tab.locator("audio").count() == 7  # an emotion each
    tab.evaluate("document.querySelector('audio').play()")
    tab.wait_for_function("document.querySelector('audio').currentTime > 0.05")


def test_first_page_shows_facts_a_figure_three_findings_and_how_to_cite(visit):
    tab, complaints = visit(TOC["root"])
    facts = tab.locator(".serab-facts li").all_inner_texts()
    assert len(facts) == 5 and all(re.match(r"\d|none|Built on \d", fact) for fact in facts)
    assert tab.locator("figure#fig-first img").evaluate("image => image.naturalWidth") > 0
    assert re.match(r"\d+ points", tab.locator("figure#fig-first img").get_attribute("alt"))
    cards = tab.locator(".serab-cards .sd-card")
    assert all(re.match(r"\d", text) for text in cards.all_inner_texts())
    links = cards.locator("a:not(.serab-term)").evaluate_all("all => all.map(each => each.getAttribute('href'))")
    assert len(links) == 3 and all("09_audit.html#finding-" in link for link in links)
    for word in ("the paper", "this companion"):
        assert tab.get_by_role("button", name=f"Copy BibTeX of {word}").count() == 1
    assert tab.locator(".serab-actions a").count() == 3 and complaints == []


def test_wide_table_takes_the_margin_and_on_a_phone_keeps_its_first_column(visit):
    tab, _ = visit("notebooks/09_audit")
    heads = [text.strip() for text in tab.locator("#tbl-findings thead th").all_inner_texts()]
    assert heads[:4] == ["no", "it bears on", "code and tables", "table 3 made so"]
    frames = tab.locator("article .pst-scrollable-table-container")
    assert set(frames.evaluate_all("all => all.map(e => e.scrollWidth - e.clientWidth > 1)")) == {False}
    assert tab.evaluate("document.documentElement.scrollWidth") <= 1280
    tab, _ = visit("notebooks/09_audit", width=390)
    first = tab.locator("#tbl-findings tbody tr td").first
    before = first.bounding_box()["x"]
    tab.locator(".serab-more", has=tab.locator("#tbl-findings")).evaluate("frame => frame.scrollTo(200, 0)")
    assert first.bounding_box()["x"] == pytest.approx(before, abs=1)


def test_models_take_their_places_by_the_tasks_that_are_left(visit):
    tab, complaints = visit("notebooks/07_what_the_grid_says")
    grid, left_out = read_accuracies()[list(PAPER_TASKS)], ("AES", "EMV", "SHE")
    for code in left_out:
        tab.get_by_role("checkbox", name=code).uncheck()
    chosen = grid.drop(columns=list(left_out))
    subsets = rank_subsets(grid).set_index("tasks").loc[[tuple(chosen)]].iloc[0]
    said = tab.locator(".serab-choice + output").inner_text()
    assert [f"{subsets[tau]:.2f}" for tau in ("tau_all", "tau_rest")] == re.findall(r"\d\.\d\d", said)
    rows = tab.locator("#tbl-subset tbody tr")
    means = [float(text) for text in rows.locator("td:nth-child(3)").all_inner_texts()]
    assert means == pytest.approx(sorted(chosen.mean(axis=1), reverse=True), abs=0.051) and complaints == []
    assert rows.first.locator("td").first.inner_text() == chosen.mean(axis=1).idxmax()


def test_codes_and_terms_explain_themselves_where_they_first_stand(visit):
    tab, _ = visit("notebooks/07_what_the_grid_says")
    terms = tab.locator("article a.serab-term")
    keys = [text.lower() for text in terms.all_inner_texts()]
    assert len(keys) == len(set(keys)) > 10 and "Italian" in terms.filter(has_text="EMV").get_attribute("title")
    assert all("glossary.html#term-" in link for link in terms.evaluate_all("all => all.map(e => e.href)"))
    assert tab.locator("#tbl-subset thead abbr").all_inner_texts() == ["UM", *PAPER_TASKS]


def test_figure_opens_large_on_a_phone(visit):
    tab, _ = visit("notebooks/07_what_the_grid_says", width=390)
    figure = tab.locator("figure#fig-critical a.image-reference")
    figure.click()
    image = tab.locator("dialog[open] img")
    assert image.bounding_box()["width"] >= 890
    tab.get_by_role("button", name="Close").click()
    assert tab.locator("dialog[open]").count() == 0


def test_site_works_from_disk(visit, site):
    tab, complaints = visit((site / "index.html").as_uri())
    tab.wait_for_url("**/book/welcome.html")
    tab.goto((site / f"{GRID}.html").as_uri())
    tab.locator("#tbl-beside thead th", has_text="task").get_by_role("button").click()
    assert read_column(tab, "task") == sorted(read_column(tab, "task"))
    assert complaints == []


def test_search_finds_prose_and_no_code_and_lands_where_it_stands(visit, site):
    index = (site / "searchindex.js").read_text()
    assert '"mcnemar"' in index and '"show_audio"' not in index
    tab, _ = visit("search")
    tab.goto(tab.url + "?q=McNemar")
    tab.wait_for_selector("#search-results li p.context")
    assert not [text for text in tab.locator("#search-results p.context").all_inner_texts() if "import " in text]
    tab.locator("#search-results li a", has_text="What the grid says").first.click()
    found = tab.locator(".bd-article .highlighted", has_text="McNemar").filter(visible=True).first
    found.wait_for()
    tab.wait_for_function("scrollY > 200")
    assert 0 < found.bounding_box()["y"] < 900
