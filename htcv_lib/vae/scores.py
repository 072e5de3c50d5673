"""Was a picture turned into another class, did it keep its style, and rows of pictures that show it.

Both questions have a trivial answer alone: a decoder that ignores the picture always shows the class asked for, one
that ignores the class keeps everything. So the two numbers belong together.
"""

from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F
from matplotlib.figure import Figure
from torch import Tensor, nn

from htcv_lib.figures.grids import picture_grid, pictures
from htcv_lib.training.device import in_mode


def other_labels(label: Tensor, num_classes: int = 10, offset: int = 0) -> Tensor:
    """For every image a class that is not its own, the same one in every evaluation: the other classes take turns.

    The i-th image of a set is asked to become `label + 1 + i mod (num_classes - 1)`.

    Args:
        label: (B,) int64.
        offset: Position in the set of the first of these images.
    """
    place = torch.arange(offset, offset + len(label), device=label.device)
    return (label + 1 + place % (num_classes - 1)) % num_classes


def style_descriptors(images: Tensor) -> Tensor:
    """What a picture looks like beyond its class, as a few numbers; images are clipped to [0, 1].

    One channel (a written digit), from the moments of the ink:
        ink (mean); height and width (standard deviations, in pixels); slant (columns moved per row, the
        regression of x on y); thickness (twice the ink over the total variation: the width, in pixels, of a long
        stroke, however blurred).
    Three channels: the colours of a 4 x 4 grid, by average pooling.

    Args:
        images: (B, C, H, W).

    Returns (B, 5) or (B, 48) float64.
    """
    images = images.clamp(0, 1).double()
    if images.shape[1] == 3:
        return F.adaptive_avg_pool2d(images, 4).flatten(1)
    if images.shape[1] != 1:
        raise ValueError(f"images need 1 or 3 channels, got {tuple(images.shape)}")
    ink = images[:, 0]  # (B, H, W)
    total = ink.sum(dim=(1, 2))
    share = ink / total.clamp(min=1e-9)[:, None, None]
    y, x = (torch.arange(size, dtype=ink.dtype, device=ink.device) for size in ink.shape[1:])
    rows, columns = share.sum(dim=2), share.sum(dim=1)  # (B, H), (B, W)
    y, x = y - (rows @ y)[:, None], x - (columns @ x)[:, None]  # from the centre of mass
    height, width = (rows * y.square()).sum(dim=1), (columns * x.square()).sum(dim=1)
    mixed = torch.einsum("bhw,bh,bw->b", share, y, x)
    variation = ink.diff(dim=1).abs().sum(dim=(1, 2)) + ink.diff(dim=2).abs().sum(dim=(1, 2))
    return torch.stack([ink.mean(dim=(1, 2)), height.sqrt(), width.sqrt(), mixed / height.clamp(min=1e-9),
                        2 * total / variation.clamp(min=1e-9)], dim=1)


def style_correlation(before: Tensor, label: Tensor, after: Tensor, given: Tensor) -> float:
    """Pearson correlation over all images, mean over descriptors, of the descriptors minus their class means.

    Taking off the mean of the class leaves what varies within it. A descriptor that does not vary within the
    outputs of a class was not kept and counts 0; one that does not vary within the inputs is left out.

    Args:
        before, after: (N, K) descriptors of inputs and outputs.
        label, given: (N,) the classes they belong to.

    Returns a number in [-1, 1]; 1 is style kept, 0 style lost. A plain copy of the inputs stays below 1 where classes
    differ in style, since outputs are freed from the mean of the class they were asked for, and not of their own.
    """
    before, after = beyond_class(before, label), beyond_class(after, given)
    spread = (before.square().sum(dim=0) * after.square().sum(dim=0)).sqrt()
    correlation = torch.where(spread > 0, (before * after).sum(dim=0) / spread.clamp(min=1e-300), 0)
    correlation = correlation[before.square().sum(dim=0) > 0]
    return float(correlation.mean()) if len(correlation) else 0.0


def beyond_class(descriptors: Tensor, label: Tensor) -> Tensor:
    """Descriptors minus the mean over their class, exactly 0 where nothing but rounding is left: (N, K)."""
    counts = torch.bincount(label).clamp(min=1).to(descriptors.dtype)
    sums = descriptors.new_zeros(len(counts), descriptors.shape[1]).index_add_(0, label, descriptors)
    rest = descriptors - (sums / counts[:, None])[label]
    rounding = 1e-6 * descriptors.square().mean(dim=0).sqrt()
    return rest * (rest.square().mean(dim=0).sqrt() > rounding)


