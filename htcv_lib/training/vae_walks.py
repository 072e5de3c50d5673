"""Rows of pictures that show what a label VAE has learned."""

from typing import Protocol

import torch
from torch import Tensor, nn


class Relabels(Protocol):
    """A VAE or a baseline: (B, C, H, W) images in [0, 1] and (B,) labels in, images out."""

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor: ...

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor: ...


@torch.no_grad()
def relabel_grid(model: Relabels, images: Tensor, labels: Tensor, num_classes: int = 10) -> Tensor:
    """Each image, its reconstruction, and itself under every label: (B, 2 + num_classes, C, H, W) in [0, 1], on CPU."""
    evaluating(model)
    columns = [images, model.reconstruct(images, labels)]
    columns += [model.relabel(images, labels, torch.full_like(labels, given)) for given in range(num_classes)]
    return torch.stack(columns, dim=1).clamp(0, 1).cpu()


@torch.no_grad()
def interpolation(model: nn.Module, start: Tensor, end: Tensor, labels: Tensor, end_labels: Tensor,
                  steps: int) -> Tensor:
    """From image to image along a straight line in z, all under the label of the first: (B, steps, C, H, W) on CPU.

    Args:
        model: A `LabelVAE`.
        start, end: (B, C, H, W) in [0, 1].
        labels, end_labels: (B,), their own; the line ends where the second image lies under the first one's label.
    """
    evaluating(model)
    first = model.encode(start, labels).mu
    last = model.latent_under(end, end_labels, labels)
    shares = torch.linspace(0, 1, steps).tolist()
    return torch.stack([model.decode(torch.lerp(first, last, share), labels) for share in shares],
                       dim=1).clamp(0, 1).cpu()


@torch.no_grad()
def traversal(model: nn.Module, image: Tensor, label: Tensor, directions: int, steps: int, span: float = 3.0) -> Tensor:
    """One image along single latents, from -span to +span prior standard deviations: (directions, steps, C, H, W).

    Args:
        image: (C, H, W).
        label: (), its own.

    The latents are those whose decoded ends differ most from each other.
    """
    evaluating(model)
    one = label[None]
    mu, prior = model.encode(image[None], one).mu, model.prior(one)  # (1, L)
    latents = mu.shape[1]
    deviation = (0.5 * prior.logvar).exp()
    offsets = torch.linspace(-span, span, steps, device=mu.device)

    def along(latent: int, offset: Tensor) -> Tensor:
        """Decoded pictures with one latent at these places, (len(offset), C, H, W)."""
        z = mu.repeat(len(offset), 1)
        z[:, latent] = prior.mu[0, latent] + offset * deviation[0, latent]
        return model.decode(z, one.expand(len(offset))).clamp(0, 1)

    ends = torch.stack([along(latent, offsets[[0, -1]]).diff(dim=0).square().sum() for latent in range(latents)])
    return torch.stack([along(int(latent), offsets) for latent in ends.topk(directions).indices]).cpu()


def evaluating(model: Relabels) -> None:
    """Into evaluation mode, where the model has one."""
    if isinstance(model, nn.Module):
        model.eval()
