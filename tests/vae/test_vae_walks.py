"""Rows of pictures, from a model whose pictures are known."""

import torch
from torch import nn

from htcv_lib.vae.model import LabelVAE
from htcv_lib.vae.scores import interpolation, relabel_grid, traversal


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
