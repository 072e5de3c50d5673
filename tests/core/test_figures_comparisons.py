"""Seeds as dots, effects of two-level choices, one change at a time."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from htcv_lib.figures.comparisons import _lanes, effect_table, main_effects, paired_dots, seed_dots, waterfall

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


FACTORS = {"down": ("strided", "pool"), "loss": ("dice", "ce")}


def grid(values, seed=0):
    rows = [(seed, d, loss, values[d, loss]) for d, loss in product(*FACTORS.values())]
    return pd.DataFrame(rows, columns=["seed", "down", "loss", "accuracy"])


VALUES = {("strided", "dice"): 0.70, ("strided", "ce"): 0.72, ("pool", "dice"): 0.71, ("pool", "ce"): 0.77}


def test_effects_of_a_two_by_two_grid_by_hand():
    table = effect_table(grid(VALUES), FACTORS, "accuracy").set_index("effect")["estimate"]
    assert table["down"] == pytest.approx((0.71 + 0.77) / 2 - (0.70 + 0.72) / 2)  # 0.03
    assert table["loss"] == pytest.approx((0.72 + 0.77) / 2 - (0.70 + 0.71) / 2)  # 0.04
    assert table["down × loss"] == pytest.approx(((0.77 - 0.72) - (0.71 - 0.70)) / 2)  # 0.02


def test_each_seed_gives_its_own_effect_and_an_incomplete_grid_none():
    other = {key: value + 0.01 * (key[0] == "pool") for key, value in VALUES.items()}
    frame = pd.concat([grid(VALUES), grid(other, 1), grid(VALUES, 2).iloc[:3]], ignore_index=True)
    table = effect_table(frame, FACTORS, "accuracy")
    down = table[table["effect"] == "down"].set_index("seed")["estimate"]
    assert down.to_dict() == pytest.approx({0: 0.03, 1: 0.04})


def test_a_third_factor_that_does_nothing_changes_no_other_effect():
    frame = pd.concat([grid(VALUES).assign(up="tr"), grid(VALUES).assign(up="ups")], ignore_index=True)
    table = effect_table(frame, {**FACTORS, "up": ("tr", "ups")}, "accuracy").set_index("effect")["estimate"]
    assert table["down"] == pytest.approx(0.03) and table["down × loss"] == pytest.approx(0.02)
    assert table["up"] == pytest.approx(0) and table["loss × up"] == pytest.approx(0)


def test_the_figure_draws_one_panel_per_effect_with_its_size():
    frame = pd.concat([grid(VALUES).assign(up="tr"), grid(VALUES).assign(up="ups")], ignore_index=True)
    figure = main_effects(frame, {**FACTORS, "up": ("tr", "ups")}, "accuracy")
    assert len(figure.axes) == 6
    assert {"+3.0 points", "+4.0 points", "+2.0 points", "down × loss"} <= {text.get_text() for text in figure.texts}
    bold = [line for line in figure.axes[0].lines if line.get_linewidth() == 2.2][0]
    assert list(bold.get_ydata()) == pytest.approx([71.0, 74.0])


def test_a_grid_with_holes_is_still_drawn():
    frame = grid(VALUES).iloc[:3]
    assert len(main_effects(frame, FACTORS, "accuracy").axes) == 3


def test_a_factor_with_three_levels_is_refused():
    with pytest.raises(ValueError, match="'seed' needs two levels, has 1"):
        effect_table(grid(VALUES), ["seed", "loss"], "accuracy")


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
