"""The loss with every layer known."""

from typing import NamedTuple

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.decomposer.set_losses import MATCHED, matched_loss


class Layers(NamedTuple):
    original: Tensor
    light: Tensor
    shadow: Tensor
    occlusion: Tensor
    mask: Tensor
    mask_logits: Tensor

    def recompose(self, hard: bool = True) -> Tensor:
        assert not hard
        return torch.lerp(self.original * self.shadow + self.light, self.occlusion, self.mask.expand_as(self.occlusion))


@pytest.fixture
def batch() -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)

    def draw(channels: int, frames: int) -> Tensor:
        return torch.rand(2, channels, frames, 12, 12, generator=generator)

    mask = torch.zeros(2, 1, 3, 12, 12)
    mask[:, :, 1, 2:8, 3:9] = 1
    layers = {"original": draw(3, 1), "shadow": draw(1, 3), "light": 0.2 * draw(1, 3), "mask": mask,
              "occlusion": draw(3, 3) * mask}
    lit = layers["original"] * layers["shadow"] + layers["light"]
    return layers | {"image": torch.where(mask > 0.5, layers["occlusion"], lit)}


def truth(batch, **changed) -> Layers:
    known = {name: batch[name].clone() for name in ("original", "light", "shadow", "occlusion", "mask")} | changed
    return Layers(**known, mask_logits=torch.logit(known["mask"], eps=1e-6))


def test_the_truth_costs_nothing_but_rounding(batch):
    terms = matched_loss(truth(batch), batch)
    parts = sum(float(value) for name, value in terms.items() if name != "loss")
    assert terms["loss"] == pytest.approx(parts, rel=1e-6)
    assert set(terms) == {"loss", *MATCHED} and 0 <= terms["loss"] < 0.01


def test_each_layer_has_its_own_price_by_hand(batch):
    clean = matched_loss(truth(batch), batch)
    worse = matched_loss(truth(batch, shadow=batch["shadow"] + 0.1), batch)
    assert worse["shadow"] - clean["shadow"] == pytest.approx(0.1, abs=2e-3)
    for name in ("light", "original", "mask_bce", "occlusion"):
        assert worse[name] == clean[name]
    wrong = batch["mask"].roll(1, dims=2)
    blind = matched_loss(truth(batch, mask=wrong), batch)
    expected = 0.1 * F.binary_cross_entropy_with_logits(torch.logit(wrong, eps=1e-6), batch["mask"])
    assert blind["mask_bce"] == pytest.approx(float(expected)) and blind["mask_dice"] > 0.09


def test_what_an_occluder_hides_is_not_asked_for(batch):
    hidden = batch["mask"].bool()
    terms = matched_loss(truth(batch, shadow=torch.where(hidden, 0.0, batch["shadow"]),
                               light=torch.where(hidden, 1.0, batch["light"]),
                               occlusion=torch.where(hidden, batch["occlusion"], 0.7)), batch)
    clean = matched_loss(truth(batch), batch)
    assert all(terms[name] == pytest.approx(float(clean[name]), abs=1e-6) for name in ("shadow", "light", "occlusion"))


def test_a_weight_of_nothing_is_refused_and_a_weight_of_zero_leaves_out(batch):
    assert "structure" not in matched_loss(truth(batch), batch, structure=0.0)
    with pytest.raises(ValueError, match="no term"):
        matched_loss(truth(batch), batch, colour=1.0)
