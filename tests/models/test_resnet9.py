import pytest
import torch

from htcv_lib.models.inspect import count_parameters
from htcv_lib.models.resnet9 import ResNet9Classifier, ResNet9Decoder, ResNet9Encoder

NARROW = (2, 4, 6, 8)
CONVOLUTIONS = [(3, 64), (64, 128), (128, 128), (128, 128), (128, 256), (256, 512), (512, 512), (512, 512)]


def test_the_encoder_has_the_reports_number_of_parameters():
    expected = sum(9 * a * b + 2 * b for a, b in CONVOLUTIONS) + 512 * 512 + 512
    with torch.device("meta"):
        count = count_parameters(ResNet9Encoder())
    assert count == expected and round(count / 1e6, 2) == 6.83


def test_the_decoder_is_the_mirror_with_a_4x4_kernel_for_the_last_pooling():
    mirrored = sum(9 * a * b + 2 * a for a, b in CONVOLUTIONS[1:]) + 9 * 64 * 3 + 3
    with torch.device("meta"):
        count = count_parameters(ResNet9Decoder())
    assert count == mirrored + 512 * 512 + 512 + 16 * 512 * 512 + 2 * 512
    assert round(count / 1e6, 1) == 11.0


def test_an_image_becomes_features_and_features_become_an_image():
    assert ResNet9Encoder(NARROW, out_features=5, in_channels=1)(torch.rand(2, 1, 32, 32)).shape == (2, 5)
    assert ResNet9Decoder(NARROW, latent=5, out_channels=1)(torch.rand(2, 5)).shape == (2, 1, 32, 32)
    assert ResNet9Classifier(NARROW)(torch.rand(2, 3, 32, 32)).shape == (2, 10)


def test_the_features_are_dropped_after_the_linear_layer_and_the_logits_never():
    image = torch.rand(2, 3, 32, 32)
    assert not ResNet9Encoder(NARROW, dropout=1.0)(image).any()
    assert ResNet9Classifier(NARROW, dropout=1.0)(image).all()


def test_the_decoders_output_is_linear():
    pred = ResNet9Decoder(NARROW, latent=5)(torch.randn(8, 5))
    assert pred.min() < 0 < pred.max()


@pytest.mark.parametrize(("net", "shape"), [
    (ResNet9Encoder(NARROW, dropout=0.0), (4, 3, 32, 32)), (ResNet9Decoder(NARROW, latent=5), (4, 5))])
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
        torch.nn.init.zeros_(block.body[1][1].weight)
        assert torch.equal(block.eval()(x), x)
