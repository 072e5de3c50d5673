import pytest
import torch
import torch.nn.functional as F

from htcv_lib.decomposer.losses import charbonnier, distance
from htcv_lib.metrics.pictures import image_ssim


@pytest.fixture
def views() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(2, 3, 4, 14, 18, generator=generator)
    return (target + 0.2 * torch.randn(target.shape, generator=generator)).clamp(0, 1), target


def test_the_distances_are_torchs_and_one_minus_the_mean_ssim_of_every_view(views):
    pred, target = views
    per_view = [image_ssim(pred[:, :, t].double(), target[:, :, t].double()) for t in range(4)]
    expected = {"mae": F.l1_loss(pred, target), "mse": F.mse_loss(pred, target), "ssim": 1 - torch.cat(per_view).mean()}
    for name, value in expected.items():
        assert distance(name)(pred, target).item() == pytest.approx(value.item(), abs=1e-5), name
        assert distance(name)(target, target).item() == pytest.approx(0, abs=1e-6), name


@pytest.mark.parametrize("name", ["mae", "mse", "ssim"])
def test_a_distance_of_half_precision_pictures_is_a_float32_number_with_a_gradient(name, views):
    pred, target = views[0].bfloat16().requires_grad_(), views[1]
    loss = distance(name)(pred, target)
    loss.backward()
    assert loss.dtype == torch.float32 and pred.grad.isfinite().all() and pred.grad.any()


def test_one_original_is_not_silently_compared_with_every_view(views):
    pred, target = views
    with pytest.raises(ValueError, match="differ in shape"):
        distance("mae")(pred[:, :, :1], target)


def test_an_unknown_distance_is_refused():
    with pytest.raises(ValueError, match="one of mae, mse, ssim"):
        distance("l2")


def test_charbonnier_is_the_absolute_error_far_from_zero_and_a_parabola_near_it():
    def loss(error: float) -> float:
        return charbonnier(torch.tensor([error], dtype=torch.float64), torch.zeros(1, dtype=torch.float64)).item()

    assert loss(0.3) == pytest.approx(0.3 - 1e-3, abs=2e-6)
    assert loss(1e-5) == pytest.approx(1e-10 / 2e-3, rel=1e-3)
    assert loss(0.0) == 0


def test_charbonnier_averages_where_the_weight_is_and_is_zero_without_weight():
    pred, target = torch.zeros(1, 3, 1, 1, 2), torch.zeros(1, 3, 1, 1, 2)
    pred[..., 0], pred[..., 1] = 0.5, 0.1
    weight = torch.tensor([1.0, 0.0]).view(1, 1, 1, 1, 2)
    assert charbonnier(pred, target, weight=weight).item() == pytest.approx(0.499, abs=1e-5)
    assert charbonnier(pred, target, weight=0 * weight).item() == 0


def test_gradients_of_the_smooth_distances_are_right_to_double_precision():
    generator = torch.Generator().manual_seed(1)
    pred, target = (torch.rand(1, 1, 2, 12, 13, generator=generator, dtype=torch.float64) for _ in range(2))
    pred.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: distance("ssim")(x, target), pred)
    assert torch.autograd.gradcheck(lambda x: charbonnier(x, target), pred)
