import torch

from htcv_lib.vae.baselines import ImageCopy


def test_a_copy_is_the_image_under_every_label():
    image, labels = torch.rand(2, 1, 3, 3), torch.tensor([0, 1])
    model = ImageCopy()
    assert torch.equal(model.reconstruct(image, labels), image)
    assert torch.equal(model.relabel(image, labels, labels.flip(0)), image)
