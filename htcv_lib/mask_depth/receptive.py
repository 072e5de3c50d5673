"""How much of a picture one output pixel can see: by arithmetic over the layers, and from the network itself.

Both are about what layers connect, not about trained weights; what a trained network uses is less (Luo et al., 2016,
arXiv:1701.04128).
"""

import copy
from collections.abc import Sequence

import torch
from torch import nn

CONVOLUTIONS = (nn.Conv2d, nn.ConvTranspose2d)
WINDOWS = (nn.Conv2d, nn.MaxPool2d, nn.AvgPool2d)
ENLARGING = (nn.ConvTranspose2d, nn.PixelShuffle, nn.Upsample)
NORMALIZATIONS = (nn.BatchNorm2d, nn.GroupNorm, nn.InstanceNorm2d, nn.LayerNorm)
ACTIVATIONS = (nn.ReLU, nn.LeakyReLU, nn.PReLU, nn.ELU, nn.GELU, nn.SiLU, nn.Tanh, nn.Sigmoid)


def chain_receptive_field(encoder: nn.Module) -> tuple[int, int]:
    """(rows, columns) of the input that one output pixel of a chain of layers sees, far from the picture's edges.

    A window of k pixels, dilated by d, adds (k - 1) d j to 1; j is the product of the strides before it.

    Args:
        encoder: Convolutions and poolings, nested as you like, registered in the order of execution; a sum with the
            input changes nothing.

    Errors: ValueError for layers that enlarge, and where a convolution does not take what the one before it gives
    (branches with layers of their own); `receptive_field` measures these.
    """
    reach, jump, channels = [1, 1], [1, 1], None
    for layer in encoder.modules():
        if isinstance(layer, ENLARGING):
            raise ValueError(f"a chain cannot hold {type(layer).__name__}, which enlarges")
        if not isinstance(layer, WINDOWS):
            continue
        if isinstance(layer, nn.Conv2d):
            if channels not in (None, layer.in_channels):
                raise ValueError(f"no chain: {layer} follows a convolution with {channels} channels")
            channels = layer.out_channels
        for axis in (0, 1):
            size, stride, dilation = (_pair(getattr(layer, name, 1))[axis]
                                      for name in ("kernel_size", "stride", "dilation"))
            reach[axis] += (size - 1) * dilation * jump[axis]
            jump[axis] *= stride
    return tuple(reach)


def receptive_field(model: nn.Module, image_size: Sequence[int], in_channels: int | None = None) -> tuple[int, int]:
    """(rows, columns) of the picture on which the output pixel at its centre can depend.

    The gradient of that pixel is taken in a copy of the model where nothing can cancel: convolutions have equal
    positive weights and no bias, activations and normalizations are left out, the largest of a window becomes its
    mean. So the influence that pixels have through means and deviations of a normalization is not counted.

    Args:
        model: Returns (B, C, h, w), or a tuple with that as its field `raw` (before any scaling by extremes).
        image_size: (H, W); what is seen is at most this.
        in_channels: Of the picture; by default the model's `in_channels`, or those of its first convolution.

    The model stays as it was. Behind a transposed convolution, pixels of even and odd rows may see different sizes.
    """
    if in_channels is None:
        in_channels = next(layer.in_channels for layer in model.modules() if hasattr(layer, "in_channels"))
    linear = _linear_copy(model)
    image = torch.ones(1, in_channels, *image_size, dtype=torch.float64, requires_grad=True)
    output = linear(image)
    output = getattr(output, "raw", output)
    row, column = (size // 2 for size in output.shape[-2:])
    (gradient,) = torch.autograd.grad(output[0, :, row, column].sum(), image)
    seen = gradient[0].sum(0) > 0  # (H, W)
    return tuple(_extent(seen.any(axis)) for axis in (1, 0))


def _linear_copy(model: nn.Module) -> nn.Module:
    holder = nn.Sequential(copy.deepcopy(model).cpu().double())
    for parent in list(holder.modules()):
        for name, child in list(parent._modules.items()):  # a module under two names is left out under both
            if isinstance(child, (*NORMALIZATIONS, *ACTIVATIONS)):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
    with torch.no_grad():
        for layer in holder.modules():
            if isinstance(layer, CONVOLUTIONS):
                layer.weight.fill_(1 / layer.weight[0].numel())
                if layer.bias is not None:
                    layer.bias.zero_()
    return holder.eval()


def _extent(seen: torch.Tensor) -> int:
    """From the first to the last true value of a vector; 0 if there is none."""
    places = seen.nonzero()
    return int(places.max() - places.min()) + 1 if len(places) else 0


def _pair(value: int | Sequence[int]) -> tuple[int, int]:
    return (value, value) if isinstance(value, int) else tuple(value)
