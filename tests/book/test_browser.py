"""The built book in a real browser, from disk: every page once, those that show something new in all ways.

On every page: scripts, requests, pictures, both colour schemes, widths of desk and phone, and the rules for
accessibility that look at its text. On the templates (`templates`) the rules for all of the page: at a desk in both
schemes with those for colours, which take long; at a phone without these, except on the front page.
"""

import multiprocessing
import os
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import NamedTuple
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest

from htcv_lib.runs.plan import Book
from htcv_lib.runs.project import Project

pytestmark = [pytest.mark.browser, pytest.mark.book]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
TOLERATED = {"label-content-name-mismatch"}  # the theme's own search and toggle buttons
DESK, PHONE = {"width": 1440, "height": 900}, {"width": 390, "height": 844}
BOOK = Book.load(Project.find(Path(__file__).parent))
CHAPTERS = [f"{family.name}/{Path(name).stem}" for family in BOOK.families.values() for name in family.chapters]
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

FAULTS = ("request elsewhere", "failed request", "script error", "message of an error", "colour scheme", "broken image",
          "image without alt", "wider than the window", "table wider than its column", "accessibility")
OVERFLOW = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
BROKEN_IMAGES = """() => [...document.images].filter(image => !image.complete || !image.naturalWidth)
    .map(image => image.src.slice(0, 200))"""
NO_ALT = """() => [...document.images].filter(image => !image.hasAttribute('alt') ||
    (!image.alt.trim() && image.closest('.bd-article'))).map(image => image.src.slice(0, 200))"""
WIDE_TABLES = """() => [...document.querySelectorAll('.bd-article table')].map(table => table.parentElement)
    .filter(box => box.scrollWidth > box.clientWidth + 1 && box.clientWidth)
    .map(box => `${box.scrollWidth} px in ${box.clientWidth}: ${box.innerText.slice(0, 80)}`)"""
# Skip animations, load what is further down, and wait until the theme has made its scrolling boxes focusable.
SETTLE = """() => new Promise(done => {
    const lazy = [...document.querySelectorAll('img[loading=lazy]')];
    const loaded = lazy.map(image => new Promise(ready => {
        image.onload = image.onerror = ready;
        image.loading = 'eager';
        if (image.complete) ready();
    }));
    const style = document.createElement('style');
    style.textContent = '*, *::before, *::after { transition: none !important; animation: none !important }';
    document.head.append(style);
    Promise.all(loaded).then(() => requestAnimationFrame(() => setTimeout(done, 150)));
})"""
LAID_OUT = """() => new Promise(done => requestAnimationFrame(() => setTimeout(done, 50)))"""


class Fault(NamedTuple):
    kind: str  # one of FAULTS
    page: str
    text: str


class Page(HTMLParser):
    """What the source of a page says: its anchors, links, what it loads, and the elements and classes it shows."""

    def __init__(self, path: Path):
        super().__init__()
        self.anchors: set[str] = set()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.shows: set[tuple[str, str]] = set()
        self.feed(path.read_text(encoding="utf-8"))
        self.close()

    def handle_starttag(self, tag, attrs):
        has = {name: value or "" for name, value in attrs}
        self.shows |= {(tag, name) for name in ("", *has.get("class", "").split())}
        self.anchors |= {has["id"]} if "id" in has else set()
        if tag == "a":
            self.anchors |= {has["name"]} if "name" in has else set()
            self.links += [has["href"]] if "href" in has else []
        attribute = {"script": "src", "img": "src", "iframe": "src", "link": "href"}.get(tag)
        if attribute in has and has.get("rel") != "canonical":
            self.loads.append(has[attribute])


@pytest.fixture(scope="module")
def pages(built_book) -> dict[Path, Page]:
    """Every page of the book that is not a redirect, parsed."""
    found = {path: Page(path) for path in sorted(built_book.rglob("*.html"))
             if not {"_static", "_sources"} & set(path.relative_to(built_book).parts) and not is_redirect(path)}
    assert len(found) > 15
    return found


def is_redirect(path: Path) -> bool:
    return path.stat().st_size < 400 and 'http-equiv="refresh"' in path.read_text().lower()


def templates(pages: dict[Path, Page]) -> list[Path]:
    """Of each kind of page as many as it takes to see every element and every class that this kind shows.

    Kinds: the chapters of a family, the runs of a family, and each page around them by itself.
    """
    kinds = defaultdict(list)
    for path in pages:
        kinds[path.parent if "pages" in path.parts[-4:] else path].append(path)
    chosen = []
    for kind in kinds.values():
        unseen = set().union(*(pages[path].shows for path in kind))
        while unseen:
            chosen.append(max(kind, key=lambda path: len(pages[path].shows & unseen)))
            unseen -= pages[chosen[-1]].shows
    return chosen


