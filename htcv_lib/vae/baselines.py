"""What a VAE has to beat: principal components, the mean image of a class, the image itself, and compressors."""

import bz2
import io
import lzma
from typing import Self

import numpy as np
import torch
from PIL import Image
from sklearn import decomposition
from torch import Tensor, nn


class PCA(nn.Module):
    """Principal components, the directions along which images vary most: the linear autoencoder a VAE has to beat.

    Nothing is learned by gradient. It knows no labels; `reconstruct` and `relabel` take them so that it is evaluated
    like a `LabelVAE`.
    """

    def __init__(self, components: int):
        super().__init__()
        self.components = components
        self.shape: tuple[int, ...] = ()
        self.register_buffer("mean", torch.empty(0))  # (D,), D = C * H * W
        self.register_buffer("basis", torch.empty(components, 0))  # (components, D), orthonormal rows

    def fit(self, images: Tensor) -> Self:
        """Eigenvectors of the covariance, in float64, the largest variance first, their largest entries positive.

        Args:
            images: (N, C, H, W) float, D = C * H * W up to a few thousand.

        Errors: ValueError if there are fewer images or pixel values than components.
        """
        found = decomposition.PCA(self.components, svd_solver="covariance_eigh")
        found.fit(images.flatten(1).double().cpu().numpy())
        self.shape = tuple(images.shape[1:])
        self.mean, self.basis = (torch.from_numpy(part).to(images) for part in (found.mean_, found.components_))
        return self

    def encode(self, image: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, components)"""
        return (image.flatten(1) - self.mean) @ self.basis.T

    def decode(self, z: Tensor) -> Tensor:
        """(B, components) -> (B, C, H, W), not clipped"""
        return (z @ self.basis + self.mean).unflatten(1, self.shape)

    def reconstruct(self, image: Tensor, label: Tensor | None = None) -> Tensor:
        """The nearest image the components can make; the label is not used."""
        return self.decode(self.encode(image))

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The reconstruction: a linear map of the image cannot follow a label."""
        return self.reconstruct(image)


class ClassPrototypes(nn.Module):
    """The mean image of each class: it always shows the given label and keeps nothing of the image.

    Evaluated like a `LabelVAE`.
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.num_classes = num_classes
        self.register_buffer("prototypes", torch.empty(num_classes, 0))  # (num_classes, C, H, W)

    @torch.no_grad()
    def fit(self, images: Tensor, labels: Tensor) -> Self:
        """Average the images (N, C, H, W) of each label (N,)."""
        counts = labels.bincount(minlength=self.num_classes)
        if len(counts) > self.num_classes or not counts.all():
            raise ValueError(f"{self.num_classes} classes need an image each, got counts {counts.tolist()}")
        self.prototypes = torch.stack([images[labels == c].mean(0) for c in range(self.num_classes)])
        return self

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """The prototype of each label (B,): (B, C, H, W)."""
        return self.prototypes[label]

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The prototype of each given label (B,): (B, C, H, W)."""
        return self.prototypes[given]


class ImageCopy(nn.Module):
    """The image that went in, whatever the label: what scores of kept style have to be read against.

    Evaluated like a `LabelVAE`.
    """

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """The image, (B, C, H, W)."""
        return image

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The image, (B, C, H, W): the given label is ignored."""
        return image


def compressed_bits(images: Tensor, method: str) -> float:
    """Bits a value (a pixel of a channel) that a compressor needs, which learns from nothing but the images themselves.

    Args:
        images: (N, C, H, W) uint8, all of them one file for "bzip2" and "lzma", at their highest levels; "webp" is
            lossless, one picture after the other.

    Errors: ValueError for another method.
    """
    pixels = images.movedim(1, -1).squeeze(-1).cpu().numpy()
    if method in ("bzip2", "lzma"):
        raw = images.cpu().numpy().tobytes()
        size = len(bz2.compress(raw, 9) if method == "bzip2" else lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME))
    elif method == "webp":
        size = sum(len(_webp(picture)) for picture in pixels)
    else:
        raise ValueError(f"method must be bzip2, lzma or webp, got {method!r}")
    return 8 * size / images.numel()


def _webp(picture: np.ndarray) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, "WEBP", lossless=True, quality=100, method=6)
    return stream.getvalue()
