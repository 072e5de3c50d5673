"""Scores of the object alone, and scores as the report computed them."""

import math

import torch
from skimage.metrics import structural_similarity
from torch import Tensor

from htcv_lib.image import ssim_map
from htcv_lib.metrics.edges import to_bytes
from htcv_lib.metrics.segmentation import mask_iou

# Scores as the report on the neural renderer computed them, so that its table can be compared.
#
# They are not what their names promise elsewhere. `hausdorff_reported` is with the other Hausdorff distance.


def ssim_reported(pred: Tensor, target: Tensor) -> Tensor:
    """SSIM of 8-bit pictures, said to be of range 1 (models 2 and 3 of the report).

    The range sets the two constants that keep the quotients calm where a picture is flat. Here they are 255^2 times
    too small, so that a change by one grey level in the black background counts as a loss of all structure.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].

    Returns (B,) float64, at most 1.
    """
    return flat_ssim(to_bytes(pred), to_bytes(target))


def flat_ssim(pred: Tensor, target: Tensor) -> Tensor:
    """SSIM with scikit-image's defaults, range 1: flat windows of 7 pixels, sample covariance, mean over channels.

    The report's figure for model 1 is that of `stretched` pictures.

    Args:
        pred, target: (B, C, H, W), H and W at least 7.

    Returns (B,) float64, at most 1.
    """
    pairs = zip(pred.double().cpu().numpy(), target.double().cpu().numpy(), strict=True)
    scores = [structural_similarity(first, second, channel_axis=0, data_range=1.0) for first, second in pairs]
    return torch.tensor(scores, dtype=torch.float64, device=pred.device)


def stretched(image: Tensor) -> Tensor:
    """Every picture stretched so that its own extremes become 0 and 1, as those of model 1 were before its scores.

    A picture of one value becomes 0. (B, C, H, W), any range -> the same, in [0, 1].
    """
    low, high = image.amin(dim=(1, 2, 3), keepdim=True), image.amax(dim=(1, 2, 3), keepdim=True)
    return (image - low) / torch.where(high > low, high - low, 1)


# Scores of the object alone: in pictures of a small thing on black, the background decides every other score.
#
# Positions are in pixels from the upper left corner of the image; the centre of the first pixel is (0.5, 0.5).
# A box is (left, top, right, bottom). What a picture does not show has no score (NaN).

MARGIN = 4.0  # pixels around the box
BRIGHTEST, HIGHLIGHT = 0.95, 0.5  # shares of the peak and of white
AMBIENT = 0.03  # the darkest a pixel of the object can be, in every channel: ambient light 0.1 times material 0.3


def visible_box(mask: Tensor) -> Tensor:
    """Smallest box around the pixels of a mask, as far as the picture shows them.

    Args:
        mask: (B, 1, H, W); an object's pixels are above 0.5.

    Returns (B, 4) left, top, right, bottom, in pixels from the upper left corner; NaN for an empty mask.
    """
    inside = mask[:, 0] > 0.5
    sides = []
    for length, marks in ((mask.shape[3], inside.any(1)), (mask.shape[2], inside.any(2))):
        place = torch.arange(length, device=mask.device, dtype=torch.float32)
        sides += [torch.where(marks, place, length).amin(1), torch.where(marks, place + 1, 0).amax(1)]
    left, right, top, bottom = sides
    box = torch.stack((left, top, right, bottom), dim=1)
    return torch.where(inside.flatten(1).any(1, keepdim=True), box, torch.nan)


def box_mask(box: Tensor, size: tuple[int, int], margin: float = MARGIN) -> Tensor:
    """The pixels whose centres lie in the box after it grew by `margin` on every side.

    Args:
        box: (B, 4) left, top, right, bottom; a box with a NaN has no pixels.
        size: H, W.

    Returns (B, 1, H, W) bool.
    """
    y, x = (torch.arange(n, device=box.device, dtype=box.dtype) + 0.5 for n in size)
    left, top, right, bottom = box[:, :, None].unbind(dim=1)  # (B, 1) each
    columns = (x >= left - margin) & (x <= right + margin)  # (B, W)
    rows = (y >= top - margin) & (y <= bottom + margin)  # (B, H)
    return (rows[:, :, None] & columns[:, None, :])[:, None]