@torch.no_grad()
def relabel_grid(model: nn.Module, images: Tensor, labels: Tensor, num_classes: int = 10) -> Tensor:
    """Each image, its reconstruction, and itself under every label: (B, 2 + num_classes, C, H, W) in [0, 1], on CPU.

    Args:
        model: A `LabelVAE` or a baseline: anything with `reconstruct` and `relabel`.
        images: (B, C, H, W) in [0, 1].
        labels: (B,), their own.
    """
    with in_mode(False, model):
        columns = [images, model.reconstruct(images, labels)]
        columns += [model.relabel(images, labels, torch.full_like(labels, given)) for given in range(num_classes)]
    return torch.stack(columns, dim=1).clamp(0, 1).cpu()


READER = "vae/mnist-classifier"  # reads your own digits


def own_sheet(network: nn.Module, images: Tensor, names: Sequence[str], label: int | None,
              load: Callable[[str], nn.Module]) -> Figure:
    """A row for each of your own digits: itself, its reconstruction, itself under every label.

    Args:
        network: A `LabelVAE`; or a classifier, of which the sheet says how it reads them.
        images: (N, 1, 28, 28) in [0, 1].
        label: What they all are; None: what the report's classifier reads.
        load: Gives a network by its name.
    """
    redraws = hasattr(network, "relabel")
    if label is None or not redraws:
        labels, said = (load(READER) if redraws else network)(images).argmax(1), "read as"
    else:
        labels, said = torch.full((len(images),), label), "given as"
    tiles = relabel_grid(network, images, labels) if redraws else images[:, None]
    marked = F.pad(F.one_hot(labels, 10), (2, 0)).bool() if redraws else None
    rows = [f"{name[:18]}\n{said} {own}" for name, own in zip(names, labels.tolist(), strict=True)]
    return picture_grid(pictures(tiles.flatten(0, 1)).reshape(*tiles.shape[:2], *tiles.shape[3:], 3), rows,
                        ["yours", *(["again", *map(str, range(10))] if redraws else [])], marked,
                        apart=2 if redraws else 0, above="under the label" if redraws else None)


@torch.no_grad()
def interpolation(model: nn.Module, start: Tensor, end: Tensor, labels: Tensor, end_labels: Tensor,
                  steps: int) -> Tensor:
    """From image to image along a straight line in z, all under the label of the first: (B, steps, C, H, W) on CPU.

    Args:
        model: A `LabelVAE`.
        start, end: (B, C, H, W) in [0, 1].
        labels, end_labels: (B,), their own; the line ends where the second image lies under the first one's label.
    """
    with in_mode(False, model):
        first = model.encode(start, labels).mu
        last = model.latent_under(end, end_labels, labels)
        shares = torch.linspace(0, 1, steps).tolist()
        row = [model.decode(torch.lerp(first, last, share), labels) for share in shares]
    return torch.stack(row, dim=1).clamp(0, 1).cpu()


@torch.no_grad()
def traversal(model: nn.Module, image: Tensor, label: Tensor, directions: int, steps: int, span: float = 3.0) -> Tensor:
    """One image along single latents, from -span to +span prior standard deviations: (directions, steps, C, H, W).

    Args:
        image: (C, H, W).
        label: (), its own.

    The latents are those whose decoded ends differ most from each other.
    """
    with in_mode(False, model):
        one = label[None]
        mu, prior = model.encode(image[None], one).mu, model.prior(one)  # (1, L)
        deviation = (0.5 * prior.logvar).exp()
        offsets = torch.linspace(-span, span, steps, device=mu.device)

        def along(latent: int, offset: Tensor) -> Tensor:
            """Decoded pictures with one latent at these places, (len(offset), C, H, W)."""
            z = mu.repeat(len(offset), 1)
            z[:, latent] = prior.mu[0, latent] + offset * deviation[0, latent]
            return model.decode(z, one.expand(len(offset))).clamp(0, 1)

        ends = torch.stack([along(latent, offsets[[0, -1]]).diff(dim=0).square().sum()
                            for latent in range(mu.shape[1])])
        return torch.stack([along(int(latent), offsets) for latent in ends.topk(directions).indices]).cpu()
