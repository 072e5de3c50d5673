import pytest
import torch

from htcv_lib.vae.baselines import PCA


def test_images_on_a_line_need_one_component():
    direction = torch.tensor([3.0, 0.0, 4.0, 0.0]) / 5
    images = (torch.tensor([-2.0, 0.0, 1.0, 5.0])[:, None] * direction + 0.5).view(4, 1, 2, 2)
    model = PCA(1).fit(images)
    torch.testing.assert_close(model.mean, 0.5 + direction)  # the mean position on the line is 1
    torch.testing.assert_close(model.basis, direction[None])  # signed so that its largest entry is positive
    torch.testing.assert_close(model.encode(images), torch.tensor([[-3.0], [-1.0], [0.0], [4.0]]))
    torch.testing.assert_close(model.reconstruct(images), images)


def test_the_loss_of_the_fit_is_the_variance_left_out_of_the_svd():
    torch.manual_seed(0)
    images = torch.rand(30, 2, 2, 3)
    flat = (images - images.mean(0)).flatten(1)
    left_out = torch.linalg.svdvals(flat)[5:].square().sum()
    model = PCA(5).fit(images, chunk=7)
    torch.testing.assert_close((model.reconstruct(images) - images).square().sum(), left_out)
    torch.testing.assert_close(model.basis @ model.basis.T, torch.eye(5), atol=1e-5, rtol=0)
    variance = model.encode(images).var(0)
    assert torch.equal(variance, variance.sort(descending=True).values)


def test_no_label_moves_a_pca():
    images = torch.rand(6, 1, 2, 2)
    model = PCA(2).fit(images)
    own, given = torch.zeros(6, dtype=torch.long), torch.ones(6, dtype=torch.long)
    assert torch.equal(model.relabel(images, own, given), model.reconstruct(images, own))


@pytest.mark.parametrize("shape", [(6, 1, 1, 2), (2, 1, 2, 2)])
def test_more_components_than_pixels_or_images_are_refused(shape):
    with pytest.raises(ValueError, match="3 components"):
        PCA(3).fit(torch.rand(shape))
