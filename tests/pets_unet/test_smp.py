import socket

import pytest
import segmentation_models_pytorch as library
import torch
from huggingface_hub.errors import LocalEntryNotFoundError

from htcv_lib.pets_unet import networks as smp
from htcv_lib.pets_unet.networks import WeightsUnavailable, smp_unet


def test_missing_weights_are_an_error_that_names_the_command(monkeypatch):
    def absent(**_):
        raise LocalEntryNotFoundError("not cached")

    def unreachable(*_, **__):
        raise socket.gaierror("no such host")

    monkeypatch.setattr(smp, "hf_hub_download", absent)
    monkeypatch.setattr(smp.urllib.request, "getproxies", dict)
    monkeypatch.setattr(smp.socket, "create_connection", unreachable)
    with pytest.raises(WeightsUnavailable, match=r"smp_unet\('resnet18', 'imagenet'\)"):
        smp_unet("resnet18")


def test_without_weights_it_is_the_librarys_net_behind_imagenet_normalization():
    model = smp_unet("resnet18", weights=None).eval()
    assert isinstance(model[1], library.Unet)
    image = torch.rand(1, 3, 32, 64)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    with torch.no_grad():
        by_hand = model[1](((image.movedim(1, -1) - mean) / std).movedim(-1, 1))
        torch.testing.assert_close(model(image), by_hand)
    assert by_hand.shape == (1, 3, 32, 64)
