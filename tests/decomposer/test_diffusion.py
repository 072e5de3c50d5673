"""Diffusion on the encoder's features, with a U-Net so small that a step takes milliseconds."""

import sys
import tomllib

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from htcv_lib.decomposer.diffusion import (
    DiffusersMissing,
    LatentDiffusion,
    diffusion_objective,
    original_sampler,
    sample_originals,
    watch_diffusion,
)
from htcv_lib.decomposer.scores import evaluate_original
from htcv_lib.decomposer.swin import VideoSwinEncoder
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase

SIZE, CHANNELS = 32, (8, 16)


def tiny_encoder(drop_path: float = 0.0) -> VideoSwinEncoder:
    torch.manual_seed(0)
    return VideoSwinEncoder(6, (1, 1, 1, 1), num_heads=(1, 2, 2, 3), drop_path=drop_path)


@pytest.fixture(scope="module")
def model() -> LatentDiffusion:
    """Shared by tests that do not change it."""
    pytest.importorskip("diffusers", reason='needs pip install "htcv-report[diffusion]"')
    return LatentDiffusion(tiny_encoder(), SIZE, CHANNELS)


@pytest.fixture
def inputs() -> dict:
    torch.manual_seed(1)
    return {"noisy": torch.randn(2, 3, SIZE, SIZE), "timestep": torch.tensor([3, 900]),
            "image": torch.rand(2, 3, 4, SIZE, SIZE)}


def test_without_the_package_the_error_says_in_one_line_what_to_do(monkeypatch):
    monkeypatch.setitem(sys.modules, "diffusers", None)  # as if it were not installed
    with pytest.raises(DiffusersMissing, match=r'^this .* pip install "htcv-report\[diffusion\]"$'):
        LatentDiffusion(tiny_encoder(), SIZE, CHANNELS)


def test_the_error_names_an_extra_that_the_project_has(root):
    project = tomllib.loads((root / "pyproject.toml").read_text())["project"]
    extras = [f'"{project["name"]}[{extra}]"' for extra, packages in project["optional-dependencies"].items()
              if any(package.startswith("diffusers") for package in packages)]
    assert any(extra in str(DiffusersMissing()) for extra in extras)


def test_noise_is_mixed_in_by_the_linear_schedule_of_a_thousand_steps(model):
    original, noise = torch.full((3, 3, 1, 4, 4), 0.75), torch.full((3, 3, 4, 4), 2.0)
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[[0, 499, 999]]
    noisy = model.noised(original, torch.tensor([0, 499, 999]), noise)
    by_hand = torch.tensor(np.sqrt(kept) * 0.5 + np.sqrt(1 - kept) * 2).float()  # 0.75 is 0.5 in [-1, 1]
    assert torch.allclose(noisy, by_hand.view(3, 1, 1, 1).expand(3, 3, 4, 4), atol=1e-5)
    assert noisy[2, 0, 0, 0].item() == pytest.approx(2, abs=0.01)  # hardly anything of the picture is left
    velocity = model.target(original, torch.tensor([0, 499, 999]), noise)
    by_hand = torch.tensor(np.sqrt(kept) * 2 - np.sqrt(1 - kept) * 0.5).float()
    assert torch.allclose(velocity, by_hand.view(3, 1, 1, 1).expand(3, 3, 4, 4), atol=1e-5)
    assert velocity[2, 0, 0, 0].item() == pytest.approx(-0.5, abs=0.02)  # the picture, with its sign turned


def test_the_encoder_stays_as_it_is_while_the_rest_learns(inputs):
    pytest.importorskip("diffusers", reason='needs pip install "htcv-report[diffusion]"')
    model = LatentDiffusion(tiny_encoder(drop_path=0.9), SIZE, CHANNELS).train()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    assert torch.equal(model.tokens(inputs["image"]), model.tokens(inputs["image"]))  # no block is dropped
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    model(**inputs, shown=torch.tensor([True, False])).square().mean().backward()
    optimizer.step()
    learning = dict(model.named_parameters())
    assert [name for name in learning if (learning[name].grad is None) != name.startswith("encoder.")] == []
    assert {name.split(".")[0] for name, value in model.state_dict().items()
            if not torch.equal(value, before[name])} == {"unet", "position", "hidden"}


def test_hidden_views_do_not_count_and_shown_ones_do(model, inputs):
    other = inputs | {"image": 1 - inputs["image"]}
    with torch.no_grad():
        seen, changed = (model(**each, shown=torch.tensor([True, False])) for each in (inputs, other))
        everything = model(**inputs)
    assert seen.shape == (2, 3, SIZE, SIZE)
    assert torch.equal(seen[1], changed[1]) and not torch.allclose(seen[0], changed[0], atol=1e-4)
    assert torch.allclose(everything[0], seen[0], atol=1e-5) and not torch.allclose(everything[1], seen[1], atol=1e-4)


