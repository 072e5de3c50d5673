"""The reports' Decomposer, its stages as they are drawn, and the chapters' networks by name."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from htcv_lib.decomposer.layers import Decomposition
from htcv_lib.decomposer.set_network import MatchedSetDecomposer, SetDecomposer
from htcv_lib.decomposer.swin import DoubleBlock, FramesNet, ReverseSwinNet, SequenceDecoder, VideoSwinEncoder
from htcv_lib.networks import LayerShape, trace_shapes

# The reports' Decomposer: one video encoder and three decoders, which draw five layers.
#
# "Tackling Decomposition Learning" trains all of it at once; "The final advances to the Decomposer model" trains it in
# stages, each a head on frozen others, then the heads together. The encoder, trained before as an autoencoder, is
# frozen in every stage.

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


# The chapters' networks for sequences of views, by name.

NETWORKS = ("decomposer", "decomposer_lit", "many_to_many", "one_frame", "autoencoder", "autoencoder_noskip",
            "reverse_swin", "set", "matched_set")
LIT = 0.5  # where the light of "decomposer_lit" starts


def decomposer_network(name: str, embed_dim: int = 96, frames: int = 10, drop_path: float = 0.2,
                       depths: Sequence[int] = (2, 2, 6, 2), widths: Sequence[int] | None = None) -> nn.Module:
    """One of the chapters' networks, freshly initialised.

    Args:
        name: "decomposer", the same with its light starting on, "decomposer_lit", and "matched_set" return a
            `Decomposition`, "set" a `SetDecomposition`. The others draw pictures: "many_to_many", "autoencoder" and
            "reverse_swin" (B, 3, T, H, W), "autoencoder_noskip" the same with its skips multiplied by zero, "one_frame"
            (B, 3, 1, H, W). "many_to_many" and "autoencoder" are one network; they differ in what they are trained to
            draw.
        embed_dim: Channels at the encoder's finest resolution, a multiple of 4; 96 in the reports.
        frames: T, views of a sequence. The set networks take any number.
        drop_path: Of the encoder; the set networks have none.
        depths: Blocks of the encoder's stages; the set networks have none.
        widths: For the set networks: channels at each resolution. None is `embed_dim` times 1, 2, 4 and 8.

    Errors: ValueError for an unknown name, and for widths of another network.
    """
    if name not in NETWORKS:
        raise ValueError(f"a network is one of {', '.join(NETWORKS)}, got {name!r}")
    if name in ("set", "matched_set"):
        kind = SetDecomposer if name == "set" else MatchedSetDecomposer
        return kind([embed_dim * 2**level for level in range(4)] if widths is None else widths)
    if widths is not None:
        raise ValueError(f"network {name!r} takes no widths")
    common = {"drop_path": drop_path, "depths": depths}
    if name in ("decomposer", "decomposer_lit"):
        return Decomposer(embed_dim, frames, light_start=LIT if name == "decomposer_lit" else 0.0, **common)
    if name == "reverse_swin":
        return ReverseSwinNet(embed_dim, frames, **common)
    return FramesNet(embed_dim, 1 if name == "one_frame" else frames, skips=name != "autoencoder_noskip", **common)


def build_network(parameters: Mapping[str, Any]) -> nn.Module:
    """The network of a run, freshly initialised, from the parameters in its record."""
    depths = tuple(map(int, parameters["depths"].split("-")))
    return decomposer_network(parameters["network"], parameters["embed_dim"], drop_path=parameters["drop_path"],
                              depths=depths)


# The stages of a video encoder and of the decoders on it, as they are drawn.


def trace_sequence(model: nn.Module, input_shape: Sequence[int]) -> list[LayerShape]:
    """Run zeros through a network of one `VideoSwinEncoder` and some `SequenceDecoder`s and note each stage.

    Args:
        input_shape: (B, 3, T, H, W).

    Returns stages in the order of execution, shapes (B, C, T, H, W): "encoder.patches", "encoder.stage 1" of the kind
    "2 blocks", "encoder.merging 1", ..., and of each decoder, by its name in the model, "<decoder>.block 1", ...,
    "<decoder>.head".

    Errors: ValueError for a model of other parts.
    """
    parts = dict(model.named_children())
    if not parts or any(not isinstance(part, VideoSwinEncoder if name == "encoder" else SequenceDecoder)
                        for name, part in parts.items()):
        raise ValueError(f"need an encoder of videos and decoders of sequences, got {', '.join(parts) or 'no parts'}")
    opened = _Opened(model)
    blocks = {name: f"{len(stage)} block{'s' * (len(stage) > 1)}" for name, stage in opened.stages.items()
              if isinstance(stage, nn.Sequential) and name.startswith("encoder")}
    return [_channels_first(layer)._replace(kind=blocks.get(layer.name.removeprefix("stages."), layer.kind))
            for layer in trace_shapes(opened, input_shape) if layer.name != "whole"]


class _Opened(nn.Module):
    """The same network with the stages inside its parts as direct children."""

    def __init__(self, model: nn.Module):
        super().__init__()
        self.whole, self.stages = model, nn.ModuleDict()
        for part, module in model.named_children():
            named = _encoder_stages(module) if part == "encoder" else _decoder_stages(module)
            self.stages.update({f"{part}/{name}": stage for name, stage in named.items()})

    def forward(self, image: Tensor):
        return self.whole(image)


def _encoder_stages(encoder: VideoSwinEncoder) -> dict[str, nn.Module]:
    names = [f"{'merging' if index % 2 else 'stage'} {index // 2 + 1}" for index in range(len(encoder.features))]
    return {"patches": encoder.patch_embed, **dict(zip(names, encoder.features, strict=True))}


def _decoder_stages(decoder: SequenceDecoder) -> dict[str, nn.Module]:
    blocks = [module for module in decoder.modules() if isinstance(module, DoubleBlock)]
    return {**{f"block {number}": block for number, block in enumerate(blocks, start=1)}, "head": decoder.head}


def _channels_first(layer: LayerShape) -> LayerShape:
    """A stage under its own name; torchvision's video modules keep channels last, all but the first one's input."""
    part, name = layer.name.split(".", 1)[1].split("/")
    first, last = layer.in_shape, layer.out_shape
    if part == "encoder":
        first = first if name == "patches" else (first[0], first[4], *first[1:4])
        last = (last[0], last[4], *last[1:4])
    return layer._replace(name=f"{part}.{name}", in_shape=first, out_shape=last)
