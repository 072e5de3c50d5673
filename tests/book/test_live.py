"""The live figures: networks in the browser's format, and pages opened from disk that run them."""

import base64
import gzip
import os
import shutil
import sys
from pathlib import Path

import onnxruntime
import pytest
import torch

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "book" / "_ext"), str(ROOT / "book" / "live")]
import live_figures  # noqa: E402

LIVE = ROOT / "book" / "live"
FIGURES = sorted(path.parent.name for path in LIVE.glob("*/still.webp"))
NETWORKS = sorted(path.relative_to(LIVE).as_posix().removesuffix(".onnx.gz") for path in LIVE.glob("*/*.onnx.gz"))
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
BLANK = """stage => [...stage.querySelectorAll('canvas')].filter(canvas => canvas.offsetParent && new Set(canvas
    .getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data).size < 3).map(canvas => canvas.ariaLabel)"""
ASK = """async ([pack, name, inputs]) => {
    await htcvLive.load(`${pack}.pack.js`);
    const run = await htcvLive.network(pack, name);
    const numbers = (text) => Uint8Array.from(atob(text), letter => letter.charCodeAt(0)).buffer;
    const given = Object.entries(inputs).map(([key, [whole, text, sizes]]) =>
        [key, [new (whole ? BigInt64Array : Float32Array)(numbers(text)), sizes]]);
    const found = await run(Object.fromEntries(given));
    return Object.fromEntries(Object.entries(found).map(([key, values]) => [key, [...values]]));
}"""


def asked(network: str):
    """The export, and what torch answers to its inputs: {output: values}."""
    import export

    import htcv_lib

    chosen = export.EXPORTS[network]
    try:
        answer = export.Answer(htcv_lib.load(export.RUNS[network]), chosen.answer).eval()
    except (FileNotFoundError, KeyError) as missing:
        pytest.skip(str(missing))
    with torch.no_grad():
        found = answer(*chosen.inputs.values())
    return chosen, dict(zip(chosen.outputs, found if isinstance(found, tuple) else (found,), strict=True))


@pytest.mark.parametrize("network", NETWORKS)
def test_a_network_for_the_browser_answers_as_torch_does(network):
    export, wanted = asked(network)
    session = onnxruntime.InferenceSession(gzip.decompress((LIVE / f"{network}.onnx.gz").read_bytes()))
    found = session.run(list(wanted), {name: value.numpy() for name, value in export.inputs.items()})
    for values, truth in zip(found, wanted.values(), strict=True):
        torch.testing.assert_close(torch.from_numpy(values), truth, atol=1e-4, rtol=1e-4)


def test_networks_for_the_browser_have_at_most_3_mb_each_and_12_together():
    sizes = [(LIVE / f"{network}.onnx.gz").stat().st_size / 1e6 for network in NETWORKS]
    assert max(sizes) <= 3 and sum(sizes) <= 12


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """A page with every live figure, as the book has them, and one whose files are missing."""
    folder = tmp_path_factory.mktemp("live")
    static = folder / "_static"
    static.mkdir()
    for name in ("book.css", "live.css", "live.js"):
        shutil.copyfile(ROOT / "_static" / name, static / name)
    live_figures.write_packs(LIVE, static / "live")
    for page, names in {"page": FIGURES, "broken": ["absent"]}.items():
        figures = [live_figures.opening(name, f"_static/live/{FIGURES[0]}.webp", "A still picture", (10, 2))
                   + f"<p>{name}</p>" + live_figures.closing(5) for name in names]
        (folder / f"{page}.html").write_text(
            '<!doctype html><html lang="en" data-theme="light"><head><meta charset="utf-8"><title>Live</title>'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            '<link rel="stylesheet" href="_static/book.css"><link rel="stylesheet" href="_static/live.css">'
            '<script src="_static/live.js" defer></script>'
            '<style>body { background: var(--htcv-paper); color: var(--htcv-ink) }</style></head>'
            f'<body><main class="bd-article"><h1>Live</h1>{"".join(figures)}</main></body></html>')
    return folder


