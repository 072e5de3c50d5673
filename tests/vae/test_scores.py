import math

import pytest
import torch
from torch import nn

from htcv_lib.vae.model import LabelVAE
from htcv_lib.vae.scores import (
    interpolation,
    other_labels,
    relabel_grid,
    style_correlation,
    style_descriptors,
    traversal,
)

INK, HEIGHT, WIDTH, SLANT, THICKNESS = range(5)


def bar(height: int, width: int, shear: int = 0, size: tuple[int, int] = (20, 24)) -> torch.Tensor:
    """A bar of ink in the middle, moved `shear` columns per row: (1, 1, *size)."""
    image = torch.zeros(1, 1, *size)
    for row in range(height):
        left = size[1] // 2 - width // 2 + shear * (row - height // 2)
        image[0, 0, size[0] // 2 - height // 2 + row, left : left + width] = 1
    return image


def random_pictures(count: int = 300) -> tuple[torch.Tensor, torch.Tensor]:
    """Bars whose thickness, contrast and length vary, and a class each that has nothing to do with them."""
    generator = torch.Generator().manual_seed(0)
    size = torch.randint(2, 6, (count, 2), generator=generator).tolist()
    images = torch.cat([bar(2 * height, width) for height, width in size])
    contrast = 0.5 + 0.5 * torch.rand(count, 1, 1, 1, generator=generator)
    return images * contrast, torch.randint(0, 10, (count,), generator=generator)


def test_other_labels_are_never_the_own_take_turns_and_do_not_depend_on_the_batches():
    label = torch.arange(10).repeat(20)
    given = other_labels(label)
    assert (given != label).all() and given.min() == 0 and given.max() == 9
    assert given[:10].tolist() == [(2 * i + 1) % 10 for i in range(9)] + [0]
    assert torch.equal(given, torch.cat([other_labels(label[:70]), other_labels(label[70:], offset=70)]))
    zeros = torch.zeros(90, dtype=torch.int64)
    assert torch.bincount(other_labels(zeros), minlength=10).tolist() == [0] + [10] * 9


def test_the_moments_of_a_bar_are_those_of_uniform_distributions():
    values = style_descriptors(bar(8, 3))[0]
    assert values[INK].item() == pytest.approx(24 / 480)
    assert values[HEIGHT].item() == pytest.approx(math.sqrt((8**2 - 1) / 12))
    assert values[WIDTH].item() == pytest.approx(math.sqrt((3**2 - 1) / 12))
    assert values[SLANT].item() == pytest.approx(0)


def test_slant_is_the_columns_moved_per_row():
    assert style_descriptors(bar(8, 2, shear=1))[0, SLANT].item() == pytest.approx(1)
    assert style_descriptors(bar(8, 2, shear=-1))[0, SLANT].item() == pytest.approx(-1)


def test_thickness_is_the_width_of_a_long_stroke_even_blurred():
    thin, thick = bar(400, 2, size=(404, 24)), bar(400, 4, size=(404, 24))
    blurred = torch.nn.functional.avg_pool2d(thick, (1, 3), stride=1, padding=(0, 1))
    thickness = style_descriptors(torch.cat([thin, thick, blurred]))[:, THICKNESS]
    assert thickness.tolist() == pytest.approx([2, 4, 4], rel=0.02)


def test_colours_of_a_grid_are_means_over_its_cells_and_pictures_are_clipped():
    image = torch.zeros(1, 3, 8, 12)
    image[0, 0, :2, :3], image[0, 1, 6:, 9:] = 5.0, -3.0
    values = style_descriptors(image)[0].view(3, 4, 4)
    assert values[0, 0, 0] == 1 and values.sum() == 1


def test_an_empty_picture_has_finite_descriptors():
    assert style_descriptors(torch.zeros(1, 1, 5, 7)).isfinite().all()


def test_other_numbers_of_channels_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels"):
        style_descriptors(torch.rand(1, 2, 5, 7))


def test_pictures_left_alone_keep_their_style_and_class_prototypes_keep_none():
    images, label = random_pictures()
    given = other_labels(label)
    prototypes = torch.stack([images[label == c].mean(0) for c in range(10)])
    style = style_descriptors(images)
    assert style_correlation(style, label, style, given) == pytest.approx(1, abs=0.05)
    assert style_correlation(style, label, style_descriptors(prototypes[given]), given) == 0
    assert style_correlation(style, label, style.roll(1, 0), given) == pytest.approx(0, abs=0.15)  # of someone else


def test_what_a_class_does_to_all_its_pictures_is_not_style():
    before = torch.randn(400, 2, generator=torch.Generator().manual_seed(0)).double()
    label = torch.arange(400) % 10
    given = other_labels(label)
    # the output of each class moved far, and one descriptor mirrored: 1 and -1
    after = before * torch.tensor([2.0, -1.0]) + 100 * given[:, None]
    each = [style_correlation(before[:, [k]], label, after[:, [k]], given) for k in range(2)]
    assert each == pytest.approx([1, -1], abs=0.05)
    assert style_correlation(before, label, after, given) == pytest.approx(sum(each) / 2)


def test_a_descriptor_constant_in_the_outputs_counts_zero_and_one_constant_in_the_inputs_not():
    before = torch.randn(100, 2, generator=torch.Generator().manual_seed(0)).double()
    label = torch.zeros(100, dtype=torch.int64)
    constant = torch.full((100, 1), 0.3).double()
    assert style_correlation(before, label, torch.cat([before[:, :1], constant], 1), label) == pytest.approx(0.5)
    assert style_correlation(torch.cat([before[:, :1], constant], 1), label, before, label) == pytest.approx(1)
    assert style_correlation(constant, label, constant, label) == 0


class Spread(nn.Module):
    """z (B, 2) -> a picture of 1 x 1 x 3: its two values, and a tenth of the label's number."""

    def forward(self, z, label):
        return torch.cat([z, label[:, None] / 10], dim=1)[:, None, None]


def identity_vae() -> LabelVAE:
    """Two pixels are its latents."""
    encoder = nn.Sequential(nn.Flatten())
    model = LabelVAE(encoder, Spread(), 3, 2, mean=[0.0], std=[1.0], conditional=True)
    with torch.no_grad():
        model.to_mu.weight.copy_(torch.eye(2, 3))
        model.to_mu.bias.zero_()
    return model


IMAGES = torch.tensor([[0.2, 0.4, 0.3], [0.6, 0.8, 0.5]])[:, None, None]  # (2, 1, 1, 3); labels 3 and 5


def test_a_grid_holds_the_image_its_reconstruction_and_itself_under_every_label():
    grid = relabel_grid(identity_vae().train(), IMAGES, torch.tensor([3, 5]))
    assert grid.shape == (2, 12, 1, 1, 3)
    assert torch.equal(grid[:, 0], IMAGES) and torch.allclose(grid[:, 1], IMAGES)
    assert torch.allclose(grid[0, 2:, 0, 0, 2], torch.arange(10) / 10)
    assert torch.allclose(grid[:, 2:, 0, 0, :2], IMAGES[:, :, 0, :2].expand(2, 10, 2))


def test_interpolation_goes_straight_from_one_image_to_the_other_under_the_first_label():
    row = interpolation(identity_vae(), IMAGES[:1], IMAGES[1:], torch.tensor([3]), torch.tensor([5]), steps=5)
    assert torch.allclose(row[0, :, 0, 0, 0], torch.tensor([0.2, 0.3, 0.4, 0.5, 0.6]))
    assert torch.allclose(row[0, :, 0, 0, 2], torch.full((5,), 0.3))


def test_interpolation_ends_where_relabelling_the_second_image_would():
    model = identity_vae()
    with torch.no_grad():
        model.label_mu.weight[5] = 0.1  # the posterior is told the image's own label,
        model.prior_mu.weight[3] = 0.05  # and z takes its place in the other label's prior
    row = interpolation(model, IMAGES[:1], IMAGES[1:], torch.tensor([3]), torch.tensor([5]), steps=5)
    assert torch.allclose(row[:, 0], model.reconstruct(IMAGES[:1], torch.tensor([3])))
    assert torch.allclose(row[:, -1], model.relabel(IMAGES[1:], torch.tensor([5]), torch.tensor([3])))
    assert torch.allclose(row[0, -1, 0, 0], torch.tensor([0.75, 0.95, 0.3]))


def test_a_walk_changes_one_latent_over_the_span_of_its_prior_and_leaves_the_other():
    model = identity_vae()
    with torch.no_grad():
        model.prior_mu.weight.fill_(0.5)
        model.prior_logvar.weight.copy_(torch.tensor([0.02, 0.1]).log().mul(2).expand(10, 2))  # deviations
    walks = traversal(model, IMAGES[0], torch.tensor(3), directions=2, steps=3)
    assert torch.allclose(walks[0, :, 0, 0, 1], torch.tensor([0.2, 0.5, 0.8]))  # the wider one comes first
    assert torch.allclose(walks[0, :, 0, 0, 0], torch.full((3,), 0.2))
    assert torch.allclose(walks[1, :, 0, 0, 0], torch.tensor([0.44, 0.5, 0.56]))
