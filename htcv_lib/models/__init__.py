"""Networks: tensors in, tensors out."""
from htcv_lib._lazy import attach

MODULES = {
    "unet": ("ConvBlock", "UNet"),
    "smp": ("WeightsUnavailable", "smp_unet"),
    "inspect": ("LayerShape", "count_parameters", "trace_shapes"),
}
__getattr__, __dir__, __all__ = attach(__name__, MODULES)
