import pytest
import torch

from htcv_lib.neural_renderer.coordinates import CoordinateNet, predict_image


class Told:
    """Features that are the scene's first number and the position."""

    count = 3

    def __call__(self, scene, position):
        position = position.expand(len(scene), *position.shape[-2:])
        return torch.cat((scene[:, :1, None].expand(-1, position.shape[1], -1), position), dim=-1)

    def grid(self, size, like):
        return torch.cartesian_prod(torch.arange(size[0]), torch.arange(size[1])).flip(1).to(like)


def tiny_net() -> CoordinateNet:
    torch.manual_seed(0)
    return CoordinateNet(Told(), width=8, num_blocks=2)


def test_each_pixel_gets_a_logit_and_a_colour_and_every_parameter_a_gradient():
    net = tiny_net()
    pred = net(torch.randn(2, 10), torch.randn(2, 5, 2))
    assert pred.logits.shape == (2, 5) and pred.colour.shape == (2, 5, 3)
    assert 0 < pred.colour.min() and pred.colour.max() < 1
    (pred.logits.sum() + pred.colour.sum()).backward()
    assert [name for name, p in net.named_parameters() if p.grad is None] == []


@pytest.mark.parametrize("chunk", [1, 4, 15, 31, 1000])
def test_a_picture_is_the_same_in_chunks_of_any_size(chunk):
    net, scene = tiny_net(), torch.randn(5, 10)
    whole, parts = predict_image(net, scene, (3, 5)), predict_image(net, scene, (3, 5), chunk)
    assert whole.shape == (5, 3, 3, 5)
    torch.testing.assert_close(parts, whole)


def test_a_picture_shows_the_colour_where_the_mask_says_so_and_black_elsewhere():
    net, scene = tiny_net(), torch.randn(1, 10)
    with torch.no_grad():
        net.heads[1].weight[0], net.heads[1].bias[0] = 0, -1
        net.stem[0].weight.zero_()  # every pixel is the same
        assert predict_image(net, scene, (2, 3)).abs().max() == 0
        net.heads[1].bias[0] = 1
        colour = net(scene, torch.zeros(1, 2)).colour[0, 0]
    assert torch.equal(predict_image(net, scene, (2, 3)), colour.view(1, 3, 1, 1).expand(1, 3, 2, 3))


def test_mixed_precision_leaves_the_network_alone():
    net, scene, position = tiny_net(), torch.randn(2, 10), torch.randn(2, 5, 2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = net(scene, position)
    assert torch.equal(mixed.logits, net(scene, position).logits) and mixed.colour.dtype == torch.float32


def test_at_the_start_signals_neither_fade_nor_grow_with_depth():
    torch.manual_seed(0)
    net = CoordinateNet(Told(), width=256, num_blocks=6)
    h = torch.randn(100, 256)
    with torch.no_grad():
        assert 1 < net.blocks(h).std().item() < 1.5
        assert net.stem[0](torch.randn(100, 3)).std().item() == pytest.approx(2**0.5, rel=0.2)


def test_rows_go_down_and_columns_to_the_right():
    net, scene = tiny_net(), torch.randn(2, 10)
    with torch.no_grad():
        net.heads[1].weight[0], net.heads[1].bias[0] = 0, 1
        image = predict_image(net, scene, (2, 3))
        colour = net(scene, torch.tensor([[2.0, 1.0]])).colour  # column 2, row 1
    torch.testing.assert_close(image[:, :, 1, 2], colour[:, 0])


def test_pictures_have_the_size_of_the_batch():
    net = tiny_net()
    batch = {"scene": torch.randn(2, 10), "image": torch.zeros(2, 3, 4, 6)}
    assert torch.equal(net.pictures(batch), predict_image(net, batch["scene"], (4, 6)))
