"""What a label VAE has to beat: principal components, the mean image of a class, the image itself."""

from typing import Self

import torch
from torch import Tensor, nn

# Principal component analysis: the linear autoencoder a VAE has to beat at the same latent size.


class PCA(nn.Module):
    """The `components` directions along which images vary most; nothing is learned by gradient.

    It knows no labels; `reconstruct` and `relabel` take them so that it is evaluated like a `LabelVAE`.
    """

    def __init__(self, components: int):
        super().__init__()
        self.components = components
        self.shape: tuple[int, ...] = ()
        self.register_buffer("mean", torch.empty(0))  # (D,), D = C * H * W
        self.register_buffer("basis", torch.empty(components, 0))  # (components, D), orthonormal rows

    @torch.no_grad()
    def fit(self, images: Tensor, chunk: int = 5000) -> Self:
        """Eigenvectors of the covariance, computed in float64, the largest variance first.

        Args:
            images: (N, C, H, W) float, D = C * H * W up to a few thousand.
            chunk: Images held in float64 at once.
        """
        flat = images.flatten(1)
        if min(flat.shape) < self.components:
            found = "{} images of {} pixel values".format(*flat.shape)
            raise ValueError(f"{self.components} components are too many for {found}")
        mean = sum(part.double().sum(0) for part in flat.split(chunk)) / len(flat)
        centred = (part.double() - mean for part in flat.split(chunk))
        covariance = sum(part.T @ part for part in centred) / len(flat)
        vectors = torch.linalg.eigh(covariance).eigenvectors  # (D, D), variance ascending
        basis = vectors[:, -self.components :].flip(1).T
        largest = basis.gather(1, basis.abs().argmax(1, keepdim=True))
        self.shape = tuple(images.shape[1:])
        self.mean = mean.to(images.dtype)
        self.basis = (basis * largest.sign()).to(images.dtype)  # an eigenvector's sign is free
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


# The mean image of each class: it always shows the given label and keeps nothing of the image.


class ClassPrototypes(nn.Module):
    """One picture a class; evaluated like a `LabelVAE`."""

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


# The image that went in, whatever the label: what scores of kept style have to be read against.


class ImageCopy(nn.Module):
    """Evaluated like a `LabelVAE`."""

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """The image, (B, C, H, W)."""
        return image

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The image, (B, C, H, W): the given label is ignored."""
        return image
