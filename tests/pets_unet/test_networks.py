import socket
import subprocess
import sys

import huggingface_hub
import pytest
import torch
from huggingface_hub.errors import LocalEntryNotFoundError
from safetensors.torch import save_file
from segmentation_models_pytorch import Unet

from htcv_lib.data.manifest import DataError
from htcv_lib.networks import count_parameters
from htcv_lib.pets_unet import networks
from htcv_lib.pets_unet.networks import UNet, WeightsUnavailable, smp_unet

SMALL = (4, 8, 8)
VARIANTS = [(down, up) for down in ("maxpool", "strided") for up in ("transposed", "upsample")]


@pytest.mark.parametrize(("down", "up"), VARIANTS)
def test_logits_have_one_channel_a_class_at_the_resolution_of_the_image(down, up):
    logits = UNet(SMALL, num_classes=5, down=down, up=up, in_channels=1)(torch.rand(2, 1, 8, 12))
    assert logits.shape == (2, 5, 8, 12)


@pytest.mark.parametrize(("down", "up"), VARIANTS)
def test_every_unet_parameter_gets_a_gradient(down, up):
    model = UNet(SMALL, down=down, up=up)
    model(torch.rand(2, 3, 8, 12)).square().mean().backward()
    missing = [name for name, p in model.named_parameters() if p.grad is None]
    still = [name for name, p in model.named_parameters() if p.grad is not None and not p.grad.any()]
    before_a_norm = [name for name in still if name.endswith("bias")]
    assert missing == [] and still == before_a_norm


def expected_parameters(down: str, up: str) -> int:
    """From the report's plan, not from the code: 3x3 kernels, biases, one PReLU slope, two batch-norm numbers."""
    pairs = [(3, 32), (32, 32), (32, 64), (64, 64), (64, 128), (128, 128), (128, 256), (256, 256), (256, 256),
             (256, 256), (512, 256), (256, 128), (256, 128), (128, 64), (128, 64), (64, 32), (64, 32), (32, 16)]
    total = sum(9 * a * b + b + 1 + 2 * b for a, b in pairs) + 16 * 3 + 3
    if down == "strided":
        total += sum(9 * c * c + c for c in (32, 64, 128, 256))
    if up == "transposed":
        total += sum(9 * c * c + c for c in (256, 128, 64, 32))
    return total


@pytest.mark.parametrize(("down", "up", "millions"), [
    ("maxpool", "transposed", 5.10), ("strided", "transposed", 5.88), ("strided", "upsample", 5.10)])
def test_the_default_net_has_the_reports_number_of_parameters(down, up, millions):
    with torch.device("meta"):
        count = count_parameters(UNet(down=down, up=up))
    assert count == expected_parameters(down, up)
    assert round(count / 1e6, 2) == millions


def test_sizes_that_do_not_halve_evenly_are_refused():
    with pytest.raises(ValueError, match="multiples of 16"):
        UNet((2, 2, 2, 2, 2))(torch.rand(1, 3, 32, 24))


@pytest.mark.parametrize("choice", [{"down": "average"}, {"up": "nearest"}])
def test_an_unknown_kind_of_resizing_is_refused(choice):
    with pytest.raises(ValueError, match="must be"):
        UNet(SMALL, **choice)


def test_the_finest_skip_reaches_the_logits_without_the_bottleneck():
    model = UNet(SMALL).eval()
    with torch.no_grad():
        for p in model.up.parameters():
            p.zero_()  # nothing comes up from below
        one, other = model(torch.zeros(1, 3, 8, 8)), model(torch.ones(1, 3, 8, 8))
    assert not torch.equal(one, other)


def test_missing_weights_are_an_error_that_names_the_command(monkeypatch):
    def absent(**_):
        raise LocalEntryNotFoundError("not cached")

    def unreachable(*_, **__):
        raise socket.gaierror("no such host")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", absent)
    monkeypatch.setattr(networks.urllib.request, "getproxies", dict)
    monkeypatch.setattr(networks.socket, "create_connection", unreachable)
    with pytest.raises(WeightsUnavailable, match=r"smp_unet\('resnet18', 'imagenet'\)"):
        smp_unet("resnet18")


def test_without_weights_it_is_the_librarys_net_behind_imagenet_normalization():
    model = smp_unet("resnet18", weights=None).eval()
    assert isinstance(model[1], Unet)
    image = torch.rand(1, 3, 32, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        by_hand = model[1](((image.movedim(1, -1) - mean) / std).movedim(-1, 1))
        torch.testing.assert_close(model(image), by_hand)
    assert by_hand.shape == (1, 3, 32, 64)


def test_an_encoder_of_the_backbones_takes_their_weights_and_the_range_they_have_seen(monkeypatch, tmp_path):
    encoder = Unet("timm-tf_efficientnet_lite0", encoder_weights=None).encoder
    path = tmp_path / "backbones/efficientnet-lite0.safetensors"
    path.parent.mkdir()
    save_file(encoder.state_dict() | {"classifier.bias": torch.zeros(1000)}, path)
    monkeypatch.setenv("HTCV_DATA", str(tmp_path))
    with pytest.raises(DataError, match="wrong checksum"):
        smp_unet("timm-tf_efficientnet_lite0")
    monkeypatch.setattr(networks, "check", lambda file, path: path)
    model = smp_unet("timm-tf_efficientnet_lite0")
    torch.testing.assert_close(model[1].encoder.state_dict(), encoder.state_dict())
    torch.testing.assert_close(model[0](torch.ones(3, 2, 2)), torch.ones(3, 2, 2))


def test_the_library_is_imported_by_those_who_call_it_only():
    code = "import sys, htcv_lib.pets_unet.networks; print('segmentation_models_pytorch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
