"""The waterfall: each bar from the level before to its own."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.figures.comparisons import waterfall

STEPS = pd.DataFrame({"label": ["start", "better", "unknown", "worse"], "value": [0.70, 0.75, np.nan, 0.74]})


def test_bars_span_the_change_and_skip_what_was_not_measured():
    axes = waterfall(STEPS).axes[0]
    bars = [(bar.get_x(), bar.get_width()) for bar in axes.patches]
    assert bars == [pytest.approx((70.0, 5.0)), pytest.approx((75.0, -1.0))]
    assert [text.get_text() for text in axes.texts] == ["+5.0", "\u22121.0"]


def test_levels_are_written_and_missing_ones_say_so():
    texts = [text.get_text() for text in waterfall(STEPS, narrow=True).texts]
    assert {"70.0", "75.0", "n/a", "74.0", "+5.0"} <= set(texts)


def test_intervals_are_drawn_where_they_are_given():
    axes = waterfall(STEPS.assign(lo=STEPS["value"] - 0.01, hi=STEPS["value"] + 0.01)).axes[0]
    assert [list(line.get_xdata()) for line in axes.lines if line.get_linewidth() == 1.1][0] == pytest.approx([69, 71])


def test_metrics_that_are_no_shares_keep_their_unit():
    texts = [text.get_text() for text in waterfall(STEPS, percent=False).texts]
    assert {"0.700", "0.750"} <= set(texts)


def test_a_level_has_the_digits_asked_for():
    figure = waterfall(STEPS.assign(value=STEPS["value"] * 20), percent=False, digits=1)
    assert {"14.0", "15.0"} <= {text.get_text() for text in figure.texts}
    assert [text.get_text() for text in figure.axes[0].texts] == ["+1.0", "\u22120.2"]
