"""The classifiers that guide and judge the label VAEs: networks, objective, scores."""

import math
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from htcv_lib.image import in_unit
from htcv_lib.training.evaluate import mean_scores, score_batches
from htcv_lib.vae.networks import DigitEncoder, ResNet9Encoder, make_label_vae


def conv(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3x3 convolution, group normalization (eight groups where they fit), GELU."""
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, kernel_size=3, stride=stride, padding=1, bias=False),
                         nn.GroupNorm(math.gcd(8, out_channels), out_channels), nn.GELU())


class PlainClassifier(nn.Sequential):
    """The judge: per width two 3x3 convolutions and a halving (Simonyan & Zisserman, 2015, arXiv:1409.1556).

    Unlike the paper: group normalization, GELU, global average pooling and a single linear layer.

    Args:
        widths: Channels at each resolution, finest first.
        dropout: Before the linear layer.
        stem_stride: 2 lets the first convolution halve the image, for a cheaper judge.

    Shapes: (B, in_channels, H, W) in [0, 1], sides of at least `stem_stride * 2 ** len(widths)`
        -> (B, num_classes) logits
    """

    def __init__(self, in_channels: int, widths: Sequence[int] = (32, 64, 128), num_classes: int = 10,
                 dropout: float = 0.0, stem_stride: int = 1):
        strides = [stem_stride] + [1] * (len(widths) - 1)
        stages = [nn.Sequential(conv(previous, width, stride), conv(width, width), nn.MaxPool2d(2))
                  for (previous, width), stride in zip(pairwise([in_channels, *widths]), strides, strict=True)]
        super().__init__(*stages, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(dropout),
                         nn.Linear(widths[-1], num_classes))


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


def classification_objective(model: nn.Module, batch: dict[str, Tensor],
                             label_smoothing: float = 0.0) -> dict[str, Tensor]:
    """Cross-entropy of one batch.

    Args:
        model: Image (B, C, H, W) in [0, 1] to logits (B, K).
        batch: image, and label (B,) int64.
        label_smoothing: Share of the target spread evenly over all classes.
    """
    logits = model(batch["image"]).float()  # bfloat16 ends here
    return {"loss": F.cross_entropy(logits, batch["label"], label_smoothing=label_smoothing)}


def evaluate_classifier(model: nn.Module, batches: Iterable[dict[str, Tensor]]) -> dict[str, float]:
    """Accuracy in [0, 1] and mean cross-entropy (loss) of a split: image (B, C, H, W) in [0, 1], label (B,) int64."""

    def score(batch: dict[str, Tensor]) -> dict[str, Tensor]:
        logits, label = model(batch["image"]).float(), batch["label"]
        return {"accuracy": logits.argmax(dim=1) == label, "loss": F.cross_entropy(logits, label, reduction="none")}

    return mean_scores(score_batches(score, batches, model, amp=False))


def predict_labels(model: nn.Module, images: Tensor, batch_size: int = 500) -> Tensor:
    """Most probable class of every image: (N,) int64 on the CPU.

    Args:
        images: (N, C, H, W), uint8, or float in [0, 1]; any device, the model's parameters say where it computes.
    """
    device = next(model.parameters(), images).device
    batches = ({"image": in_unit(part.to(device))} for part in images.split(batch_size))
    return score_batches(lambda batch: {"label": model(batch["image"]).argmax(dim=1)}, batches, model,
                         amp=False)["label"]


def build_network(parameters: Mapping[str, Any]) -> nn.Module:
    """The network of a run, a VAE or a classifier, freshly initialised, from the parameters in its record."""
    shape = (1, 28, 28) if parameters["dataset"].startswith("mnist") else (3, 32, 32)
    if "latent" not in parameters:
        return make_classifier(parameters["network"], shape[0], parameters["widths"])
    return make_label_vae(parameters["network"], shape, parameters["latent"], parameters["widths"],
                          conditional=parameters["network"] in ("dense", "patch"), scale=parameters["scale"])
