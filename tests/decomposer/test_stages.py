"""Stages on the Decomposer at its smallest: what trains, what stays, and what is handed on."""

import math
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from htcv_lib.decomposer.heads import Decomposer, freeze_for
from htcv_lib.decomposer.stages import (
    Stage,
    describe_masks,
    evaluate_views,
    hand_on,
    scores_of_stage,
    shadow_likeness,
    train_stage,
)
from htcv_lib.decomposer.swin import FramesNet

HEADS = {"original": "original_head", "lighting": "lighting_head", "mask": "occlusion_head", "rgb": "occlusion_head"}


class Sequences:
    """One batch of two sequences of two views with pseudo-labels, over and over."""

    def __init__(self):
        generator = torch.Generator().manual_seed(0)
        image = torch.rand(2, 3, 2, 16, 20, generator=generator)
        self.batch = {"image": image, "original": image[:, :, :1], "pseudo_relit": image * 0.9,
                      "pseudo_mask": (image[:, :1] > 0.8).float()}

    def __len__(self):
        return 2

    def __iter__(self):
        return iter([self.batch, self.batch])


def small(seed=0):
    torch.manual_seed(seed)
    return Decomposer(8, frames=2, drop_path=0.2, depths=(1, 1, 1, 1))


def states(model):
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


def changed(before, model):
    """The submodules in which a tensor changed."""
    return {name.split(".")[0] for name, tensor in model.state_dict().items() if not torch.equal(before[name], tensor)}


@pytest.mark.parametrize("name", HEADS)
def test_a_stage_trains_its_head_and_nothing_else(name):
    model = small()
    before = states(model)
    settings = {"soft": True} if name == "rgb" else {}
    history = train_stage(model, Stage(name, epochs=1, settings=settings), Sequences(), freeze_for, progress=False)
    assert changed(before, model) == {HEADS[name]}
    assert f"train/{name}/loss" in history.frame() and len(history.rows) == 1
    assert not any(param.requires_grad for param in model.encoder.parameters())


def test_the_colours_learn_nothing_where_the_hard_mask_of_a_fresh_head_is_below_its_threshold():
    model = small()
    before = states(model)
    train_stage(model, Stage("rgb", epochs=1), Sequences(), freeze_for, progress=False)
    assert not changed(before, model)  # the mask starts near one half, the cut is at nine tenths


def test_settings_and_schedule_of_a_stage_reach_the_training():
    flat = Stage("original", epochs=3, lr=1e-3, patience=0, monitor="val/loss", settings={"metric": "mse"})
    values = iter([0.3, 0.3, 0.3])
    history = train_stage(small(), flat, Sequences(), freeze_for, evaluate=lambda: {"loss": next(values)},
                          progress=False)
    assert [row["lr"] for row in history.rows] == pytest.approx([1e-3, 1e-3, 1e-4])  # after two without a lower value
    mae = train_stage(small(), Stage("original", epochs=1), Sequences(), freeze_for, progress=False)
    assert history.first_losses[0] < mae.first_losses[0]  # squares of errors below 1
    cosine = train_stage(small(), Stage("original", epochs=2, schedule="cosine", accumulate=2), Sequences(), freeze_for,
                         progress=False)
    assert cosine.rows[-1]["lr"] == pytest.approx(0)


def test_the_model_is_wrapped_when_it_is_frozen_and_the_wrapped_one_is_called():
    model, seen = small(), []

    def wrap(network):
        seen.append({name.split(".")[0] for name, param in network.named_parameters() if param.requires_grad})
        return lambda image, heads: seen.append(heads) or network(image, heads=heads)

    train_stage(model, Stage("lighting", epochs=1), Sequences(), freeze_for, wrap=wrap, progress=False)
    assert seen == [{"lighting_head"}, ("lighting",), ("lighting",)]


def test_a_stage_that_leaves_nothing_to_train_is_refused():
    with pytest.raises(ValueError, match="'mask' leaves nothing to train"):
        train_stage(small(), Stage("mask", epochs=1), Sequences(), lambda model, name: model.requires_grad_(False))


