"""The stages of a video encoder and of the decoders on it, as they are drawn."""

from collections.abc import Sequence

from torch import Tensor, nn

from htcv_lib.models.inspect import LayerShape, trace_shapes
from htcv_lib.models.sequence_decoder import DoubleBlock, SequenceDecoder
from htcv_lib.models.video_swin import VideoSwinEncoder


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