def watch(page, problems: list[tuple[str, str]]) -> None:
    """Note console errors, failed requests and requests that leave the disk."""
    def request(asked):
        if not asked.url.startswith(("file:", "data:", "blob:", "about:")):
            problems.append(("request elsewhere", asked.url[:200]))

    def message(said):
        if said.type == "error":
            problems.append(("message of an error", said.text[:300]))

    page.on("request", request)
    page.on("requestfailed", lambda asked: problems.append(("failed request", asked.url[:200])))
    page.on("pageerror", lambda error: problems.append(("script error", str(error))))
    page.on("console", message)


def axe_violations(page, within: str | None, colours: bool) -> list[str]:
    """The rules that are broken within a selector, or anywhere."""
    from axe_playwright_python.sync_playwright import Axe

    # `preload` would read stylesheets by XMLHttpRequest, which pages on disk may not do.
    options = {"resultTypes": ["violations"], "preload": False, "rules": {"color-contrast": {"enabled": colours}}}
    found = Axe().run(page, within, options).response["violations"]
    return [f"axe {rule['id']}: {rule['nodes'][0]['target']} {rule['nodes'][0]['html'][:160]} ({len(rule['nodes'])})"
            for rule in found if rule["id"] not in TOLERATED]


def turn(page, scheme: str) -> Iterator[tuple[str, str]]:
    """Turn the system's colour scheme; does the page follow?"""
    from playwright.sync_api import TimeoutError

    page.emulate_media(color_scheme=scheme)
    try:
        page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme, timeout=5000)
    except TimeoutError:
        yield "colour scheme", f"does not turn {scheme}"


def too_wide(page) -> Iterator[tuple[str, str]]:
    if (beyond := page.evaluate(OVERFLOW)) > 0:
        yield "wider than the window", f"{beyond} px at {page.viewport_size['width']} px"


def look(page, template: bool, colours: bool) -> Iterator[tuple[str, str]]:
    """What is wrong with a loaded page in its window."""
    for scheme in ("light", "dark"):
        yield from turn(page, scheme)
        if scheme == "light" or colours:
            rules = axe_violations(page, None if template else ".bd-article", colours)
            yield from (("accessibility", f"{scheme}, {page.viewport_size['width']} px: {rule}") for rule in rules)
    yield from (("broken image", source) for source in page.evaluate(BROKEN_IMAGES))
    yield from (("image without alt", source) for source in page.evaluate(NO_ALT))
    yield from too_wide(page)
    if page.viewport_size == DESK:
        yield from (("table wider than its column", text) for text in page.evaluate(WIDE_TABLES))


def faults_of(paths: list[Path], templates: set[Path]) -> list[tuple[str, Path, str]]:
    """What is wrong with each page; templates are loaded at both sizes. A browser of its own, with a tab for each."""
    from playwright.sync_api import sync_playwright

    faults, noted = [], []
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        desk, phone = (opened.new_context(viewport=size, offline=True).new_page() for size in (DESK, PHONE))
        watch(desk, noted)
        watch(phone, noted)
        for path in paths:
            template = path in templates
            for page in (desk, phone) if template else (desk,):
                page.emulate_media(color_scheme="light")
                page.goto(path.as_uri(), wait_until="load")
                page.evaluate(SETTLE)
                noted += look(page, template, template and (page is desk or path.name == "index.html"))
                if not template:  # the same page in a narrower window
                    page.set_viewport_size(PHONE)
                    page.evaluate(LAID_OUT)
                    noted += too_wide(page)
                    page.set_viewport_size(DESK)
                faults += [(kind, path, text) for kind, text in noted]
                page.goto("about:blank")  # what is broken off by leaving is no fault
                noted.clear()
        opened.close()
    return faults


def seen_by(paths: Iterable[Path], templates: set[Path], book: Path) -> list[Fault]:
    """All faults of all pages, found by one browser a core; the templates, which take longest, are dealt out first."""
    workers = min(os.cpu_count() or 1, 8)
    order = sorted(paths, key=lambda path: (path not in templates, -path.stat().st_size))
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        shares = pool.map(partial(faults_of, templates=templates), [order[k::workers] for k in range(workers)])
        return sorted(Fault(kind, path.relative_to(book).as_posix(), text)
                      for share in shares for kind, path, text in share)


@pytest.fixture(scope="module")
def faults(built_book, pages) -> list[Fault]:
    return seen_by(pages, set(templates(pages)), built_book)


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


