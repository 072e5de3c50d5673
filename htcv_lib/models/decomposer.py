"""The reports' Decomposer: one video encoder and three decoders, which draw five layers.

"Tackling Decomposition Learning" trains all of it at once; "The final advances to the Decomposer model" trains it in
stages, each a head on frozen others, then the heads together. The encoder, trained before as an autoencoder, is frozen
in every stage.
"""

from collections.abc import Collection, Sequence

from torch import Tensor, nn

from htcv_lib.models.decomposition import Decomposition
from htcv_lib.models.sequence_decoder import SequenceDecoder
from htcv_lib.models.video_swin import VideoSwinEncoder

HEADS = ("original", "lighting", "occlusion")
STAGES = {  # what each stage trains
    "original": ("original_head",),
    "lighting": ("lighting_head",),
    "mask": ("occlusion_head",),
    "rgb": ("occlusion_head",),
    "joint": ("original_head", "lighting_head", "occlusion_head"),
}


class Decomposer(nn.Module):
    """A sequence of views split into the clean picture, light, shadow, and what stands in front.

    Args:
        embed_dim: Channels of the encoder's finest feature, a multiple of 4; 96 in the reports.
        frames: T, views of a sequence, even.
        drop_path: Of the encoder.
        depths: Blocks of the encoder's stages.
        skips: Of all three decoders.
        light_start: Added to the light's bias. 0 is the reports'; 0.5 lets it begin with light nearly everywhere.

    Shapes:
        image:  (B, 3, T, H, W) in [0, 1], H and W multiples of 4
        return: `Decomposition`

    Light is clipped to [0, 1] and everything else passes through a sigmoid. Clipped light passes no gradient: with few
    channels, the light can be 0 everywhere from the start, and stays there.
    Errors: ValueError for other sizes.
    """

    def __init__(self, embed_dim: int = 96, frames: int = 10, drop_path: float = 0.2,
                 depths: Sequence[int] = (2, 2, 6, 2), skips: bool = True, light_start: float = 0.0):
        super().__init__()
        self.frames = frames
        self.encoder = VideoSwinEncoder(embed_dim, depths, drop_path=drop_path)
        self.original_head = SequenceDecoder(embed_dim, 3, 1, skips)
        self.lighting_head = SequenceDecoder(embed_dim, 2, frames, skips)  # light, shadow
        self.lighting_head.head.bias.data[0] += light_start
        self.occlusion_head = SequenceDecoder(embed_dim, 4, frames, skips)  # mask, colour
        self.still: tuple[str, ...] = ()  # parts kept in evaluation mode

    def forward(self, image: Tensor, heads: Collection[str] = HEADS) -> Decomposition:
        """
        Args:
            heads: Those to run, of "original", "lighting" and "occlusion"; layers of the others are None. A stage that
                looks at one layer need not draw the rest.
        """
        return self.decode(self.encode(image), heads)

    def encode(self, image: Tensor) -> list[Tensor]:
        """The encoder's four features, finest first; those of a frozen encoder can be kept."""
        if image.ndim == 5 and image.shape[2] != self.frames:
            raise ValueError(f"the network takes {self.frames} views, got {tuple(image.shape)}")
        return self.encoder(image)

    def decode(self, features: Sequence[Tensor], heads: Collection[str] = HEADS) -> Decomposition:
        """The layers those features hold. Errors: ValueError for a head that does not exist."""
        if not set(heads) <= set(HEADS):
            raise ValueError(f"heads are {', '.join(HEADS)}, got {', '.join(heads)}")
        original = light = shadow = occlusion = mask = mask_logits = None
        if "original" in heads:
            original = self.original_head(features).float().sigmoid()
        if "lighting" in heads:
            raw = self.lighting_head(features).float()
            light, shadow = raw[:, :1].clamp(0, 1), raw[:, 1:].sigmoid()
        if "occlusion" in heads:
            raw = self.occlusion_head(features).float()
            mask_logits, occlusion = raw[:, :1], raw[:, 1:].sigmoid()
            mask = mask_logits.sigmoid()
        return Decomposition(original, light, shadow, occlusion, mask, mask_logits)

    def freeze_for(self, stage: str | None) -> "Decomposer":
        """Freeze all but what a stage trains; None trains everything. Returns the model.

        A frozen part gets no gradients, and stays in evaluation mode whatever `train()` says, so that no block of the
        encoder is dropped. Errors: ValueError for a stage that is not in `STAGES`.
        """
        if stage is not None and stage not in STAGES:
            raise ValueError(f"a stage is one of {', '.join(STAGES)}, got {stage!r}")
        parts = [name for name, _ in self.named_children()]
        trained = parts if stage is None else STAGES[stage]
        self.still = tuple(name for name in parts if name not in trained)
        for name in parts:
            self.get_submodule(name).requires_grad_(name in trained)
        return self.train(self.training)

    def train(self, mode: bool = True) -> "Decomposer":
        """Training or evaluation mode; frozen parts stay in evaluation mode."""
        super().train(mode)
        for name in self.still:
            self.get_submodule(name).eval()
        return self


def freeze_for(model: Decomposer, stage: str | None) -> Decomposer:
    """`model.freeze_for(stage)`: the stages are "original", "lighting", "mask", "rgb", "joint", and None for all."""
    return model.freeze_for(stage)
