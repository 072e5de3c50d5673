"""The label VAEs of the chapter by name."""

from collections.abc import Sequence

from htcv_lib.models.dense_vae import DenseDecoder, DenseEncoder
from htcv_lib.models.digit_vae import DigitDecoder, DigitEncoder
from htcv_lib.models.label_vae import LabelVAE
from htcv_lib.models.patch_vae import PatchDecoder, PatchEncoder
from htcv_lib.models.resnet9 import ResNet9Decoder, ResNet9Encoder
from htcv_lib.models.resnet34 import ResNet34Encoder

STATISTICS = {1: ((0.1307,), (0.3081,)),  # MNIST: mean and standard deviation of each channel, as the report has them
              3: ((0.4914, 0.4822, 0.4465), (0.247, 0.243, 0.261))}  # CIFAR-10
PAPER_WIDTHS = (64, 128, 256, 512)
PATCH_GAIN = 40.0  # a class is a shift of many of 512 latents; at the learning rate of the nets it is hardly learned


def make_label_vae(network: str, shape: Sequence[int], latent: int, widths: Sequence[int] = (),
                   conditional: bool = False, scale: str = "one", init_log_scale: float = 0.0) -> LabelVAE:
    """A VAE that is told a label.

    Args:
        network: "digit" and "resnet9" are the report's, "resnet34" has the encoder it suggests and the decoder of
            "resnet9"; "dense" and "patch" are ours, conditional.
        shape: (C, H, W) of the images.
        widths: Channels at each resolution, finest first; for "dense" and "patch" one number for each residual
            layer of the encoder, all equal (the decoder has one more). Empty: the report's; 256, 256; 64, 64, 64.
        scale: "one" learns one scale of the likelihood for all pixels, "pixel" one for each.

    Errors: ValueError for a network that does not exist, or cannot be (un)conditional.
    """
    shape = tuple(shape)
    if network not in NETWORKS:
        raise ValueError(f"network must be one of {', '.join(NETWORKS)}, got {network!r}")
    if conditional != (network in ("dense", "patch")):
        raise ValueError(f"network {network!r} is {'not ' if conditional else ''}conditional")
    if scale not in ("one", "pixel"):
        raise ValueError(f"scale must be one or pixel, got {scale!r}")
    encoder, decoder, features = NETWORKS[network](shape, latent, list(widths))
    mean, std = STATISTICS[shape[0]]
    return LabelVAE(encoder, decoder, features, latent, mean, std, conditional=conditional,
                    scale_shape=shape if scale == "pixel" else (), init_log_scale=init_log_scale,
                    prior_gain=PATCH_GAIN if network == "patch" else 1.0)


def _digit(shape, latent, widths):
    return DigitEncoder(10), DigitDecoder(latent), 10


def _resnet9(shape, latent, widths):
    widths = widths or PAPER_WIDTHS
    return ResNet9Encoder(widths, out_features=512), ResNet9Decoder(widths, latent=latent), 512


def _resnet34(shape, latent, widths):
    widths = widths or PAPER_WIDTHS
    return ResNet34Encoder(widths, out_features=512), ResNet9Decoder(widths, latent=latent), 512


def _dense(shape, latent, widths):
    width, blocks = (widths[0], len(widths)) if widths else (256, 2)
    pixels = shape[0] * shape[1] * shape[2]
    return (DenseEncoder(pixels, width, blocks), DenseDecoder(latent, shape, width, blocks + 1), width)


def _patch(shape, latent, widths):
    width, blocks = (widths[0], len(widths)) if widths else (64, 3)
    return (PatchEncoder(shape, latent, width, blocks), PatchDecoder(latent, shape, width, blocks + 1), latent)


NETWORKS = {"digit": _digit, "resnet9": _resnet9, "resnet34": _resnet34, "dense": _dense, "patch": _patch}
