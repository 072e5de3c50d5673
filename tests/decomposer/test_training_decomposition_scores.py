"""Scores of networks whose layers are the truth, or wrong in a known way."""

import pytest
import torch
from torch import nn

from htcv_lib.decomposer.layers import Decomposition
from htcv_lib.decomposer.objective import decomposition_objective
from htcv_lib.decomposer.scores import (
    constancy_of,
    evaluate_decomposition,
    evaluate_objective,
    evaluate_original,
    leakage_of,
    predict_decomposition,
    score_sequences,
)


def batches(count=3):
    """Sequences of two views, in batches of two and one; the last one has no occluder."""
    generator = torch.Generator().manual_seed(0)

    def random(channels, frames=2):
        return torch.rand(count, channels, frames, 12, 14, generator=generator)

    mask = torch.zeros(count, 1, 2, 12, 14)
    mask[: count - 1, :, :, 2:6, 3:9] = 1
    truth = {"original": random(3, 1), "shadow": 0.5 + 0.4 * random(1), "light": 0.1 * random(1), "mask": mask,
             "occlusion": mask * random(3)}
    truth["image"] = Decomposition(*(truth[name] for name in ("original", "light", "shadow", "occlusion", "mask")
                                     )).recompose()
    return [{name: values[start:start + 2] for name, values in truth.items()} for start in range(0, count, 2)]


class Oracle(nn.Module):
    """Knows the truth of the views it is shown; its clean picture is `shift` brighter. Notes its mode."""

    def __init__(self, data, shift=0.0, **changed):
        super().__init__()
        self.shift = nn.Parameter(torch.tensor(shift))
        self.data, self.changed, self.modes = data, changed, []

    def forward(self, image):
        self.modes.append(self.training)
        (truth,) = [batch for batch in self.data if torch.equal(batch["image"], image)]
        layers = Decomposition(truth["original"] + self.shift,
                        *(truth[name] for name in ("light", "shadow", "occlusion", "mask")))
        return layers._replace(**{name: change(getattr(layers, name)) for name, change in self.changed.items()})


def test_predictions_are_in_order_on_the_cpu_without_a_graph_and_a_missing_field_stays_missing():
    data = batches()
    model = Oracle(data).train()
    pred = predict_decomposition(model, data)
    assert isinstance(pred, Decomposition) and pred.mask_logits is None and not pred.original.requires_grad
    assert torch.equal(pred.shadow, torch.cat([batch["shadow"] for batch in data]))
    assert model.modes == [False, False] and model.training
    pictures = predict_decomposition(lambda image: image[:, :, :1], data)
    assert torch.equal(pictures, torch.cat([batch["image"][:, :, :1] for batch in data]))


def test_predictions_can_become_labels_of_a_training():
    data = batches()
    label = predict_decomposition(Oracle(data), data).original
    weight = torch.ones((), requires_grad=True)
    (weight * label).sum().backward()
    assert weight.grad == label.sum()


def test_the_truth_scores_perfectly_and_a_brighter_picture_by_its_error():
    data = batches()
    perfect = evaluate_decomposition(Oracle(data), data)
    assert (perfect["shadow_mae"], perfect["light_mae"], perfect["mask_iou"], perfect["occlusion_mae"]) == (0, 0, 1, 0)
    assert perfect["recomposition_ssim"] == pytest.approx(1)
    dark = Oracle(data, original=lambda values: values - 0.1)
    for batch in data:
        batch["original"].clamp_(min=0.2)
    assert evaluate_decomposition(dark, data)["original_psnr"] == pytest.approx(20, abs=1e-4)


def test_a_score_counts_the_sequences_that_have_it_and_is_absent_where_none_has():
    data = batches()
    scores = score_sequences(Oracle(data), data)
    assert scores["mask_auprc"].isnan().tolist() == [False, False, True]  # no occluder in the last
    assert evaluate_decomposition(Oracle(data), data)["mask_auprc"] == pytest.approx(1)
    assert "mask_auprc" not in evaluate_decomposition(Oracle(data[1:]), data[1:])
    unknown = [{name: values for name, values in batch.items() if name != "shadow"} for batch in data]
    assert "shadow_mae" not in evaluate_decomposition(Oracle(data), unknown)


