"""Many seeds, and which of them collapsed."""

import numpy as np
import pandas as pd
import pytest

from htcv_lib.decomposer.figures import collapse_panels
from htcv_lib.figures.style import BLUE, ORANGE

NORM = "train/decomposer/grad_norm"


def history(losses, norms=None):
    epochs = np.arange(1, len(losses) + 1)
    return pd.DataFrame({"epoch": epochs, "step": 10 * epochs, "val/loss": losses, NORM: norms or [1.0] * len(losses)})


STEADY = history([0.4, 0.3, 0.2, 0.1])
BROKEN = history([0.4, 0.3, 0.9, 0.9], [1.0, 2.0, 500.0, 0.1])


def draw(**more):
    groups = {"as reported": [STEADY, BROKEN, STEADY], "clipped": [STEADY]}
    return collapse_panels(groups, {"as reported": [None, 3, None], "clipped": [None]}, **more)


def lines(axes, colour):
    return [line for line in axes.lines if line.get_color() == colour and len(line.get_xdata()) > 1]


def test_every_seed_has_a_line_over_steps_and_collapsed_ones_are_orange_with_a_dot_at_the_epoch():
    figure = draw()
    loss, other, norm, _ = figure.axes[:4]
    assert len(lines(loss, BLUE)) == 2 and len(lines(loss, ORANGE)) == 1 and len(lines(other, BLUE)) == 1
    (broken,) = lines(loss, ORANGE)
    assert list(broken.get_xdata()) == [10, 20, 30, 40] and list(broken.get_ydata()) == [0.4, 0.3, 0.9, 0.9]
    for axes, value in ((loss, 0.9), (norm, 500.0)):
        (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
        assert (dot.get_xdata()[0], dot.get_ydata()[0]) == (30, value)


def test_a_narrow_range_of_norms_is_marked_at_one_two_and_five():
    narrow = history([0.4, 0.3, 0.2, 0.1], [0.06, 0.12, 0.25, 0.11])
    axes = collapse_panels({"steady": [narrow]}, {"steady": [None]}).axes[1]
    low, high = axes.get_ylim()
    marks = [label.get_text() for label in axes.get_yticklabels() if low <= label.get_position()[1] <= high]
    assert marks == ["0.1", "0.2"] and not list(axes.yaxis.get_minorticklocs())


def test_the_panels_say_how_many_of_how_many_collapsed():
    found = {text.get_text() for text in draw(title="Seeds").texts}
    assert {"Seeds", "1 of 3 collapsed", "0 of 1 collapsed", "validation loss"} <= found


def test_the_norm_is_logarithmic_and_the_loss_where_it_spans_much():
    loss, _, norm, _ = draw().axes[:4]
    assert (loss.get_yscale(), norm.get_yscale()) == ("linear", "log")
    wide = history([0.4, 0.01])
    assert collapse_panels({"a": [wide]}, {"a": [None]}).axes[0].get_yscale() == "log"


def test_a_loss_that_became_infinite_ends_its_line_and_is_marked_at_its_end():
    axes = collapse_panels({"a": [history([0.4, 0.3, np.inf, 0.2])]}, {"a": [3]}).axes[0]
    (line,) = lines(axes, ORANGE)
    assert list(line.get_ydata()) == [0.4, 0.3]
    (dot,) = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert dot.get_xdata()[0] == 20


def test_groups_share_their_axes_and_no_text_leaves_the_sheet():
    figure = draw(title="T " * 70)
    loss, other = figure.axes[:2]
    assert loss.get_ylim() == other.get_ylim() and loss.get_xlim() == other.get_xlim()
    renderer = figure.canvas.get_renderer()
    width, height = figure.get_size_inches() * figure.dpi
    boxes = [text.get_window_extent(renderer) for text in figure.texts]
    assert all(0 <= box.x0 and box.x1 <= width and 0 <= box.y0 and box.y1 <= height for box in boxes)


def test_verdicts_that_do_not_fit_the_seeds_and_missing_columns_are_refused():
    with pytest.raises(ValueError, match="an entry for each seed"):
        collapse_panels({"a": [STEADY]}, {"a": []})
    with pytest.raises(ValueError, match="no columns step and 'val/psnr'"):
        collapse_panels({"a": [STEADY]}, {"a": [None]}, loss="val/psnr")
    with pytest.raises(ValueError, match="one to four groups"):
        collapse_panels({}, {})
