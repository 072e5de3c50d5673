import bz2

import pytest
import torch

from htcv_lib.vae.baselines import PCA, ClassPrototypes, ImageCopy, compressed_bits


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
    model = PCA(5).fit(images)
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
    with pytest.raises(ValueError, match="n_components=3"):
        PCA(3).fit(torch.rand(shape))


IMAGES = torch.tensor([0.0, 0.5, 1.0]).view(3, 1, 1, 1).expand(3, 1, 2, 2)
LABELS = torch.tensor([0, 0, 1])


def test_a_prototype_is_the_mean_of_its_class():
    model = ClassPrototypes(2).fit(IMAGES, LABELS)
    assert model.reconstruct(IMAGES, LABELS)[:, 0, 0, 0].tolist() == [0.25, 0.25, 1.0]
    assert model.prototypes.shape == (2, 1, 2, 2)


def test_relabelling_shows_the_prototype_of_the_given_class():
    model = ClassPrototypes(2).fit(IMAGES, LABELS)
    assert model.relabel(IMAGES, LABELS, torch.tensor([1, 0, 0]))[:, 0, 1, 1].tolist() == [1.0, 0.25, 0.25]


@pytest.mark.parametrize("num_classes", [1, 3])
def test_a_class_without_images_and_an_unknown_class_are_refused(num_classes):
    with pytest.raises(ValueError, match="classes need an image each"):
        ClassPrototypes(num_classes).fit(IMAGES, LABELS)


def test_a_copy_is_the_image_under_every_label():
    image, labels = torch.rand(2, 1, 3, 3), torch.tensor([0, 1])
    model = ImageCopy()
    assert torch.equal(model.reconstruct(image, labels), image)
    assert torch.equal(model.relabel(image, labels, labels.flip(0)), image)


def test_a_compressor_counts_bits_for_each_value():
    images = torch.randint(256, (6, 3, 8, 8), generator=torch.Generator().manual_seed(0)).to(torch.uint8)
    assert compressed_bits(images, "bzip2") == 8 * len(bz2.compress(images.numpy().tobytes(), 9)) / (6 * 3 * 64)
    assert all(compressed_bits(images, name) > 8 for name in ("bzip2", "lzma", "webp"))  # noise, and a header each
    assert compressed_bits(torch.zeros(6, 1, 28, 28, dtype=torch.uint8), "webp") < 1
    with pytest.raises(ValueError, match="bzip2, lzma or webp"):
        compressed_bits(images, "zip")
