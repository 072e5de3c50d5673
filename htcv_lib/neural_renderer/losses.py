"""What a rendering is compared by: error that counts the object more, and what a photograph network sees."""

from dataclasses import replace
from functools import lru_cache

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torchvision.models import vgg16

from htcv_lib.data.files import locate
from htcv_lib.data.manifest import load_manifest

LAYERS = (3, 8, 15)  # relu1_2, relu2_2, relu3_3 in torchvision's VGG16
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet
BLACK = -0.98  # darker is background; the object's pixels are at least -0.94, its ambient light


def masked_l1_loss(pred: Tensor, target: Tensor, object_weight: float = 10.0) -> Tensor:
    r"""Mean absolute error of the report that counts the object more than the black around it.

    .. math:: \frac{1}{n} \sum_i (1 + w\, [y_i > -0.98]) \, |x_i - y_i|

    Args:
        pred, target: (B, 3, H, W) in [-1, 1], black is -1.
        object_weight: `w`; 10 for the report's models 2 and 3, 19 for model 1, 0 for the plain L1 loss.

    Returns a scalar >= 0; 0 is a perfect picture.
    """
    return ((pred - target).abs() * (1 + object_weight * (target > BLACK))).mean()


def vgg_loss(pred: Tensor, target: Tensor, network: nn.Sequential | None = None) -> Tensor:
    """Perceptual loss (Johnson et al., 2016, arXiv:1603.08155): summed over layers of VGG16, mean absolute differences.

    Layers and difference are those of the report's code. That first enlarges pictures to 224 pixels, and it normalises
    values in [-1, 1] as if they were in [0, 1]; this does neither.

    Args:
        pred, target: (B, 3, H, W) in [-1, 1].
        network: Layers of VGG16 in torchvision's order; by default those with ImageNet weights.

    Returns a scalar >= 0; 0 for equal pictures.

    Errors: DataError, with the command that fetches the weights.
    """
    network = vgg_layers(str(target.device)) if network is None else network
    mean, std = (target.new_tensor(values).view(3, 1, 1) for values in (MEAN, STD))
    with torch.no_grad():
        seen = vgg_features(((target + 1) / 2 - mean) / std, network)
    made = vgg_features(((pred + 1) / 2 - mean) / std, network)
    return sum(F.l1_loss(first.float(), second.float()) for first, second in zip(made, seen, strict=True))


def vgg_features(image: Tensor, network: nn.Sequential) -> list[Tensor]:
    """Outputs of the layers `LAYERS` for normalised pictures (B, 3, H, W): (B, C, H / 2^n, W / 2^n) each."""
    found = []
    for number, layer in enumerate(network):
        image = layer(image)
        if number in LAYERS:
            found.append(image)
    return found


@lru_cache(maxsize=1)
def vgg_layers(device: str) -> nn.Sequential:
    """VGG16 up to relu3_3 with ImageNet weights, frozen, in single precision.

    Errors: DataError, with the command that fetches the weights.
    """
    backbones = load_manifest("imagenet_backbones")
    (path,) = locate(replace(backbones, files=(backbones.file("vgg16-relu3_3.safetensors"),))).values()
    network = truncated(vgg16())
    network.load_state_dict({name.removeprefix("features."): value for name, value in load_file(path).items()})
    return network.to(device)


def truncated(network: nn.Module) -> nn.Sequential:
    """The layers of a torchvision VGG16 that `vgg_loss` needs, without the in-place ReLUs' side effects."""
    layers = network.features[: LAYERS[-1] + 1]
    for layer in layers:
        if isinstance(layer, nn.ReLU):
            layer.inplace = False
    return layers.requires_grad_(False).eval()
