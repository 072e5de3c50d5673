"""The image that went in, whatever the label: what scores of kept style have to be read against."""

from torch import Tensor, nn


class ImageCopy(nn.Module):
    """Evaluated like a `LabelVAE`."""

    def reconstruct(self, image: Tensor, label: Tensor) -> Tensor:
        """The image, (B, C, H, W)."""
        return image

    def relabel(self, image: Tensor, label: Tensor, given: Tensor) -> Tensor:
        """The image, (B, C, H, W): the given label is ignored."""
        return image