def test_guidance_of_one_is_the_conditional_prediction_and_more_goes_beyond_it(model, inputs):
    noisy, timestep, image = inputs["noisy"], torch.tensor(400), inputs["image"]
    with torch.no_grad():
        shown = model(noisy, timestep, image)
        hidden = model(noisy, timestep, image, shown=torch.tensor([False, False]))
        guided = {g: model.guided(noisy, timestep, model.tokens(image), g) for g in (0.0, 1.0, 3.0)}
    assert torch.equal(guided[1.0], shown)
    assert torch.allclose(guided[0.0], hidden, atol=1e-5)
    assert torch.allclose(guided[3.0], hidden + 3 * (shown - hidden), atol=1e-5)
    assert not torch.allclose(guided[3.0], shown, atol=1e-4)


def test_tokens_of_grey_views_differ_by_place_and_not_by_time():
    pytest.importorskip("diffusers", reason='needs pip install "htcv-report[diffusion]"')
    model = LatentDiffusion(tiny_encoder(), 64, CHANNELS)
    torch.nn.init.zeros_(model.encoder.norm.weight)  # the encoder says the same everywhere
    tokens = model.tokens(torch.full((1, 3, 4, 64, 64), 0.5))[0].unflatten(0, (2, 4))  # slots, places
    assert torch.equal(tokens[0], tokens[1])
    assert all(not torch.allclose(tokens[0, a], tokens[0, b], atol=1e-3) for a in range(4) for b in range(a))