def box_mse(pred: Tensor, target: Tensor, box: Tensor) -> Tensor:
    """Mean squared error in the grown box: (B, 3, H, W) twice and (B, 4) -> (B,), NaN if no pixel is in it."""
    return mean_in((pred - target).double().square(), box_mask(box, target.shape[-2:]))


def box_ssim(pred: Tensor, target: Tensor, box: Tensor) -> Tensor:
    """Structural similarity, the mean of `ssim_map` in the grown box; arguments and NaN as `box_mse`.

    The windows of pixels at the edge of the box look up to 5 pixels further.
    """
    return mean_in(ssim_map(pred, target), box_mask(box, target.shape[-2:]))


def picture_silhouette(image: Tensor) -> Tensor:
    """Where a picture shows something: the mean of a pixel's channels exceeds half the ambient light.

    In a rendered picture this is exactly the object, because no pixel of it is darker than the ambient light, and
    everything else is black. (B, 3, H, W) in [0, 1] -> (B, 1, H, W) bool.
    """
    return image.mean(dim=1, keepdim=True) > AMBIENT / 2


def silhouette_iou(pred: Tensor, target: Tensor) -> Tensor:
    """Intersection over union of the silhouettes of two pictures.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].

    Returns (B,) in [0, 1]; NaN where both pictures are black.
    """
    first, second = picture_silhouette(pred), picture_silhouette(target)
    return torch.where((first | second).flatten(1).any(1), mask_iou(first, second), math.nan)


def brightest_spot(image: Tensor) -> Tensor:
    """Centre of the whitest pixels of a picture.

    A highlight is white: it adds the same to all channels, so it shows in the smallest of the three, where it also
    saturates last. The spot is the mean position of the pixels that reach 95 % of the largest such value.

    Args:
        image: (B, 3, H, W) in [0, 1].

    Returns (B, 2) float64 x, y; NaN where no pixel exceeds half the ambient light in all channels.
    """
    whiteness = image.amin(dim=1)  # (B, H, W)
    peak = whiteness.amax(dim=(1, 2))
    spot = (whiteness >= BRIGHTEST * peak[:, None, None]).double()
    y, x = (torch.arange(n, device=image.device, dtype=torch.float64) + 0.5 for n in image.shape[-2:])
    total = spot.sum(dim=(1, 2))
    centre = torch.stack([spot.sum(dim=1) @ x, spot.sum(dim=2) @ y], dim=1) / total[:, None]
    return torch.where((peak > AMBIENT / 2)[:, None], centre, math.nan)


def highlight_error(pred: Tensor, target: Tensor) -> Tensor:
    """Distance in pixels between the brightest spots of two pictures, found in both in the same way.

    Args:
        pred, target: (B, 3, H, W) in [0, 1].

    Returns (B,) float64; NaN where the target has no highlight, which is a pixel above one half in all channels; the
    diagonal of the image where only the prediction has no bright spot.
    """
    distance = (brightest_spot(pred) - brightest_spot(target)).norm(dim=1)
    distance = distance.nan_to_num(nan=math.hypot(*target.shape[-2:]))
    return torch.where(target.amin(dim=1).amax(dim=(1, 2)) > HIGHLIGHT, distance, math.nan)


def mean_in(values: Tensor, mask: Tensor) -> Tensor:
    """Mean over channels and the pixels of a mask: (B, C, H, W), (B, 1, H, W) bool -> (B,), NaN if it is empty."""
    total = torch.where(mask, values, 0).sum(dim=(1, 2, 3))
    return total / (mask.sum(dim=(1, 2, 3)) * values.shape[1])
