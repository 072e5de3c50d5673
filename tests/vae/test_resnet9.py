import pytest
import torch

from htcv_lib.networks import count_parameters
from htcv_lib.vae.networks import ResNet9Decoder, ResNet9Encoder

NARROW = (2, 4, 6, 8)
CONVOLUTIONS = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]


def test_the_encoder_has_the_reports_number_of_parameters():
    expected = sum(9 * a * b + 3 * b for a, b in CONVOLUTIONS) + 512 * 512 + 512
    with torch.device("meta"):
        count = count_parameters(ResNet9Encoder())
    assert count == expected and round(count / 1e6, 2) == 6.83


def test_the_decoder_has_the_reports_number_of_parameters():
    with torch.device("meta"):
        assert count_parameters(ResNet9Decoder()) == 11_026_179


def test_an_image_becomes_features_and_features_become_an_image():
    assert ResNet9Encoder(NARROW, out_features=5, in_channels=1)(torch.rand(2, 1, 32, 32)).shape == (2, 5)
    assert ResNet9Decoder(NARROW, latent=5, out_channels=1)(torch.rand(2, 5)).shape == (2, 1, 32, 32)


def test_dropout_follows_every_relu_but_never_the_logits():
    assert ResNet9Encoder(NARROW, out_features=10, dropout=1.0)(torch.rand(2, 3, 32, 32)).all()
    drops = [module for net in (ResNet9Encoder(NARROW), ResNet9Decoder(NARROW)) for module in net.modules()
             if type(module).__name__ == "Dropout"]
    assert len(drops) == 8 + 7


def test_the_decoders_output_is_linear():
    pred = ResNet9Decoder(NARROW, latent=5)(torch.randn(8, 5))
    assert pred.min() < 0 < pred.max()


@pytest.mark.parametrize(("net", "shape"), [
    (ResNet9Encoder(NARROW, dropout=0.0), (4, 3, 32, 32)), (ResNet9Decoder(NARROW, latent=5, dropout=0.0), (4, 5))])
def test_every_resnet9_parameter_gets_a_gradient(net, shape):
    net(torch.randn(shape)).square().mean().backward()
    assert [name for name, p in net.named_parameters() if p.grad is None or not p.grad.any()] == []


@pytest.mark.parametrize("net", [ResNet9Encoder(NARROW), ResNet9Decoder(NARROW)])
def test_a_residual_block_without_its_body_passes_its_input(net):
    blocks = [module for module in net.modules() if type(module).__name__ == "Residual"]
    assert len(blocks) == 2
    for block in blocks:
        channels = block.body[0][0].weight.shape[0]
        x = torch.rand(1, channels, 4, 4)
        torch.nn.init.zeros_(next(m for m in block.body[1] if type(m).__name__ == "BatchNorm2d").weight)
        assert torch.equal(block.eval()(x), x)