@pytest.fixture(scope="module")
def opened(site):
    """name, width -> that page in a browser without network, and what went wrong on it."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])

        def page(name: str, width: int = 1280):
            context = browser.new_context(viewport={"width": width, "height": 844}, offline=True)
            shown, wrong = context.new_page(), []
            shown.on("pageerror", lambda error: wrong.append(str(error)))
            shown.goto((site / f"{name}.html").as_uri())
            return shown, wrong

        yield page
        browser.close()


@pytest.fixture(scope="module")
def desk(opened):
    return opened("page")[0]


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("figure", FIGURES)
def test_a_live_figure_opened_from_disk_on_a_phone_answers_within_a_second(figure, opened):
    from axe_playwright_python.sync_playwright import Axe

    page, wrong = opened("page", 390)
    box = page.locator(f".htcv-demo[data-live={figure}]")
    start, still, stage = (box.locator(f".htcv-demo-{part}") for part in ("start", "still", "stage"))
    assert still.is_visible() and not stage.is_visible()
    start.focus()
    page.keyboard.press("Enter")
    stage.wait_for(state="visible", timeout=120_000)
    page.wait_for_function("box => box.querySelector('.htcv-demo-said').textContent", arg=box.element_handle(),
                           timeout=120_000)
    assert not still.is_visible() and stage.evaluate(BLANK) == []
    seconds = []
    for _ in range(3):
        before = box.get_attribute("data-answered")
        begin = page.evaluate("performance.now()")
        control = stage.locator("input[type=range], .htcv-demo-choice button[aria-pressed=false]").first
        control.focus()
        page.keyboard.press("ArrowRight" if control.evaluate("one => one.type") == "range" else "Enter")
        page.wait_for_function("([box, before]) => box.dataset.answered !== before", arg=[box.element_handle(), before])
        seconds.append((float(box.get_attribute("data-answered")) - begin) / 1000)
    assert min(seconds) < max(1, os.getloadavg()[0] / os.cpu_count())  # others may be using the cores
    own, before = stage.locator("input[type=file]"), box.get_attribute("data-answered")
    if own.count():
        many = own.get_attribute("multiple") is not None
        own.set_input_files([LIVE / FIGURES[0] / "still.webp"] * (2 if many else 1))  # wide, partly transparent
        page.wait_for_function("([box, before]) => box.dataset.answered !== before", arg=[box.element_handle(), before])
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for theme in ("light", "dark"):
        page.evaluate("theme => { document.documentElement.dataset.theme = theme; }", theme)
        broken = Axe().run(page, ".htcv-demo", {"resultTypes": ["violations"], "preload": False}).response["violations"]
        assert [(rule["id"], rule["nodes"][0]["html"]) for rule in broken] == []
    assert wrong == []
    page.context.close()


@needs_browser
@pytest.mark.browser
@pytest.mark.parametrize("network", NETWORKS)
def test_the_browser_computes_what_torch_does(network, desk):
    export, wanted = asked(network)
    inputs = {name: [not value.is_floating_point(), base64.b64encode(value.contiguous().numpy().tobytes()).decode(),
                     list(value.shape)] for name, value in export.inputs.items()}
    found = desk.evaluate(ASK, [*network.split("/"), inputs])
    for name, truth in wanted.items():
        torch.testing.assert_close(torch.tensor(found[name]), truth.flatten(), atol=1e-3, rtol=1e-3)


@needs_browser
@pytest.mark.browser
def test_where_a_live_figure_cannot_load_its_picture_stays_and_a_sentence_says_so(opened):
    page, _ = opened("broken")
    page.locator(".htcv-demo-start").click()
    page.get_by_text("cannot run here").wait_for()
    assert page.locator(".htcv-demo-still").is_visible() and page.locator(".htcv-demo-start").is_enabled()
    page.context.close()


def test_the_directive_places_still_sentence_and_button_and_packs_its_files(tmp_path):
    from sphinx.application import Sphinx

    figure = tmp_path / "book" / "live" / FIGURES[0]
    figure.mkdir(parents=True)
    (figure.parent / "runtime").mkdir()
    shutil.copyfile(LIVE / FIGURES[0] / "still.webp", figure / "still.webp")
    (figure / "numbers.bin").write_bytes(b"12")
    (tmp_path / "conf.py").write_text('extensions = ["myst_parser", "live_figures"]\n')
    (tmp_path / "index.md").write_text(f"# Page\n\n```{{live}} {FIGURES[0]}\n:alt: A still\nMove *it*.\n```\n\n"
                                       "```{live} absent\n:alt: None\nNothing.\n```\n")
    warnings = (tmp_path / "warnings").open("w+")
    app = Sphinx(tmp_path, tmp_path, tmp_path / "html", tmp_path / "trees", "html", status=None, warning=warnings)
    app.build()
    page = (tmp_path / "html" / "index.html").read_text()
    assert f'data-live="{FIGURES[0]}"' in page and 'alt="A still"' in page and "<p>Move <em>it</em>.</p>" in page
    static = tmp_path / "html" / "_static" / "live"
    assert f"_static/live/{FIGURES[0]}.webp" in page and (static / f"{FIGURES[0]}.webp").is_file()
    packed = (static / f"{FIGURES[0]}.pack.js").read_text()
    assert packed == f'htcvLive.pack("{FIGURES[0]}", {{"numbers.bin": "MTI="}});\n'
    warnings.seek(0)
    assert "book/live/absent/still.webp" in warnings.read()
