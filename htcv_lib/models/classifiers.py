"""The classifiers that guide and judge the label VAEs, by name."""

from collections.abc import Sequence

from torch import nn

from htcv_lib.models.digit_vae import DigitEncoder
from htcv_lib.models.plain import PlainClassifier
from htcv_lib.models.resnet9 import ResNet9Encoder


def make_classifier(network: str, channels: int, widths: Sequence[int] = ()) -> nn.Module:
    """A classifier of ten classes from images in [0, 1]: "digit" and "resnet9" (the report's), or "plain"."""
    widths = list(widths)
    if network == "digit":
        return DigitEncoder()
    if network == "resnet9":
        return ResNet9Encoder(widths or (64, 128, 256, 512), out_features=10, in_channels=channels)
    if network == "plain":
        return PlainClassifier(channels, widths or (64, 128, 256), stem_stride=2 if len(widths) < 4 else 1)
    raise ValueError(f"network must be digit, resnet9 or plain, got {network!r}")
