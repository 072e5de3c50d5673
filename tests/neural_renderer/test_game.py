import math
from functools import partial

import pytest
import torch
from torch import nn

from htcv_lib.neural_renderer.coordinates import CoordinateNet, PixelOutput
from htcv_lib.neural_renderer.game import (
    BALANCES,
    Balance,
    balance_frame,
    balance_summary,
    coordinate_objective,
    curve_change,
    curve_drift,
    curve_swing,
    discriminator_accuracy,
    discriminator_objective,
    generator_objective,
    make_balance,
    regression_objective,
    repeat_after,
    repeat_during,
    thirds,
)
from htcv_lib.neural_renderer.networks import make_discriminator, make_generator
from htcv_lib.training.history import History
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase, gradient_step


def batch(count: int = 4, size: int = 16) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    mask = torch.zeros(count, 1, size, size)
    mask[:, :, : size // 4] = 1
    image = mask * (0.1 + 0.9 * torch.rand(count, 3, size, size, generator=generator))
    return {"input": torch.randn(count, 10, generator=generator), "image": image, "mask": mask}


class Constant(nn.Module):
    """A generator of one grey level, in [-1, 1]."""

    def __init__(self, level: float, size: int = 16):
        super().__init__()
        self.level, self.size = nn.Parameter(torch.tensor(level)), size

    def forward(self, input):
        return self.level.expand(len(input), 3, self.size, self.size)


class Bright(nn.Module):
    """A discriminator that takes a picture for real if it is brighter than its threshold; notes what it sees."""

    def __init__(self, threshold: float = 0.0, gain: float = 1.0):
        super().__init__()
        self.threshold, self.gain, self.seen = nn.Parameter(torch.tensor(threshold)), gain, []

    def forward(self, image, input):
        self.seen.append(image.detach())
        return self.gain * (image.mean((1, 2, 3)) - self.threshold)


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_the_warm_up_is_the_masked_error():
    data = batch()
    terms = regression_objective(Constant(-1.0), data)
    error = 2 * data["image"]
    assert terms["l1"].item() == pytest.approx(error.mean().item(), rel=1e-5)
    assert terms["loss"].item() == pytest.approx(11 * error.mean().item(), rel=1e-5)
    assert regression_objective(Constant(-1.0), data, object_weight=0)["loss"].item() == pytest.approx(
        error.mean().item(), rel=1e-5)


def test_the_vgg_term_is_weighed_and_asked_for_only_if_it_has_a_weight():
    terms = regression_objective(Constant(-1.0), batch(), vgg_weight=0.6, vgg=lambda pred, target: torch.tensor(2.0))
    assert terms["vgg"].item() == pytest.approx(1.2)
    assert terms["loss"].item() == pytest.approx((terms["masked_l1"] + terms["vgg"]).item())
    assert "vgg" not in regression_objective(Constant(-1.0), batch())


def test_the_generator_wants_to_be_taken_for_real_and_to_be_near_the_target():
    data = batch()
    terms = generator_objective(Constant(-0.5), Bright(), data, l1_weight=20, noise=0.0)
    assert terms["adversarial"].item() == pytest.approx(softplus(0.5), rel=1e-5)
    masked = regression_objective(Constant(-0.5), data)["masked_l1"]
    assert terms["masked_l1"].item() == pytest.approx(20 * masked.item(), rel=1e-5)
    assert terms["loss"].item() == pytest.approx((terms["adversarial"] + terms["masked_l1"]).item(), rel=1e-5)


def test_the_generator_step_measures_both_accuracies():
    data = batch()
    data["image"][1:] = 1.0
    terms = generator_objective(Constant(-0.5), Bright(), data)
    assert terms["real_accuracy"].item() == 0.75 and terms["fake_accuracy"].item() == 1
    assert generator_objective(Constant(0.5), Bright(), data)["fake_accuracy"].item() == 0
    assert "real_accuracy" not in generator_objective(Constant(0.5), Bright(), data, watch=False)


def test_the_discriminators_loss_of_a_hand_worked_case():
    data = batch() | {"image": torch.ones(4, 3, 16, 16)}
    terms = discriminator_objective(Constant(-1.0), Bright(), data, noise=0.0)
    real = 0.9 * softplus(-1) + 0.1 * softplus(1)  # logit 1 where 0.9 is wanted
    fake = softplus(-1)  # logit -1 where 0 is wanted
    assert terms["real"].item() == pytest.approx(1.5 / 2 * real, rel=1e-5)
    assert terms["fake"].item() == pytest.approx(0.5 / 2 * fake, rel=1e-5)
    assert terms["loss"].item() == pytest.approx((terms["real"] + terms["fake"]).item(), rel=1e-6)
    assert (terms["real_accuracy"].item(), terms["fake_accuracy"].item()) == (1, 1)
    even = discriminator_objective(Constant(-1.0), Bright(), data, real_weight=1, fake_weight=1, noise=0.0)
    assert even["loss"].item() == pytest.approx((real + fake) / 2, rel=1e-5)


def test_instance_noise_is_on_both_pictures_and_of_the_size_asked_for():
    judge = Bright()
    discriminator_objective(Constant(0.0, 64), judge, batch(size=64), noise=0.01)
    real, fake = judge.seen
    assert (real - (2 * batch(size=64)["image"] - 1)).std().item() == pytest.approx(0.01, rel=0.05)
    assert fake.std().item() == pytest.approx(0.01, rel=0.05)
    discriminator_objective(Constant(0.0), judge, batch(), noise=0.0)
    assert judge.seen[-1].std().item() == 0


def test_each_side_of_the_gan_moves_only_its_own_parameters():
    gen, disc = make_generator("g2", 16, 1 / 32), make_discriminator("d23", 16, 1 / 8)
    for name, objective, mine, other in (("generator", generator_objective, gen, disc),
                                         ("discriminator", discriminator_objective, disc, gen)):
        before = [[p.detach().clone() for p in side.parameters()] for side in (mine, other)]
        phase = Phase(name, partial(objective, gen, disc), torch.optim.SGD(mine.parameters(), lr=1.0))
        gradient_step(phase, batch())
        assert any(not torch.equal(a, b) for a, b in zip(before[0], mine.parameters(), strict=True))
        assert all(torch.equal(a, b) for a, b in zip(before[1], other.parameters(), strict=True))


def test_gan_training_with_the_adaptive_rule_runs_and_notes_what_it_did():
    torch.manual_seed(0)
    gen, disc = make_generator("g3", 16, 1 / 32), make_discriminator("d23", 16, 1 / 8)
    balance = BALANCES["g3"]
    phases = [Phase("discriminator", partial(discriminator_objective, gen, disc),
                    torch.optim.Adam(disc.parameters(), 1e-2, betas=(0.5, 0.999)), repeat=balance.discriminator_repeat),
              Phase("generator", partial(generator_objective, gen, disc),
                    torch.optim.Adam(gen.parameters(), 1e-5, betas=(0.5, 0.999)), repeat=balance.generator_repeat)]
    history = fit(phases, [batch(), batch(), batch(6)], epochs=5, progress=False)
    frame = balance_frame(history)
    assert len(frame) == 5
    torch.testing.assert_close(torch.tensor(frame["train/discriminator/repeat"].fillna(0).to_numpy()), torch.tensor(
        (1 - frame["balance/paused"] + frame["balance/extra_discriminator"]).to_numpy()))
    torch.testing.assert_close(torch.tensor(frame["train/generator/repeat"].to_numpy()),
                               torch.tensor((1 + frame["balance/extra_generator"]).to_numpy()))


def test_the_colour_of_pixels_beside_the_sphere_costs_nothing():
    class Says(nn.Module):
        def forward(self, scene, position):
            return PixelOutput(torch.tensor([[0.0, 0.0, 2.0]]), torch.full((1, 3, 3), 0.5))

    data = {"scene": torch.zeros(1, 10), "position": torch.zeros(1, 3, 2), "mask": torch.tensor([[1.0, 0.0, 0.0]]),
            "colour": torch.tensor([[[0.5, 0.8, 0.8], [0, 0, 0], [0, 0, 0]]])}
    terms = coordinate_objective(Says(), data, colour_weight=10)
    assert terms["colour"].item() == pytest.approx(10 * 0.2, rel=1e-5)
    assert terms["mask"].item() == pytest.approx((2 * softplus(0) + softplus(2)) / 3, rel=1e-5)
    assert terms["wrong"].item() == pytest.approx(2 / 3)
    assert coordinate_objective(Says(), data, colour_loss="mse", colour_weight=1)["colour"].item() == pytest.approx(
        0.06, rel=1e-5)


def test_pixels_without_any_sphere_still_train_the_mask():
    class Whole:
        count = 2

        def __call__(self, scene, position):
            return position

    net = CoordinateNet(Whole(), width=4, num_blocks=1)
    data = {"scene": torch.zeros(2, 10), "position": torch.randn(2, 3, 2), "mask": torch.zeros(2, 3),
            "colour": torch.zeros(2, 3, 3)}
    terms = coordinate_objective(net, data)
    terms["loss"].backward()
    assert terms["colour"].item() == 0 and terms["loss"].isfinite()
    assert all(p.grad.isfinite().all() for p in net.parameters())


def test_an_unknown_colour_loss_is_refused():
    with pytest.raises(ValueError, match="l1, mse"):
        coordinate_objective(nn.Identity(), {}, colour_loss="l2")


def test_the_discriminators_accuracy_over_a_set():
    dark, bright = batch(), batch(2) | {"image": torch.ones(2, 3, 16, 16)}
    accuracy = discriminator_accuracy(Constant(-0.5), Bright(), [dark, bright])
    real = [softplus(1 - 2 * level) for level in (*dark["image"].mean((1, 2, 3)).tolist(), 1.0, 1.0)]
    assert accuracy == {"real_accuracy": pytest.approx(2 / 6), "fake_accuracy": 1,
                        "discriminator_loss": pytest.approx((sum(real) / 6 + softplus(-0.5)) / 2)}
    with pytest.raises(ValueError, match="no batches"):
        discriminator_accuracy(Constant(-0.5), Bright(), [])


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
    history, rule = History(), repeat_after(2, lambda history: 3)
    assert [repeat_during(2)(history), rule(history), repeat_after(2)(history)] == [1, 0, 0]
    history.rows = [{"step": 1}, {"step": 2}]
    assert [repeat_during(2)(history), rule(history), repeat_after(2)(history)] == [0, 3, 1]


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


def test_thirds_leave_gaps_out_and_share_what_is_left():
    assert [part.tolist() for part in thirds([1, math.nan, 2, 3, 4, math.nan, 5, 6])] == [[1, 2], [3, 4], [5, 6]]
    assert [len(part) for part in thirds(range(7))] == [2, 3, 2]


def test_a_curve_that_rises_again_drifts_upwards():
    assert curve_drift([9, 7, 2, 2, 3, 3]) == pytest.approx(0.5)
    assert curve_change([9, 7, 2, 2, 3, 3]) == pytest.approx(-5)


def test_only_the_end_can_be_unsteady():
    assert curve_swing([9, 1, 5, 5, 2, 2]) == 0
    assert curve_swing([0, 0, 0, 0, 1, 3]) == pytest.approx(math.sqrt(2) / 2)


def test_too_short_a_curve_has_no_answer():
    assert math.isnan(curve_swing([1.0])) and math.isnan(curve_drift([])) and math.isnan(curve_change([]))
