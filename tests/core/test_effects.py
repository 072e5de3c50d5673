"""Effects of a 2x2 and a 2x2x2 grid, worked by hand."""

from itertools import product

import pandas as pd
import pytest

from htcv_lib.figures.comparisons import effect_table, main_effects

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
