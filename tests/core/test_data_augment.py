"""Augmentations of batches, and random numbers that belong to a picture."""

import pytest
import torch

from htcv_lib.data.augment import (
    ColorJitter,
    Compose,
    Draws,
    RandomFlip,
    RandomResizedCrop,
    augmentation,
    picture_draws,
    picture_generator,
)


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def painted(count=16, height=24, width=40):
    """Random blocky masks of classes 0, 1, 2 and images that show class / 2 in the first channel."""
    coarse = torch.randint(0, 3, (count, height // 8, width // 8), generator=generator(7))
    mask = coarse.repeat_interleave(8, 1).repeat_interleave(8, 2)
    image = torch.rand(count, 3, height, width, generator=generator(8))
    image[:, 0] = mask / 2
    return {"image": image, "mask": mask, "index": torch.arange(count)}


def test_a_flip_mirrors_image_and_mask_of_the_same_items():
    batch = painted()
    out = RandomFlip()(batch, generator())
    assert torch.equal(out["image"][:, 0], out["mask"] / 2)
    flipped = [not torch.equal(a, b) for a, b in zip(out["image"], batch["image"], strict=True)]
    assert 0 < sum(flipped) < len(flipped)
    for i, was in enumerate(flipped):
        assert torch.equal(out["image"][i], batch["image"][i].flip(-1) if was else batch["image"][i])


def test_a_crop_moves_image_and_mask_alike():
    batch = painted()
    out = RandomResizedCrop()(batch, generator())
    assert out["mask"].dtype == torch.int64 and set(out["mask"].unique().tolist()) <= {0, 1, 2}
    off = (out["image"][:, 0] - out["mask"] / 2).abs()
    assert (off > 1e-4).float().mean() < 0.3  # between two blocks the image is interpolated, the mask is not
    assert (off <= 0.5 + 1e-4).float().mean() > 0.97  # never off by more than half a step to a neighbour
    assert not torch.equal(out["mask"], batch["mask"])
    shifted = (out["image"][:, 0] - out["mask"].roll(4, -1) / 2).abs()
    assert (shifted > 1e-4).float().mean() > 2 * (off > 1e-4).float().mean()  # and the test can tell


def test_a_crop_is_a_window_of_the_promised_area_inside_the_image():
    height, width = 24, 40
    y, x = torch.meshgrid(torch.linspace(0, 1, height), torch.linspace(0, 1, width), indexing="ij")
    image = torch.stack([x, y, x], dim=0).expand(200, -1, -1, -1)
    out = RandomResizedCrop(scale=(0.5, 1.0), ratio=(1.0, 1.0))({"image": image}, generator())["image"]
    sides = out.amax(dim=(-2, -1)) - out.amin(dim=(-2, -1))  # (B, 3): width, height, width of the window
    assert (sides[:, 0] * sides[:, 1]).min() > 0.45
    assert sides.max() <= 1 and sides[:, 0].std() > 0.02
    assert out.min() == 0 and out.max() <= 1  # some windows touch the rim, none shows what lies beyond


def test_a_crop_of_everything_changes_nothing():
    batch = painted()
    out = RandomResizedCrop(scale=(1.0, 1.0), ratio=(1.0, 1.0))(batch, generator())
    assert torch.allclose(out["image"], batch["image"], atol=1e-5) and torch.equal(out["mask"], batch["mask"])


def test_colour_changes_the_image_only_and_stays_in_range():
    batch = painted()
    out = ColorJitter(0.5, 0.5, 0.5)(batch, generator())
    assert torch.equal(out["mask"], batch["mask"])
    assert not torch.allclose(out["image"], batch["image"])
    assert 0 <= out["image"].min() and out["image"].max() <= 1
    assert torch.allclose(ColorJitter(0, 0, 0)(batch, generator())["image"], batch["image"], atol=1e-6)


def test_without_colour_saturation_has_nothing_to_change():
    batch = {"image": torch.rand(4, 1, 6, 8, generator=generator()).expand(-1, 3, -1, -1)}
    assert torch.allclose(ColorJitter(0, 0, 0.9)(batch, generator())["image"], batch["image"], atol=1e-5)


@pytest.mark.parametrize("name", ["flip", "flip_crop", "flip_crop_color"])
def test_the_same_generator_state_gives_the_same_batch_and_the_input_is_left_alone(name):
    batch = painted()
    before = {key: value.clone() for key, value in batch.items()}
    first, again, other = (augmentation(name)(batch, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first["image"], again["image"]) and torch.equal(first["mask"], again["mask"])
    assert not torch.equal(first["image"], other["image"])
    assert torch.equal(first["index"], batch["index"])
    assert all(torch.equal(batch[key], before[key]) for key in before)


def test_recipes_are_named():
    assert augmentation("none") is None
    assert isinstance(augmentation("flip_crop_color"), Compose)
    with pytest.raises(ValueError, match="none, flip, flip_crop, flip_crop_color, got 'flipp'"):
        augmentation("flipp")


def test_images_without_masks_are_augmented_too():
    assert set(augmentation("flip_crop_color")({"image": torch.rand(2, 3, 8, 12)}, generator())) == {"image"}


def test_numbers_are_handed_out_in_order_and_none_twice():
    draws = Draws(torch.tensor([[0.25, 0.5, 0.999]]))
    assert draws.uniform(2, 4).tolist() == [2.5]
    assert draws.log_uniform(1, 100).tolist() == pytest.approx([10])
    assert draws.choice(3).tolist() == [2]
    with pytest.raises(IndexError, match="only 3 numbers were drawn per picture"):
        draws.uniform()


def test_a_chance_is_true_as_often_as_it_says():
    draws = Draws(torch.tensor([[0.1], [0.29], [0.3], [0.9]]))
    assert draws.chance(0.3).tolist() == [True, True, False, False]


def test_a_picture_draws_the_same_whoever_is_drawn_beside_it():
    def rows(indices):
        return picture_draws([picture_generator(7, i, "test") for i in indices], 5).numbers
    assert torch.equal(rows([3, 4, 5])[1], rows([4])[0])
    assert not torch.equal(rows([4]), rows([5]))
    assert not torch.equal(rows([4]), picture_draws([picture_generator(8, 4, "test")], 5).numbers)
