"""The video encoder with a single decoder: views in, views or one picture out.

The first report reconstructs the clean picture with it, as the mean of all views it draws ("many-to-many") or with a
head that draws one; "Tackling Decomposition Learning" trains it as an autoencoder, with and without skips, for the sake
of its encoder.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from htcv_lib.models.sequence_decoder import SequenceDecoder
from htcv_lib.models.video_swin import VideoSwinEncoder


class FramesNet(nn.Module):
    """Views to views.

    Args:
        embed_dim: Channels of the encoder's finest feature, a multiple of 4; 96 in the reports.
        frames: Views to draw: as many as are shown, or 1.
        skips: False multiplies the skips by zero.
        drop_path: Of the encoder.
        depths: Blocks of the encoder's stages.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], T even, H and W multiples of 4
        return: (B, 3, frames, H, W) in [0, 1]

    Errors: ValueError for other sizes.
    """

    def __init__(self, embed_dim: int = 96, frames: int = 10, skips: bool = True, drop_path: float = 0.2,
                 depths: Sequence[int] = (2, 2, 6, 2)):
        super().__init__()
        self.frames = frames
        self.encoder = VideoSwinEncoder(embed_dim, depths, drop_path=drop_path)
        self.decoder = SequenceDecoder(embed_dim, 3, frames, skips)

    def forward(self, image: Tensor) -> Tensor:
        check_frames(image, self.frames)
        return self.decoder(self.encoder(image)).float().sigmoid()

    def clean_picture(self, image: Tensor) -> Tensor:
        """The mean of the views drawn, (B, 3, 1, H, W)."""
        return self(image).mean(dim=2, keepdim=True)


def check_frames(image: Tensor, frames: int) -> None:
    """Errors: ValueError unless `frames` is 1 or the number of views."""
    if image.ndim == 5 and frames not in (1, image.shape[2]):
        raise ValueError(f"the network draws {frames} views, got {tuple(image.shape)}")
