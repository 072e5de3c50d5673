"""The clean picture without learning: each pixel's mean or median over the views."""

from torch import Tensor, nn


class MeanOfViews(nn.Module):
    """The mean of each pixel and channel: (B, 3, T, H, W) -> (B, 3, 1, H, W)."""

    def forward(self, image: Tensor) -> Tensor:
        return image.mean(dim=2, keepdim=True)


class MedianOfViews(nn.Module):
    """The median of each pixel and channel: (B, 3, T, H, W) -> (B, 3, 1, H, W)."""

    def forward(self, image: Tensor) -> Tensor:
        return median_of_views(image)


def median_of_views(image: Tensor) -> Tensor:
    """(B, C, T, H, W) -> (B, C, 1, H, W); of an even number of views the mean of the two in the middle."""
    views = image.shape[2]
    ranked = image.sort(dim=2).values
    return (ranked[:, :, (views - 1) // 2] + ranked[:, :, views // 2]).div(2).unsqueeze(2)
