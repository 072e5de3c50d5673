"""Frames under a slider: one sprite, cut up by a script, and a film strip where there is none."""

import base64
import io
import json
import shutil
from pathlib import Path

import nbformat
import numpy as np
import pandas as pd
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook, new_output
from PIL import Image

from htcv_lib import training
from htcv_lib.runs.display import frames_html, show_frames, source_html
from htcv_lib.runs.publish import publish
from htcv_lib.training import WeightAverage

STATIC = Path(__file__).parents[2] / "_static"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PIXEL = """(canvas) => [...canvas.getContext('2d').getImageData(canvas.width - 1, 0, 1, 1).data].slice(0, 3)"""


@pytest.fixture
def images():
    """Three frames of two pictures (4, 5), each of one colour: red is 100 x frame, green 100 x picture."""
    pictures = np.zeros((3, 2, 4, 5, 3), np.uint8)
    pictures[..., 0] = 100 * np.arange(3)[:, None, None, None]
    pictures[..., 1] = 100 * np.arange(2)[:, None, None]
    return pictures


def html(images, **changes) -> str:
    return frames_html(images, **{"positions": ["-1", "0", "1"], "alt": "A patch turns red", "label": "x of <it>",
                                  "rows": ["truth", "model & co"], **changes})


def test_all_frames_travel_in_one_png_a_column_a_frame(images):
    (picture,) = BeautifulSoup(html(images), "html.parser").find_all("img")
    sprite = np.asarray(Image.open(io.BytesIO(base64.b64decode(picture["src"].partition(",")[2]))))
    assert sprite.shape == (2 * 4, 3 * 5, 3)
    for frame in range(3):
        for row in range(2):
            tile = sprite[4 * row:4 * row + 4, 5 * frame:5 * frame + 5]
            assert (tile == images[frame, row]).all()


def test_the_slider_has_a_name_and_opens_on_the_middle_frame(images):
    page = BeautifulSoup(html(images), "html.parser")
    slider = page.find("input")
    assert page.find("label").text == "x of <it>" and slider.parent.name == "label"
    assert (slider["min"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("0", "2", "1", "0")
    assert page.find("output").text == "0"
    assert json.loads(page.find(class_="htcv-frames")["data-positions"]) == ["-1", "0", "1"]


def test_the_film_strip_says_what_its_rows_and_columns_are(images):
    key = BeautifulSoup(html(images), "html.parser").select_one(".htcv-film p").text
    assert key == "Rows, from the top: truth, model & co. Columns, from the left: x of <it> -1, 0, 1."


@pytest.mark.parametrize(("changes", "message"), [
    ({"positions": ["-1", "0"]}, "3 frames of 2 pictures, but 2 positions and 2 rows"),
    ({"rows": ["truth"]}, "3 frames of 2 pictures, but 3 positions and 1 rows"),
    ({"alt": ""}, "alt text and a label"),
    ({"label": ""}, "alt text and a label"),
])
def test_frames_without_their_texts_are_refused(images, changes, message):
    with pytest.raises(ValueError, match=message):
        html(images, **changes)


def test_pictures_that_are_not_bytes_are_refused(images):
    with pytest.raises(ValueError, match="uint8, got .* float64"):
        html(images / 255)


def test_frames_too_heavy_for_a_page_are_refused():
    noise = np.random.default_rng(0).integers(0, 256, (3, 2, 160, 160, 3), np.uint8)  # 460,800 bytes, incompressible
    with pytest.raises(ValueError, match="a page may carry 400,000"):
        html(noise)


def test_frames_are_published_as_a_numbered_figure(images, tmp_path, toy, monkeypatch):
    shown = []
    monkeypatch.setattr("IPython.display.display", lambda data, raw, metadata: shown.append((data, metadata)))
    folder = tmp_path / "run"
    folder.mkdir()
    show_frames(images, ["-1", "0", "1"], folder, name="light", caption="The light moves.", alt="A patch turns red",
                label="x", rows=["truth", "model"], data=pd.DataFrame({"x": [1]}))
    ((data, metadata),) = shown
    output = new_output("display_data", data, metadata=metadata)
    nbformat.write(new_notebook(cells=[new_code_cell("frames()", outputs=[output])]), folder / "notebook.ipynb")
    page = tmp_path / "pages" / "chapter.ipynb"
    publish(folder / "notebook.ipynb", page, "Chapter", "chapter-toy", toy, "toy/chapter")
    (cell,) = [cell for cell in nbformat.read(page, as_version=4).cells if cell.cell_type == "code"]
    assert cell.metadata["mystnb"]["figure"] == {
        "caption": "The light moves. [References of this chapter · {download}`CSV <files/chapter/light.csv>` · "
                   "`htcv run toy`]{.htcv-origin}", "name": "fig-chapter-toy-light"}
    assert cell.outputs[0]["data"]["text/html"] == data["text/html"]


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")
def test_the_arrow_keys_move_all_pictures_of_one_slider_and_paper_gets_the_strip(images, tmp_path):
    from playwright.sync_api import sync_playwright

    path = tmp_path / "page.html"
    path.write_text(f'<!doctype html><html lang="en" data-theme="light"><head><title>Frames</title>'
                    f'<link rel="stylesheet" href="{(STATIC / "book.css").as_uri()}">'
                    f'<script src="{(STATIC / "frames.js").as_uri()}"></script></head>'
                    f'<body>{html(images)}{html(images)}</body></html>')
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        page = browser.new_page()
        page.goto(path.as_uri())
        page.locator(".htcv-live").nth(1).wait_for()
        sliders, views = page.get_by_role("slider", name="x of <it>"), page.locator("canvas")
        sliders.nth(0).press("ArrowRight")
        assert page.locator("output").all_inner_texts() == ["1", "0"]
        assert sliders.nth(0).get_attribute("aria-valuetext") == "1"
        colours = [view.evaluate(PIXEL) for view in views.all()]
        assert colours == [[200, 0, 0], [200, 100, 0], [100, 0, 0], [100, 100, 0]]
        assert not page.locator(".htcv-film").first.is_visible()
        page.emulate_media(media="print")
        assert page.locator(".htcv-film").first.is_visible() and not page.locator(".htcv-player").first.is_visible()
        page = browser.new_context(java_script_enabled=False).new_page()
        page.goto(path.as_uri())
        assert page.locator(".htcv-film").first.is_visible() and not page.locator(".htcv-player").first.is_visible()
        browser.close()


@pytest.mark.parametrize(("thing", "file", "line"), [
    (training.gradient_step, "training/phase.py", "def gradient_step("),
    (training.Phase, "training/phase.py", "class Phase"),
    (WeightAverage.update, "training/checkpoint.py", "def update(")])
def test_source_shows_the_librarys_own_lines_without_docstrings_and_says_where_they_stand(thing, file, line):
    page = BeautifulSoup(source_html(thing), "html.parser")
    code = page.select_one("details .highlight").get_text()
    assert line in code and '"""' not in code
    compile(code, "shown", "exec")  # what is left is code
    first = int(page.summary.get_text().rpartition(" ")[2])
    assert f"in htcv_lib/{file}, from line" in page.summary.get_text()
    there = (STATIC.parent / "htcv_lib" / file).read_text().splitlines()[first - 1:first + 3]
    assert any(code.splitlines()[0].strip() in each for each in there)