@needs_browser
@pytest.mark.parametrize("kind", FAULTS)
def test_no_page_opened_from_disk_has_a(kind, faults):
    found = [f"{fault.page}: {fault.text}" for fault in faults if fault.kind == kind]
    assert found == [], "\n".join(found)


@needs_browser
def test_every_fault_is_of_a_kind_that_is_asked_for(faults):
    assert {fault.kind for fault in faults} <= set(FAULTS)


def test_templates_show_every_element_and_class_of_the_book_and_a_page_of_every_kind(pages, built_book):
    chosen = templates(pages)
    assert set().union(*(pages[path].shows for path in chosen)) == set().union(*(page.shows for page in pages.values()))
    folders = {path.parent for path in pages}
    assert {path.parent for path in chosen} == folders and len(chosen) == len(set(chosen)) < len(pages)
    around = {path for path in pages if path.parent in (built_book, built_book / "book")}
    assert len(around) > 10 and around <= set(chosen)


@needs_browser
@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_is_at_most_12000_pixels_high_with_its_folds_closed(chapter, built_book, browser):
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto((built_book / "book" / "pages" / f"{chapter}.html").as_uri(), wait_until="load")
    height = page.evaluate("document.documentElement.scrollHeight")
    page.close()
    assert height <= 12_000


@needs_browser
def test_search_finds_a_page_without_a_server(built_book, browser):
    context = browser.new_context(viewport=DESK, offline=True)
    page, problems = context.new_page(), []
    watch(page, problems)
    page.goto((built_book / "search.html").as_uri() + "?q=misprint")
    page.wait_for_selector("ul.search li a", timeout=15_000)
    names = page.eval_on_selector_all("ul.search li a", "links => links.map(link => link.href)")
    context.close()
    assert any("errata" in name for name in names) and problems == []


@needs_browser
def test_search_over_http_shows_excerpts_and_chapters_before_the_runs_whose_chapter_it_names(built_book, browser):
    handler = partial(SimpleHTTPRequestHandler, directory=str(built_book))
    handler.log_message = lambda *_: None
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page(viewport=DESK)
        page.goto(f"http://127.0.0.1:{server.server_port}/search.html?q=swap+success")
        page.wait_for_selector("ul.search li p.context", timeout=30_000)
        page.wait_for_selector("ul.search li small", timeout=30_000)
        first = page.locator("ul.search li a").first.get_attribute("href")
        assert "book/pages/vae/chapter" in first
        run = page.locator("ul.search li", has=page.locator("a[href*='/vae/runs/']")).first
        assert "Label-conditioned VAEs" in run.locator("small").inner_text()
        page.close()
        server.shutdown()


@needs_browser
def test_results_sort_by_a_click_within_their_groups_and_turn_round_by_the_next(built_book, browser):
    page = browser.new_page(viewport=DESK)
    page.goto((built_book / "book/results.html").as_uri())
    table = page.locator(".htcv-sortable").first
    values = """body => [...body.rows].slice(1).map(row => row.cells[4].dataset.value).filter(Boolean).map(Number)"""
    button = table.locator("thead th").nth(4).locator("button")
    for order in (-1, 1):
        button.click()
        for group in table.locator("tbody").all():
            found = group.evaluate(values)
            assert found == sorted(found, key=lambda value: order * value)
            assert "htcv-group" in group.locator("tr").first.get_attribute("class")
    assert table.locator("thead th").nth(4).get_attribute("aria-sort") == "ascending"
    page.close()


@needs_browser
def test_the_page_of_claims_is_short_on_a_phone_until_one_is_unfolded(built_book, browser):
    page = browser.new_page(viewport=PHONE)
    page.goto((built_book / "book/claims.html").as_uri())
    assert page.evaluate("document.documentElement.scrollHeight") < 15_000
    said = page.locator(".htcv-judged .htcv-said").first
    assert not said.is_visible()
    page.locator(".htcv-tests summary").first.click()
    assert said.is_visible()
    page.close()


@needs_browser
def test_a_printed_chapter_leaves_out_what_is_folded_and_what_leads_elsewhere(built_book, browser):
    page = browser.new_page(viewport=DESK)
    page.goto((built_book / "book/pages/pets_unet/chapter.html").as_uri())
    page.emulate_media(media="print")
    assert page.locator(".bd-article details:not([open]):visible").count() == 0
    assert page.locator(".prev-next-area:visible, .bd-sidebar-primary:visible").count() == 0
    assert page.locator(".bd-article figure:visible").count() > 3
    page.close()


