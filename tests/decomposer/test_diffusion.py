"""The diffusion objective on a stand-in whose answers are known, and on a tiny network."""

import pytest
import torch
from torch import Tensor, nn

from htcv_lib.decomposer.diffusion import (
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
