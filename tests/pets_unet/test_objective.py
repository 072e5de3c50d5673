from functools import partial
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from htcv_lib.losses.masks import ce_dice_loss, log_dice_loss
from htcv_lib.metrics.segmentation import boundary_iou
from htcv_lib.pets_unet.networks import UNet
from htcv_lib.pets_unet.objective import evaluate_segmentation, predict_segmentation, segmentation_objective
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase


class Threshold(nn.Module):
    """Red pixels are class 0, green 1, blue 2; logits are the colours times 50."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)  # off in evaluation

    def forward(self, image):
        return self.drop(50 * image)


@pytest.fixture
def colours() -> torch.Tensor:
    return torch.randint(0, 3, (5, 6, 9), generator=torch.Generator().manual_seed(4))


def painted(classes: torch.Tensor) -> torch.Tensor:
    return nn.functional.one_hot(classes, 3).movedim(-1, 1).float()


def test_the_objective_is_the_loss_of_the_logits(colours):
    model = Threshold().eval()
    batch = {"image": 0.02 * painted(colours), "mask": colours.roll(1, 0)}
    logits = model(batch["image"])
    assert torch.equal(segmentation_objective(model, batch, "log_dice")["loss"], log_dice_loss(logits, batch["mask"]))
    terms = segmentation_objective(model, batch, "ce_dice")
    assert terms.keys() == {"loss", "ce", "dice"} and torch.equal(
        terms["loss"], ce_dice_loss(logits, batch["mask"])["loss"])


@pytest.mark.parametrize("loss", ["ce", "dice", "log_dice", "ce_dice"])
def test_a_loss_is_computed_in_float32_where_the_net_computes_in_bfloat16(colours, loss):
    model, batch = nn.Conv2d(3, 3, 1), {"image": painted(colours), "mask": colours}
    exact = segmentation_objective(model, batch, loss)["loss"]
    with torch.autocast("cpu", torch.bfloat16):
        assert model(batch["image"]).dtype == torch.bfloat16
        value = segmentation_objective(model, batch, loss)["loss"]
    assert value.dtype == torch.float32 and value.item() == pytest.approx(exact.item(), abs=0.02)


def test_an_unknown_loss_is_refused_by_name():
    with pytest.raises(ValueError, match="ce, dice, log_dice, ce_dice"):
        segmentation_objective(Threshold(), {"image": torch.rand(1, 3, 2, 2)}, "mse")


def test_scores_of_a_split_do_not_depend_on_the_batches_and_leave_the_mode(colours):
    target = colours.clone()
    target[0] = 0
    model = Threshold().train()
    full = {"image": painted(colours), "mask": target}
    parts = [{name: value[rows] for name, value in full.items()} for rows in (slice(0, 2), slice(2, 5))]
    scores, again = evaluate_segmentation(model, [full]), evaluate_segmentation(model, parts)
    assert model.training
    assert scores == pytest.approx(again)
    assert scores["accuracy"] == pytest.approx((colours == target).double().mean().item())
    assert scores["iou_border"] == pytest.approx(
        ((colours == 2) & (target == 2)).sum().item() / ((colours == 2) | (target == 2)).sum().item())
    ious = [scores[f"iou_{name}"] for name in ("pet", "background", "border")]
    assert scores["mean_iou"] == pytest.approx(sum(ious) / 3)
    assert scores["boundary_iou"] == pytest.approx(boundary_iou(colours, target, 3).mean().item())
    assert scores.keys() == {"accuracy", "mean_iou", "iou_pet", "iou_background", "iou_border", "boundary_iou", "dice",
                             "loss"}


def test_a_perfect_map_scores_one_everywhere(colours):
    scores = evaluate_segmentation(Threshold(), [{"image": painted(colours), "mask": colours}])
    assert scores.pop("loss") == pytest.approx(0, abs=1e-6)
    assert set(scores.values()) == {1.0}


def test_predictions_are_class_maps_in_the_order_of_the_set(colours):
    dataset = SimpleNamespace(images=(255 * painted(colours)).to(torch.uint8))
    pred = predict_segmentation(Threshold(), dataset, batch_size=2)
    assert pred.dtype == torch.uint8 and torch.equal(pred.long(), colours)


@pytest.mark.parametrize("loss", ["ce", "dice", "log_dice", "ce_dice"])
def test_a_small_unet_learns_to_tell_three_colours_apart(colours, loss):
    torch.manual_seed(0)
    mask = colours.repeat_interleave(2, 1)[:, :12, :8]
    batch = {"image": painted(mask), "mask": mask}
    model = UNet((4, 8))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.03)
    phase = Phase("unet", partial(segmentation_objective, model, loss=loss), optimizer)
    fit([phase], [batch], epochs=60, progress=False)
    assert evaluate_segmentation(model, [batch])["accuracy"] > 0.9
