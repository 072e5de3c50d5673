"""The built book in a real browser, from disk: every page, both colour schemes, desk and phone."""

import multiprocessing
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urldefrag, urljoin, urlparse

import pytest
from bs4 import BeautifulSoup

pytestmark = [pytest.mark.browser, pytest.mark.book]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking"]
TOLERATED = {"label-content-name-mismatch"}  # the theme's own search and toggle buttons
DESK, PHONE = {"width": 1280, "height": 900}, {"width": 390, "height": 844}
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")

OVERFLOW = """() => document.documentElement.scrollWidth - document.documentElement.clientWidth"""
BROKEN_IMAGES = """() => [...document.images].filter(image => !image.complete || !image.naturalWidth)
    .map(image => image.src.slice(0, 200))"""
NO_ALT = """() => [...document.images].filter(image => !image.hasAttribute('alt') ||
    (!image.alt.trim() && image.closest('.bd-article'))).map(image => image.src.slice(0, 200))"""
# Skip animations, and wait until the theme has made its scrolling boxes focusable.
SETTLE = """() => new Promise(done => {
    const style = document.createElement('style');
    style.textContent = '*, *::before, *::after { transition: none !important; animation: none !important }';
    document.head.append(style);
    requestAnimationFrame(() => setTimeout(done, 150));
})"""


@pytest.fixture(scope="module")
def browser() -> Iterator:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield opened
        opened.close()


def html_pages(book: Path) -> list[Path]:
    return [path for path in sorted(book.rglob("*.html")) if not {"_static", "_sources"} & set(path.parts)
            and not is_redirect(path)]


def is_redirect(path: Path) -> bool:
    return path.stat().st_size < 400 and 'http-equiv="refresh"' in path.read_text().lower()


def watch(page, problems: list[str]) -> None:
    """Note console errors, failed requests and requests that leave the disk."""
    def request(asked):
        if not asked.url.startswith(("file:", "data:", "blob:", "about:")):
            problems.append(f"requests {asked.url[:200]}")

    page.on("request", request)
    page.on("requestfailed", lambda asked: problems.append(f"failed: {asked.url[:200]}"))
    page.on("pageerror", lambda error: problems.append(f"error: {error}"))
    page.on("console", lambda said: problems.append(f"console: {said.text[:300]}") if said.type == "error" else None)


def axe_violations(page) -> list[str]:
    from axe_playwright_python.sync_playwright import Axe

    # `preload` would read stylesheets by XMLHttpRequest, which pages on disk may not do.
    found = Axe().run(page, options={"resultTypes": ["violations"], "preload": False}).response["violations"]
    return [f"axe {rule['id']}: {rule['nodes'][0]['target']} {rule['nodes'][0]['html'][:160]} ({len(rule['nodes'])})"
            for rule in found if rule["id"] not in TOLERATED]


def faults_of(paths: list[Path], size: dict[str, int]) -> dict[Path, list[str]]:
    """What is wrong with each page in a window of that size, in both colour schemes; a browser of its own."""
    from playwright.sync_api import sync_playwright

    faults: dict[Path, list[str]] = {}
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        context = opened.new_context(viewport=size, color_scheme="light", offline=True)
        for path in paths:
            page = context.new_page()
            found: list[str] = []
            watch(page, found)
            page.goto(path.as_uri(), wait_until="load")
            page.evaluate(SETTLE)
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                page.wait_for_function("scheme => document.documentElement.dataset.theme === scheme", arg=scheme,
                                       timeout=5000)
                found += [f"{scheme}: {fault}" for fault in axe_violations(page)]
            found += [f"broken image {source}" for source in page.evaluate(BROKEN_IMAGES)]
            found += [f"image without alt {source}" for source in page.evaluate(NO_ALT)]
            if page.evaluate(OVERFLOW) > 0:
                found.append(f"{page.evaluate(OVERFLOW)} px wider than the window")
            if found:
                faults[path] = found
            page.close()
        opened.close()
    return faults


@needs_browser
@pytest.mark.parametrize("size", [DESK, PHONE], ids=["desk", "phone"])
def test_every_page_opens_from_disk_without_faults_in_both_schemes(built_book, size):
    pages, workers = html_pages(built_book), min(os.cpu_count() or 1, 8)
    assert len(pages) > 15
    with ProcessPoolExecutor(workers, multiprocessing.get_context("spawn")) as pool:
        shares = list(pool.map(partial(faults_of, size=size), [pages[k::workers] for k in range(workers)]))
    faults = sorted((path.relative_to(built_book).as_posix(), fault) for share in shares
                    for path, found in share.items() for fault in found)
    assert faults == [], "\n".join(": ".join(each) for each in faults)


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
    every = page.locator(".htcv-claim").count()
    assert page.locator(".htcv-claim:visible").count() == number < every
    page.locator(".htcv-only:visible a").click()
    page.wait_for_function("!document.querySelector('.htcv-only:target')")
    assert page.locator(".htcv-claim:visible").count() == every
    context.close()


def test_no_link_and_no_anchor_inside_the_book_is_dead(built_book):
    identifiers: dict[Path, set[str]] = {}
    soups = {path: BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser") for path in html_pages(built_book)}
    for path, soup in soups.items():
        identifiers[path] = {tag["id"] for tag in soup.find_all(id=True)} | {tag["name"] for tag in
                                                                           soup.find_all("a", attrs={"name": True})}
    dead = []
    for path, soup in soups.items():
        for tag in soup.find_all("a", href=True):
            address, fragment = urldefrag(tag["href"])
            if urlparse(address).scheme in ("http", "https", "mailto"):
                continue
            target = Path(unquote(urlparse(urljoin(path.as_uri(), address)).path)) if address else path
            fine = target.exists() and (not fragment or target not in identifiers
                                        or unquote(fragment) in identifiers[target])
            if not fine:
                dead.append(f"{path.relative_to(built_book)} -> {tag['href']}")
    assert sorted(set(dead)) == []


def test_no_page_loads_anything_from_elsewhere(built_book):
    outside = []
    for path in html_pages(built_book):
        soup = BeautifulSoup(path.read_text(encoding="utf-8"), "html.parser")
        for tag, attribute in (("script", "src"), ("link", "href"), ("img", "src"), ("iframe", "src")):
            outside += [f"{path.name}: {item[attribute]}" for item in soup.find_all(tag, **{attribute: True})
                        if item[attribute].startswith(("http:", "https:", "//")) and item.get("rel") != ["canonical"]]
    assert outside == []


def test_the_download_button_serves_the_executed_notebook(built_book):
    page = (built_book / "book/pages/pets_unet/chapter.html").read_text(encoding="utf-8")
    source = built_book / "_sources/book/pages/pets_unet/chapter.ipynb"
    assert source.is_file() and "_sources/book/pages/pets_unet/chapter.ipynb" in page
    assert '"output_type"' in source.read_text(encoding="utf-8")