@pytest.mark.parametrize("steps", [1, 10])
def test_with_the_true_velocity_sampling_ends_at_the_true_picture(model, monkeypatch, steps):
    clean = torch.rand(2, 3, SIZE, SIZE)
    kept = torch.from_numpy(np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))).float()
    asked = []

    def true_velocity(noisy, timestep, tokens, guidance):
        asked.append(int(timestep))
        noise = (noisy - kept[timestep].sqrt() * (2 * clean - 1)) / (1 - kept[timestep]).sqrt()
        return kept[timestep].sqrt() * noise - (1 - kept[timestep]).sqrt() * (2 * clean - 1)

    monkeypatch.setattr(model, "guided", true_velocity)
    found = model.sample(torch.rand(2, 3, 4, SIZE, SIZE), steps=steps)
    assert torch.allclose(found[:, :, 0], clean, atol=2e-3)
    assert asked == list(range(999, 0, -1000 // steps))  # from the noisiest step on


def test_samples_are_pictures_that_a_seed_reproduces(model):
    image = torch.rand(2, 3, 4, SIZE, SIZE)
    first, again, other = (model.sample(image, steps=3, generator=torch.Generator().manual_seed(seed))
                           for seed in (7, 7, 8))
    assert first.shape == (2, 3, 1, SIZE, SIZE) and first.min() >= 0 and first.max() <= 1 and not first.requires_grad
    assert torch.equal(first, again) and not torch.allclose(first, other, atol=0.01)
    assert not torch.allclose(first[0], first[1], atol=0.01)


@pytest.mark.parametrize(("sizes", "message"), [
    ({"image_size": 30}, "30"), ({"image_size": 36, "channels": (8, 8, 8, 8)}, "multiple of 8 pixels"),
    ({"channels": (8,)}, "multiples of 8"), ({"channels": (8, 12)}, "multiples of 8"), ({"drop": 1.0}, r"\[0, 1\)")])
def test_sizes_it_cannot_do_are_refused(sizes, message):
    with pytest.raises(ValueError, match=message):
        LatentDiffusion(tiny_encoder(), **({"image_size": SIZE, "channels": CHANNELS} | sizes))


def test_other_pictures_and_steps_are_refused(model):
    with pytest.raises(ValueError, match="32 pixels"):
        model.tokens(torch.rand(1, 3, 4, 64, 64))
    for steps in (0, 1001):
        with pytest.raises(ValueError, match="from 1 to 1000"):
            model.sample(torch.rand(1, 3, 4, SIZE, SIZE), steps=steps)


# The diffusion objective on a stand-in whose answers are known, and on a tiny network.


class Known(nn.Module):
    """It is asked for the noise and shown it, so a gain of 1 predicts it perfectly; its sample is the noise it drew."""

    noise_steps, drop = 1000, 0.25

    def __init__(self, gain: float = 1.0):
        super().__init__()
        self.gain, self.asked, self.modes = gain, [], []

    def noised(self, original: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        return noise

    def target(self, original: Tensor, timestep: Tensor, noise: Tensor) -> Tensor:
        return noise

    def forward(self, noisy, timestep, image, shown):
        self.asked.append((timestep, shown))
        return self.gain * noisy

    def sample(self, image: Tensor, generator: torch.Generator, steps: int = 50) -> Tensor:
        self.modes.append((self.training, steps))
        return torch.rand(len(image), 3, 1, *image.shape[-2:], generator=generator)


def tiny_batch(count: int = 2, size: int = 16, frames: int = 4) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(count)
    return {"image": torch.rand(count, 3, frames, size, size, generator=generator),
            "original": torch.rand(count, 3, 1, size, size, generator=generator)}


def test_the_loss_is_the_squared_error_of_what_the_model_is_asked_for():
    torch.manual_seed(0)
    assert diffusion_objective(Known(1.0), tiny_batch())["loss"].item() == 0
    assert diffusion_objective(Known(0.0), tiny_batch(8))["loss"].item() == pytest.approx(1, abs=0.05)
    assert diffusion_objective(Known(3.0), tiny_batch(8))["loss"].item() == pytest.approx(4, abs=0.2)


def test_steps_are_uniform_and_views_hidden_with_the_models_probability():
    torch.manual_seed(0)
    model = Known()
    diffusion_objective(model, tiny_batch(4000, size=1, frames=1))
    timestep, shown = model.asked[0]
    assert timestep.dtype == torch.int64 and timestep.min() >= 0 and timestep.max() <= 999
    assert timestep.min() < 5 and timestep.max() > 994 and timestep.double().mean() == pytest.approx(499.5, abs=20)
    assert shown.double().mean() == pytest.approx(0.75, abs=0.03)


def test_two_looks_at_the_same_sequences_use_the_same_noise_and_leave_the_trainings_alone():
    torch.manual_seed(5)
    state = torch.get_rng_state()
    first, again = (watch_diffusion(Known(0.5), [tiny_batch(), tiny_batch(3)]) for _ in range(2))
    assert first == again and first != watch_diffusion(Known(0.5), [tiny_batch(), tiny_batch(3)], seed=1)
    assert first["loss"] == pytest.approx(0.25, abs=0.05)
    assert torch.equal(state, torch.get_rng_state())


def test_draws_depend_on_the_seed_and_not_on_the_batch_size():
    batch = tiny_batch(4)
    halves = [{name: field[:2] for name, field in batch.items()}, {name: field[2:] for name, field in batch.items()}]
    whole = sample_originals(Known(), [batch], draws=2, seed=3)
    assert whole.shape == (4, 3, 2, 16, 16)
    assert torch.equal(whole, sample_originals(Known(), halves, draws=2, seed=3))
    assert torch.equal(whole[:, :, :1], sample_originals(Known(), [batch], seed=3))
    others = [whole[:, :, 1:], sample_originals(Known(), [batch], seed=4)]
    assert all(not torch.allclose(whole[:, :, :1], other, atol=0.1) for other in others)


def test_sampling_is_in_evaluation_mode_and_passes_settings_on():
    model = Known().train()
    sample_originals(model, [tiny_batch()], steps=7)
    assert model.modes == [(False, 7)] and model.training


def test_of_several_draws_the_mean_is_scored():
    batch = tiny_batch(8)
    one, many = (evaluate_original(original_sampler(Known(), draws), [batch])["original_psnr"] for draws in (1, 50))
    assert one == pytest.approx(7.78, abs=0.2)  # 1/6: two independent uniform numbers
    assert many == pytest.approx(10.71, abs=0.2)  # 1/12 and a fiftieth of it


def test_training_lowers_the_loss_of_a_tiny_batch_and_leaves_the_encoder_alone():
    pytest.importorskip("diffusers", reason='needs pip install "htcv-report[diffusion]"')
    torch.manual_seed(0)
    encoder = VideoSwinEncoder(6, (1, 1, 1, 1), num_heads=(1, 2, 2, 3))
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    model, batch = LatentDiffusion(encoder, 16, (8, 8)), tiny_batch()
    batch["original"] = batch["original"][..., :1, :1].expand(-1, -1, -1, 16, 16)  # one colour each, soon learnt
    start = watch_diffusion(model, [batch] * 8)["loss"]
    phase = Phase("diffusion", lambda each: diffusion_objective(model, each),
                  torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=1e-2))
    history = fit([phase], [batch] * 40, epochs=1, ema=0.9, models={"diffusion": model}, progress=False)
    end = watch_diffusion(model, [batch] * 8)["loss"]
    assert len(history.first_losses) > 0 and end < 0.7 * start < 1
    assert all(torch.equal(value, before[name]) for name, value in model.encoder.state_dict().items())