def test_weights_are_handed_on_by_name_from_a_file_and_from_memory(tmp_path):
    first, second, third = small(0), small(1), small(2)
    assert changed(states(first), second)
    hand_on(second, first.state_dict())
    assert not changed(states(first), second)
    save_file(states(first), tmp_path / "stage.safetensors")
    freeze_for(third.train(), "lighting")
    hand_on(third, tmp_path / "stage.safetensors")
    assert not changed(states(first), third)
    assert third.training and not any(param.requires_grad for param in third.encoder.parameters())


def test_of_an_autoencoder_only_the_encoder_is_handed_on():
    torch.manual_seed(3)
    autoencoder = FramesNet(8, frames=2, depths=(1, 1, 1, 1))
    model = small()
    before = states(model)
    hand_on(model, autoencoder.state_dict(), parts=("encoder",))
    assert changed(before, model) == {"encoder"}
    assert all(torch.equal(autoencoder.state_dict()[name], tensor) for name, tensor in model.state_dict().items()
               if name.startswith("encoder."))


def test_weights_that_are_missing_left_over_or_of_other_shapes_are_named_and_nothing_changes():
    model = small()
    before = states(model)
    given = states(small(1))
    del given["original_head.head.bias"]
    given["lighting_head.head.bias"] = torch.zeros(5)
    given["extra.weight"] = torch.zeros(1)
    with pytest.raises(ValueError) as refused:
        hand_on(model, given)
    text = str(refused.value)
    assert "missing are original_head.head.bias" in text and "left over are extra.weight" in text
    assert "of other shapes are lighting_head.head.bias (5,), not (2,)" in text
    assert not changed(before, model)
    with pytest.raises(ValueError, match="missing are .* and [0-9]+ more"):
        hand_on(model, {}, parts=("encoder",))
    with pytest.raises(ValueError, match="the model has no weights in decoder"):
        hand_on(model, states(model), parts=("encoder", "decoder"))
    with pytest.raises(FileNotFoundError):
        hand_on(model, "nowhere.safetensors")


# Scores of a network that is trained in stages.


SCORES = {"original_psnr": 20.0, "irradiance_mae": 0.1, "mask_iou": 0.5, "occlusion_mae": 0.2,
          "recomposition_psnr": 25.0}


@pytest.mark.parametrize(("stage", "count"), [("original", 1), ("lighting", 2), ("mask", 3), ("joint", 3), ("rgb", 5)])
def test_heads_that_no_stage_has_trained_have_no_score(stage, count):
    assert list(scores_of_stage(stage, SCORES)) == list(SCORES)[:count]


def test_an_occlusion_branch_that_copies_and_covers_everything():
    image = torch.rand(2, 3, 4, 12, 12)
    label = torch.zeros(2, 1, 4, 12, 12)
    label[..., :6] = 1
    everywhere = SimpleNamespace(mask=torch.full((2, 1, 4, 12, 12), 0.6), occlusion=image + 0.1)
    found = describe_masks(everywhere, {"image": image, "pseudo_mask": (label * 255).to(torch.uint8)})
    assert found["mask_share"] == 1 and found["mask_label_iou"] == pytest.approx(0.5)
    assert found["occlusion_copy_psnr"] == pytest.approx(20, abs=1e-3)  # 10 log10(1 / 0.1 ** 2)


def test_a_shadow_that_shows_the_picture_is_told_from_one_that_does_not():
    half = torch.zeros(2, 3, 1, 8, 8)
    half[..., :4] = 1  # left white, right black
    painted = SimpleNamespace(shadow=0.2 + 0.6 * half[:, :1].expand(-1, -1, 4, -1, -1))
    assert shadow_likeness(painted, (half * 255).to(torch.uint8))["shadow_picture_correlation"] == pytest.approx(1)
    other = SimpleNamespace(shadow=painted.shadow.transpose(3, 4).contiguous())  # upper half light, lower half dark
    assert shadow_likeness(other, half)["shadow_picture_correlation"] == pytest.approx(0, abs=1e-9)


def test_views_drawn_with_a_known_error_have_its_psnr():
    image = torch.rand(3, 3, 2, 12, 12) * 0.5
    batches = [{"image": image[:2]}, {"image": image[2:]}]
    found = evaluate_views(lambda views: views + 0.01, batches)
    assert found["recomposition_psnr"] == pytest.approx(40, abs=1e-3) and 0.9 < found["recomposition_ssim"] < 1
    assert math.isinf(evaluate_views(lambda views: views, batches)["recomposition_psnr"])
