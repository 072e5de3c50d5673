"""Pseudo-labels of a whole set."""

from typing import NamedTuple

import pytest
import torch
from torch import Tensor, nn

from htcv_lib.data.batches import FieldBatches
from htcv_lib.decomposer.labels import lighting_labels, occlusion_labels, with_pseudo_labels
from htcv_lib.decomposer.sequences import SequenceSet


class Lit(NamedTuple):
    original: Tensor

    def relit(self, order: str) -> Tensor:
        return self.original.expand(-1, -1, 4, -1, -1)


class KnowsThePicture(nn.Module):
    """Relights with the median of the views."""

    def forward(self, image: Tensor, heads) -> Lit:
        assert heads == ("original", "lighting") and not self.training
        return Lit(image.median(dim=2, keepdim=True).values)


@pytest.fixture
def sequences() -> SequenceSet:
    """Three sequences of four views of a smooth picture; one view of each has a dark square."""
    ramp = torch.linspace(60, 200, 24).expand(3, 3, 1, 24, 24)
    images = ramp.repeat(1, 1, 4, 1, 1).clone()
    for place in range(3):
        images[place, :, place, 8:16, 4 + 4 * place : 12 + 4 * place] = 5
    return SequenceSet(images.to(torch.uint8), ramp.to(torch.uint8))


def test_labels_of_a_set_are_those_of_its_sequences_whatever_the_batch(sequences):
    image, original = sequences.images.float() / 255, sequences.originals.float() / 255
    expected = lighting_labels(image, original)
    mask = occlusion_labels(image, expected.relit)
    for size in (2, 8):
        batch = next(iter(FieldBatches(with_pseudo_labels(sequences, batch_size=size), 3)))
        torch.testing.assert_close(batch["pseudo_relit"], expected.relit)
        torch.testing.assert_close(batch["pseudo_light"], expected.light)
        torch.testing.assert_close(batch["pseudo_shadow"], expected.shadow)
        assert torch.equal(batch["pseudo_mask"], mask) and 0 < mask.mean() < 0.5


def test_the_residual_of_a_model_that_knows_the_picture_is_the_occluder(sequences):
    model = KnowsThePicture().train()
    labelled = with_pseudo_labels(sequences, "residual", model)
    square = torch.zeros(3, 1, 4, 24, 24, dtype=torch.uint8)
    for place in range(3):
        square[place, 0, place, 8:16, 4 + 4 * place : 12 + 4 * place] = 255
    assert torch.equal(labelled.pseudo["pseudo_mask"], square)
    assert model.training  # as it was


@pytest.mark.parametrize(("mask", "model"), [("residual", None), ("ssim", KnowsThePicture()), ("otsu", None)])
def test_a_mask_that_cannot_be_made_is_refused(sequences, mask, model):
    with pytest.raises(ValueError, match="residual with a model"):
        with_pseudo_labels(sequences, mask, model)
