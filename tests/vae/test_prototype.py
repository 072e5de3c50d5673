import pytest
import torch

from htcv_lib.vae.baselines import ClassPrototypes

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
