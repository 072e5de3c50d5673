import pytest
import torch

from htcv_lib.vae.judge import PlainClassifier


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