@needs_browser
def test_the_colour_scheme_can_be_switched_by_its_button(built_book, browser):
    context = browser.new_context(viewport=DESK, color_scheme="light", offline=True)
    page = context.new_page()
    page.goto((built_book / "book" / "index.html").as_uri())
    seen = set()
    for _ in range(3):
        page.locator("button.theme-switch-button:visible").first.click()
        seen.add(page.evaluate("document.documentElement.dataset.theme"))
    context.close()
    assert seen == {"light", "dark"}


@needs_browser
def test_a_count_of_verdicts_leaves_only_its_claims_and_a_link_brings_all_back(built_book, browser):
    context = browser.new_context(viewport=DESK, offline=True)
    page = context.new_page()
    page.goto((built_book / "book" / "index.html").as_uri())
    count = page.locator(".htcv-verdicts li a").last
    number = int(count.inner_text().split()[0])
    count.click()
    page.wait_for_url("**/claims.html#*", wait_until="load")
    every = page.locator(".htcv-judged").count()
    assert page.locator(".htcv-judged:visible").count() == number < every
    page.locator(".htcv-only:visible a").click()
    page.wait_for_function("!document.querySelector('.htcv-only:target')")
    assert page.locator(".htcv-judged:visible").count() == every
    context.close()


def test_no_link_and_no_anchor_inside_the_book_is_dead(pages, built_book):
    dead = set()
    for path, page in pages.items():
        for link in page.links:
            address, fragment = urldefrag(link)
            if urlparse(address).scheme in ("http", "https", "mailto"):
                continue
            target = Path(unquote(urlparse(urljoin(path.as_uri(), address)).path)) if address else path
            fine = target.exists() and (not fragment or target not in pages
                                        or unquote(fragment) in pages[target].anchors)
            if not fine:
                dead.add(f"{path.relative_to(built_book)} -> {link}")
    assert sorted(dead) == []


def test_no_page_loads_anything_from_elsewhere(pages):
    outside = [f"{path.name}: {address}" for path, page in pages.items() for address in page.loads
               if address.startswith(("http:", "https:", "//"))]
    assert outside == []


def test_a_page_weighs_two_megabytes_at_most_without_its_pictures(pages):
    def weight(path: Path, page: Page) -> int:
        files = {Path(unquote(urlparse(urljoin(path.as_uri(), address)).path)) for address in page.loads}
        return path.stat().st_size + sum(file.stat().st_size for file in files if file.suffix in (".js", ".css"))

    assert {path.name: heavy for path, page in pages.items()
            if (heavy := weight(path, page)) > 2_000_000 and path.name != "search.html"} == {}
    assert not any("fontawesome.js" in address for page in pages.values() for address in page.loads)
    with_math = {path for path, page in pages.items() if any("mathjax" in address for address in page.loads)}
    assert with_math == {path for path, page in pages.items() if {("span", "math"), ("div", "math")} & page.shows}


def test_templates_of_the_theme_are_not_published(built_book):
    assert list(built_book.rglob("*-macros.html")) == []


def test_next_leads_through_every_page_but_the_runs_which_lead_back_to_their_chapter(built_book, pages):
    def turn(path: Path, way: str) -> Path | None:
        found = re.search(rf'<a class="{way}"\s+href="([^"]+)"', path.read_text(encoding="utf-8"))
        return (path.parent / found[1]).resolve() if found else None

    read = [built_book / "book/index.html"]
    while (after := turn(read[-1], "right-next")) and after not in read:
        read.append(after)
    book = {path for path in pages if path.is_relative_to(built_book / "book")}
    runs = {path for path in book if path.parent.name == "runs"}
    assert set(read) == book - runs
    assert all(turn(run, "left-prev") in read and not turn(run, "right-next") for run in runs)
    assert all(f"runs/{run.name}" in turn(run, "left-prev").read_text(encoding="utf-8") for run in runs)


def test_figures_count_from_one_on_every_page(pages):
    for path in pages:
        numbers = re.findall(r'caption-number">Fig\. (\d+)', path.read_text(encoding="utf-8"))
        assert numbers == [str(number) for number in range(1, len(numbers) + 1)], path


def test_the_download_button_serves_the_executed_notebook(built_book):
    page = (built_book / "book/pages/pets_unet/chapter.html").read_text(encoding="utf-8")
    source = built_book / "_sources/book/pages/pets_unet/chapter.ipynb"
    assert source.is_file() and "_sources/book/pages/pets_unet/chapter.ipynb" in page
    assert '"output_type"' in source.read_text(encoding="utf-8")
