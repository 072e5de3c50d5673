"""Seeds as dots: all of them, their mean, the margin."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.figures.comparisons import _lanes, paired_dots, seed_dots

FRAME = pd.DataFrame({"variant": ["a", "a", "b"], "seed": [0, 1, 0], "value": [0.70, 0.72, 0.60]})


def texts(figure):
    return [text.get_text() for text in figure.texts]


def band(axes):
    return next(patch for patch in axes.patches if patch.get_width() < 50)


def test_every_seed_is_a_dot_and_the_mean_is_written_with_n():
    figure = seed_dots(FRAME)
    dots = [line.get_xdata().tolist() for line in figure.axes[0].lines if line.get_marker() == "o"]
    assert [sorted(row) for row in dots] == [pytest.approx([70.0, 72.0]), pytest.approx([60.0])]
    assert {"71.0   n = 2", "60.0   n = 1"} <= set(texts(figure))


def test_values_that_are_no_shares_are_written_with_the_digits_asked_for():
    figure = seed_dots(FRAME.assign(value=FRAME["value"] * 20), percent=False, digits=1)
    assert {"14.2   n = 2", "12.0   n = 1"} <= set(texts(figure))


def test_the_margin_is_shaded_around_the_reference():
    shade = band(seed_dots(FRAME, margin=0.005, reference="b").axes[0])
    assert (shade.get_x(), shade.get_width()) == pytest.approx((59.5, 1.0))
    assert band(seed_dots(FRAME, margin=0.005).axes[0]).get_x() == pytest.approx(70.5)


def test_paired_differences_shade_the_margin_around_zero_and_draw_the_interval():
    frame = pd.DataFrame({"label": ["a − b"] * 2, "seed": [0, 1], "difference": [0.010, 0.014]})
    interval = pd.DataFrame({"label": ["a − b"], "low": [0.008], "high": [0.016]})
    figure = paired_dots(frame, margin=0.005, intervals=interval)
    shade = band(figure.axes[0])
    assert (shade.get_x(), shade.get_width()) == pytest.approx((-0.5, 1.0))
    assert "+1.2   n = 2" in texts(figure)
    bar = [line for line in figure.axes[0].lines if line.get_linewidth() == 6.5]
    assert list(bar[0].get_xdata()) == pytest.approx([0.8, 1.6])


def test_an_interval_of_one_run_is_not_drawn():
    interval = pd.DataFrame({"variant": ["a"], "low": [np.nan], "high": [np.nan]})
    assert not [line for line in seed_dots(FRAME, intervals=interval).axes[0].lines if line.get_linewidth() == 6.5]


def test_dots_that_would_touch_are_lifted_apart():
    assert _lanes(np.array([1.0, 1.01, 5.0, 1.02]), reach=0.5).tolist() == [0, 1, 0, -1]


def test_no_text_leaves_the_sheet_even_on_a_phone():
    frame = FRAME.replace("a", "max pooling, transposed convolution, cross-entropy")
    figure = seed_dots(frame, margin=0.005, narrow=True)
    renderer = figure.canvas.get_renderer()
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert min(box.x0 for box in boxes) >= 0 and max(box.x1 for box in boxes) <= figure.bbox.width
    assert min(box.y0 for box in boxes) >= 0 and max(box.y1 for box in boxes) <= figure.bbox.height
