import math

import pytest
import torch

from htcv_lib.neural_renderer.game import BALANCES, Balance, after, balance_frame, balance_summary, during, make_balance
from htcv_lib.training.history import History


def measured(*pairs: tuple[float, float]) -> History:
    """A history whose generator updates found these accuracies on real and generated pictures."""
    history = History()
    for step, (real, fake) in enumerate(pairs, start=1):
        values = {"loss": 1.0, "grad_norm": 1.0, "real_accuracy": real, "fake_accuracy": fake}
        history.record(step, "generator", {name: torch.tensor(value) for name, value in values.items()})
    return history


@pytest.mark.parametrize(("real", "fake", "discriminator", "generator"), [
    (0.50, 0.50, 3, 1),  # it loses: the most updates
    (0.65, 0.65, 3, 1),  # the limit itself is still losing
    (0.75, 0.75, 1, 1),  # in between
    (0.91, 0.91, 0, 2),  # it wins: pause, and a second update for the generator
    (0.95, 1.00, 0, 2),
    (1.00, 0.55, 1, 1),  # on average not winning
    (1.00, 0.80, 0, 2),
    (1.00, 1.00, 0, 2),  # beyond the ceiling
    (math.nan, math.nan, 1, 1),  # nothing measured yet
])
def test_who_is_trained_in_models_2_and_3(real, fake, discriminator, generator):
    balance, history = BALANCES["g3"], measured((real, fake))
    assert balance.discriminator_updates(real, fake) == discriminator
    assert balance.discriminator_repeat(history) == discriminator
    assert balance.generator_repeat(history) == generator


@pytest.mark.parametrize(("real", "fake", "discriminator"), [
    (0.60, 0.60, 4),  # at most four updates
    (0.70, 0.70, 4),
    (0.80, 0.80, 1),
    (0.86, 0.86, 0),
    (1.00, 0.71, 0),  # wins by 0.855, the two differ by 0.29
    (1.00, 0.75, 0),
    (0.96, 0.96, 0),
])
def test_who_is_trained_in_model_1_whose_generator_is_never_boosted(real, fake, discriminator):
    assert BALANCES["g1"].discriminator_updates(real, fake) == discriminator
    assert BALANCES["g1"].generator_updates(real, fake) == 1


def test_a_one_sided_discriminator_goes_on_although_it_wins():
    balance = Balance(high=0.6)
    assert balance.discriminator_updates(0.7, 0.7) == 0
    assert balance.discriminator_updates(0.44, 0.80) == 3  # takes most real pictures for generated ones
    assert balance.discriminator_updates(0.44, 0.90) == 3  # whatever the mean
    assert balance.discriminator_updates(1.00, 0.55) == 1  # the two accuracies differ by 0.45
    assert Balance(high=0.6, ceiling=0.7).discriminator_updates(1.0, 0.55) == 0  # unless beyond the ceiling


def test_a_window_averages_the_last_updates():
    history = measured((0.5, 0.5), (0.9, 0.9), (1.0, 0.96))
    assert Balance().accuracies(history) == pytest.approx((1.0, 0.96))
    assert Balance(window=2).accuracies(history) == pytest.approx((0.95, 0.93))
    assert Balance(window=3).discriminator_repeat(history) == 1


def test_before_any_measurement_both_sides_get_one_update():
    history = History()
    assert (Balance().discriminator_repeat(history), Balance().generator_repeat(history)) == (1, 1)


def test_interventions_become_columns_by_epoch():
    balance, history = Balance(), History()
    epochs = [[(0.5, 0.5), (0.95, 0.95), (0.99, 0.99), (0.8, 0.8)], [(0.95, 0.95), (0.95, 0.95)]]
    for epoch, pairs in enumerate(epochs, start=1):
        for pair in pairs:
            history.record(epoch, "generator", {name: torch.tensor(value) for name, value in zip(
                ("loss", "grad_norm", "real_accuracy", "fake_accuracy"), (1.0, 1.0, *pair), strict=True)})
            balance.discriminator_repeat(history)
        history.rows.append({"epoch": epoch, "step": 4 * epoch} | history.close_epoch(epoch))
    frame = balance_frame(history)
    assert frame["balance/paused"].tolist() == [0.5, 1.0]
    assert frame["balance/extra_discriminator"].tolist() == [0.5, 0.0]  # two beyond one, over four steps
    assert frame["balance/extra_generator"].tolist() == [0.5, 1.0]
    assert frame["epoch"].tolist() == [1, 2] and len(history.events) == 2


def test_interventions_survive_a_resumption():
    history = measured((0.95, 0.95))
    Balance().discriminator_repeat(history)
    history.rows.append({"epoch": 1, "step": 1} | history.close_epoch(1))
    resumed = History()
    resumed.load_state_dict(history.state_dict())
    resumed.events.append({"event": "resumed", "epoch": 1, "step": 1})
    assert Balance().discriminator_repeat(resumed) == 0  # what was measured is known again
    resumed.rows.append({"epoch": 2, "step": 2})
    assert balance_frame(resumed)["balance/paused"].tolist() == [1, 1]


def test_a_training_without_rules_has_empty_columns():
    history = History()
    history.rows.append({"epoch": 1, "step": 3})
    assert balance_frame(history)["balance/paused"].isna().all()


def test_a_warm_up_gives_way_to_the_rules():
    history, rule = History(), after(2, lambda history: 3)
    assert [during(2)(history), rule(history), after(2)(history)] == [1, 0, 0]
    history.rows = [{"step": 1}, {"step": 2}]
    assert [during(2)(history), rule(history), after(2)(history)] == [0, 3, 1]


def test_the_interventions_of_a_whole_training_are_shares_of_its_steps():
    history = measured((1.0, 1.0))  # paused, the generator boosted
    BALANCES["g3"].discriminator_repeat(history)
    history.rows.append({"epoch": 1, "step": 1})
    history.record(2, "generator", {name: torch.tensor(0.5) for name in
                                    ("loss", "grad_norm", "real_accuracy", "fake_accuracy")})
    BALANCES["g3"].discriminator_repeat(history)
    assert balance_summary(history) == {"paused": 0.5, "extra_discriminator": 1.0, "extra_generator": 0.5}
    assert balance_summary(History()) == {}


def test_rules_have_names():
    assert make_balance("g1") is BALANCES["g1"] and make_balance("") is None
    with pytest.raises(ValueError, match="one of g1, g2, g3 or empty, got 'g4'"):
        make_balance("g4")
