import math
from functools import partial

import pytest
import torch
from torch import nn

from htcv_lib.networks import count_parameters
from htcv_lib.training.loop import fit
from htcv_lib.training.phase import Phase
from htcv_lib.vae.judge import (
    PlainClassifier,
    classification_objective,
    evaluate_classifier,
    make_classifier,
    predict_labels,
)


class Brightest(nn.Module):
    """The class is the brightest of three pixels; dropout shows whether evaluation mode is on."""

    def __init__(self):
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, image):
        return self.drop(10 * image.flatten(1))


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    label = torch.tensor([0, 1, 2, 2, 1])
    image = nn.functional.one_hot(label, 3).float().view(-1, 1, 1, 3)
    return {"image": image, "label": label}


def test_the_objective_is_the_cross_entropy_and_smoothing_spreads_the_target(batch):
    model = Brightest().eval()
    rest = math.log(math.exp(10) + 2)
    assert classification_objective(model, batch)["loss"].item() == pytest.approx(rest - 10, rel=1e-3)
    smooth = classification_objective(model, batch, label_smoothing=0.3)["loss"].item()
    assert smooth == pytest.approx(rest - 10 * 0.8, rel=1e-4)  # 0.7 + 0.3 / 3 on the true class


def test_scores_of_a_split_do_not_depend_on_the_batches_and_leave_the_mode(batch):
    model = Brightest().train()
    batch["label"][0] = 1
    parts = [{name: value[rows] for name, value in batch.items()} for rows in (slice(0, 2), slice(2, 5))]
    scores = evaluate_classifier(model, [batch])
    assert model.training and scores["accuracy"] == pytest.approx(4 / 5)
    assert evaluate_classifier(model, parts) == pytest.approx(scores)
    with pytest.raises(ValueError, match="no batches"):
        evaluate_classifier(model, [])


def test_labels_are_predicted_in_order_from_either_kind_of_pixel(batch):
    model = Brightest().train()
    assert predict_labels(model, batch["image"], batch_size=2).tolist() == batch["label"].tolist()
    seen = []
    handle = model.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].max().item()))
    pixels = (255 * batch["image"]).to(torch.uint8)
    assert predict_labels(model, pixels).tolist() == batch["label"].tolist() and seen == [1.0]
    handle.remove()


def test_a_linear_classifier_learns_the_brightest_pixel(batch):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3, 3))
    phase = Phase("net", partial(classification_objective, model), torch.optim.Adam(model.parameters(), lr=0.1))
    fit([phase], [batch], epochs=30, progress=False)
    assert evaluate_classifier(model, [batch])["accuracy"] == 1


@pytest.mark.parametrize(("channels", "side", "stride"), [(1, 28, 1), (3, 32, 2)])
def test_the_judge_gives_logits_for_digits_and_for_photographs(channels, side, stride):
    model = PlainClassifier(channels, (4, 6, 8), num_classes=7, stem_stride=stride)
    assert model(torch.rand(2, channels, side, side)).shape == (2, 7)


@pytest.mark.parametrize(("stride", "sides"), [(1, [8, 4]), (2, [4, 2])])
def test_each_width_halves_once_and_a_strided_stem_once_more(stride, sides):
    model = PlainClassifier(3, (4, 6), stem_stride=stride)
    x = torch.rand(1, 3, 16, 16)
    found = []
    for stage in list(model)[:2]:
        x = stage(x)
        found.append(x.shape[-1])
    assert found == sides


def test_an_image_is_judged_alone_whatever_else_is_in_the_batch():
    model, images = PlainClassifier(1, (4, 6)), torch.rand(3, 1, 8, 8)  # in training mode too
    torch.testing.assert_close(model(images)[:1], model(images[:1]))


def test_the_judges_dropout_comes_before_its_linear_layer():
    model = PlainClassifier(1, (4, 6), dropout=1.0)
    torch.testing.assert_close(model(torch.rand(2, 1, 8, 8)), model[-1].bias.expand(2, -1))


def test_classifiers_by_name_have_ten_logits_and_the_guide_is_the_reports_size():
    assert count_parameters(make_classifier("digit", 1)) == 5196 < 8000
    assert make_classifier("plain", 1, (4, 8))(torch.rand(2, 1, 28, 28)).shape == (2, 10)
    assert make_classifier("resnet9", 3, (2, 3, 4, 5)).eval()(torch.rand(2, 3, 32, 32)).shape == (2, 10)
    with pytest.raises(ValueError, match="plain"):
        make_classifier("vgg", 3)
