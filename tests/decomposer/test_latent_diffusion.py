"""Diffusion on the encoder's features, with a U-Net so small that a step takes milliseconds."""

import sys
import tomllib

import numpy as np
import pytest
import torch

from htcv_lib.decomposer.diffusion import DiffusersMissing, LatentDiffusion
from htcv_lib.decomposer.swin import VideoSwinEncoder

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