def test_baselines_networks_of_frames_and_networks_of_layers_are_judged_by_their_clean_picture():
    data = batches()
    for batch in data:
        batch["original"].clamp_(max=0.8)
    steps = torch.tensor([0.0, 0.2]).view(1, 1, 2, 1, 1)
    frames = Oracle(data, original=lambda values: values + steps)

    def drawn(image):
        return frames(image).original

    layers = Oracle(data, shift=0.1)
    for predict in (drawn, layers, lambda image: drawn(image).mean(dim=2, keepdim=True)):
        assert evaluate_original(predict, data)["original_psnr"] == pytest.approx(20, abs=1e-4)
    assert evaluate_original(lambda image: image[:, :, :1], data)["original_psnr"] < 20


def test_leakage_of_the_truth_is_the_identity_and_of_swapped_layers_is_not():
    data = batches()
    leakage = leakage_of(Oracle(data), data)
    assert leakage.true == ("shadow", "light", "occlusion") and leakage.predicted[3] == "original"
    torch.testing.assert_close(leakage.unmixed, torch.eye(3, 4, dtype=torch.float64), atol=1e-5, rtol=0)
    first, second = (leakage_of(Oracle(data, shift=0.1), [batch]) for batch in data)
    both = leakage_of(Oracle(data, shift=0.1), data)
    torch.testing.assert_close(both.products, first.products + second.products)
    torch.testing.assert_close(both.overlaps, first.overlaps + second.overlaps)
    faint = Oracle(data, mask=lambda mask: 0.4 * mask)  # below one half: a cut mask hides nothing
    assert leakage_of(faint, data).entries()["occlusion>occlusion"] == pytest.approx(0, abs=1e-6)
    assert leakage_of(faint, data, hard=False).entries()["occlusion>occlusion"] == pytest.approx(0.4, abs=1e-5)
    blind = Oracle(data, shadow=torch.ones_like)
    assert leakage_of(blind, data).entries()["shadow>shadow"] == pytest.approx(0, abs=1e-6)


def test_constancy_is_relative_to_the_truth_and_tells_grey_pictures():
    data = batches()
    assert constancy_of(Oracle(data), data)["relative_contrast"] == pytest.approx(1)
    half = constancy_of(Oracle(data, original=lambda values: values / 2), data)
    assert half["relative_contrast"] == pytest.approx(0.5) and half["grey_original"] == 0
    grey = constancy_of(Oracle(data, original=lambda values: torch.full_like(values, 0.5)), data)
    assert (grey["relative_contrast"], grey["grey_original"]) == (0, 1)
    frames = constancy_of(lambda image: image * torch.tensor([1.0, 0.0]).view(1, 1, 2, 1, 1), data)
    assert frames["grey_frames"] == 0.5


def test_an_objective_is_measured_on_other_data_as_the_mean_over_sequences():
    data = batches()
    model = Oracle(data, shift=0.1).train()
    data[1]["image"] += 0.0
    found = evaluate_objective(decomposition_objective, model, data)
    assert found["original"] == pytest.approx(0.1)
    single = [decomposition_objective(model, batch)["loss"].item() for batch in data]
    assert found["loss"] == pytest.approx((2 * single[0] + single[1]) / 3)
    assert model.modes[:2] == [False, False] and model.training


def test_no_batches_is_an_error():
    for evaluate in (predict_decomposition, score_sequences, evaluate_original, leakage_of, constancy_of):
        with pytest.raises(ValueError, match="no batches to evaluate"):
            evaluate(Oracle([]), [])
    with pytest.raises(ValueError, match="no batches to evaluate"):
        evaluate_objective(decomposition_objective, Oracle([]), [])
