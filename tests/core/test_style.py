"""Tokens and shared steps: colours one can tell apart, text that fits, files that repeat."""

import io
import re
import subprocess
import sys
from itertools import combinations

import matplotlib
import numpy as np
import pandas as pd
import pytest
from drawn import to_svg
from matplotlib.colors import to_rgb

from htcv_lib.figures.comparisons import seed_dots
from htcv_lib.figures.grids import show_tiles
from htcv_lib.figures.style import (
    BODY,
    CLASS_COLOURS,
    DARK,
    ERROR,
    FONTS,
    INK,
    MUTED,
    PAPER,
    SERIES,
    SMALL,
    signed,
    spread,
    text_width,
    wrapped,
)

# linear RGB as seen without red or green cones, and as it is (Machado et al., 2009, severity 1)
SIGHT = {
    "full": np.eye(3),
    "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
    "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
}


def linear(colour: str) -> np.ndarray:
    rgb = np.array(to_rgb(colour))
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def lab(colour: str, sight: str) -> np.ndarray:
    seen = np.clip(np.array(SIGHT[sight]) @ linear(colour), 0, 1)
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ seen
    x, y, z = np.cbrt(np.maximum(xyz / [0.9505, 1.0, 1.089], 0.008856))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def distance(one: str, other: str, sight: str) -> float:
    """CIE 1976 colour difference."""
    return float(np.linalg.norm(lab(one, sight) - lab(other, sight)))


@pytest.mark.parametrize("sight", SIGHT)
def test_classes_and_errors_differ_for_every_kind_of_sight(sight):
    colours, greys = list(CLASS_COLOURS.values()), ["#999999", "#cccccc", "#ffffff"]  # of right pixels
    assert min(distance(a, b, sight) for a, b in combinations(colours, 2)) > 40
    assert min(distance(ERROR, grey, sight) for grey in greys) > 40
    assert min(distance(ERROR, colour, sight) for colour in colours) > 20  # only in the key side by side


@pytest.mark.parametrize("sight", SIGHT)
def test_series_differ_for_every_kind_of_sight_the_first_two_most(sight):
    assert distance(SERIES[0], SERIES[1], sight) > 60
    assert min(distance(a, b, sight) for a, b in combinations(SERIES, 2)) > 20


@pytest.mark.parametrize("colour", [INK, MUTED, *SERIES])
def test_text_has_a_contrast_of_at_least_four_and_a_half_on_white_and_on_a_dark_page(colour):
    text, on_dark, page = (np.array([0.2126, 0.7152, 0.0722]) @ linear(each) + 0.05
                           for each in (colour, DARK[colour], DARK[PAPER]))
    assert 1.05 / text > 4.5 and on_dark / page > 4.5


def test_no_text_is_smaller_than_nine_points():
    assert min(SMALL, BODY) >= 9


def test_labels_move_apart_symmetrically_and_no_further_than_needed():
    assert spread([1.0, 1.0], 0.5) == pytest.approx([0.75, 1.25])
    assert spread([3.0, 1.0, 1.1], 0.5) == pytest.approx([3.0, 0.8, 1.3])
    assert spread([0.0, 5.0], 1.0) == pytest.approx([0.0, 5.0])
    assert spread([0.0, 0.4, 0.9], 1.0) == pytest.approx([-17 / 30, 13 / 30, 43 / 30])


def test_lines_break_at_spaces_and_after_hyphens_and_fit():
    lines = wrapped("nearest-neighbour masks for a tenth", 1.3)
    assert lines == ["nearest-", "neighbour", "masks for a", "tenth"] or max(map(text_width, lines)) <= 1.3
    assert "".join(lines).replace(" ", "") == "nearest-neighbourmasksforatenth"
    assert wrapped("median\nIoU", 5.0) == ["median", "IoU"]


def test_signs_are_true_and_zero_has_none():
    assert [signed(1.24), signed(-0.5, 1, " points"), signed(-0.01)] == ["+1.2", "\u22120.5 points", "0.0"]


def figure():
    frame = pd.DataFrame({"variant": ["a", "a", "b"], "seed": [0, 1, 0], "value": [0.7, 0.72, 0.69]})
    return seed_dots(frame, margin=0.005)


def test_svg_text_stays_text_and_equal_figures_are_equal_files():
    one, two = to_svg(figure()), to_svg(figure())
    assert one == two
    assert "shaded: within 0.5 points of a" in one
    assert FONTS in one and "dc:date" not in one


def test_an_svg_has_no_ground_follows_the_scheme_of_its_page_and_keeps_the_pixels_of_small_pictures():
    text = to_svg(figure())
    assert f"var(--{INK[1:]}, {INK})" in text and f"--{INK[1:]}: {DARK[INK]}" in text
    assert re.search(r'id="patch_1">\s*<path [^>]*style="fill: none"', text)
    grid = to_svg(show_tiles(np.zeros((1, 2, 4, 6, 3), np.uint8), ["a", "b"]))
    assert "image-rendering:pixelated" in grid and 'width="6" height="4"' in grid.replace("\n", " ")


def test_savefig_keeps_the_tokens_for_any_target(tmp_path):
    text, binary = io.StringIO(), io.BytesIO()
    figure().savefig(text, format="svg", metadata={"Date": None, "Creator": None})
    figure().savefig(binary, format="svg")
    figure().savefig(tmp_path / "f.svg")
    assert text.getvalue() == binary.getvalue().decode() == (tmp_path / "f.svg").read_text(encoding="utf-8")


def test_drawing_leaves_the_settings_of_matplotlib_alone():
    before = dict(matplotlib.rcParams)
    to_svg(figure())
    assert dict(matplotlib.rcParams) == before


def test_figures_import_neither_torch_nor_pyplot():
    code = ("import sys, htcv_lib.figures as f; [getattr(f, n) for n in f.__all__]; "
            "assert callable(f.waterfall); assert not {'torch', 'matplotlib.pyplot'} & set(sys.modules)")
    subprocess.run([sys.executable, "-c", code], check=True)
