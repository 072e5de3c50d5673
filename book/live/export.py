"""The trained networks of the live figures as ONNX: `python book/live/export.py [figure ...]`.

Needs onnx and onnxscript (`pip install -e .[live]`). Weights come from `htcv_lib.load`; `networks.yml` says of which
run. Those that float16 holds exactly, as committed ones are, stay float16 in the file and are cast when it is loaded;
all sums are in float32.
"""

import gzip
import io
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
import yaml
from torch import Tensor, nn

import htcv_lib
from htcv_lib import neural_renderer
from htcv_lib.neural_renderer.coordinates import RUNGS

LIVE = Path(__file__).parent
RUNS = yaml.safe_load((LIVE / "networks.yml").read_text())  # file, below book/live -> the name `htcv_lib.load` knows
SMALL = 64  # numbers; tensors that have fewer stay float32
CHOSEN = torch.tensor([[3.5, 3.5, 10.75, 0.2, 0.5, 0.9, 10, 0, 12, 18.0]])  # the scene each figure starts with


class Export(NamedTuple):
    """A network of a live figure."""
    answer: Callable[[nn.Module], Callable[..., Tensor | tuple[Tensor, ...]]]  # what is computed with the network
    inputs: dict[str, Tensor]
    outputs: Sequence[str]
    dynamic: dict[str, dict[int, str]] = {}  # input -> axis -> name: sizes that may differ from those of `inputs`


class Answer(nn.Module):
    """The function of a network as a module, which is what torch exports."""

    def __init__(self, network: nn.Module, answer: Callable[[nn.Module], Callable]):
        super().__init__()
        self.network, self.answer = network, answer(network)

    def forward(self, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
        return self.answer(*inputs)


# What each figure asks of its networks.


def pixels(net: nn.Module) -> Callable:
    """One scene (1, 10), positions (K, 2) and those whose waves are told (K, 2): logits (K,) and colours (K, 3).

    Trained on a coarse grid, the network knows the waves of its pixels' centres only. Between them it does well with
    those of the nearest centre and badly with its own.
    """
    first, last = RUNGS["scene"], RUNGS["coords"]  # between them are the waves

    def colours(scene: Tensor, position: Tensor, trained: Tensor) -> tuple[Tensor, Tensor]:
        own, waves = net.features(scene, position), net.features(scene, trained)[..., first:last]
        heads = net.heads(net.blocks(net.stem(torch.cat((own[..., :first], waves, own[..., last:]), dim=-1))))[0]
        return heads[:, 0], heads[:, 1:].sigmoid()

    return colours


def drawn(net: nn.Module) -> Callable:
    """A scene (1, 10): its picture (1, 3, 32, 32)."""
    return lambda scene: net.pictures({"input": neural_renderer.encode_scene(scene)})


def relabelled(net: nn.Module) -> Callable:
    """A digit (1, 1, 28, 28) and its label (1,): the digit under each of the ten labels (10, 1, 28, 28)."""
    return lambda image, label: decoded(net)(encoded(net)(image, label))


def encoded(net: nn.Module) -> Callable:
    """A digit and its label: its code under each of the ten labels (10, L)."""
    return lambda image, label: net.latent_under(image.expand(10, -1, -1, -1), label.expand(10), torch.arange(10))


def decoded(net: nn.Module) -> Callable:
    """Codes (10, L), one for each label: the digits they stand for (10, 1, 28, 28)."""
    return lambda z: net.decode(z, torch.arange(10)).clamp(0, 1)


def classes(net: nn.Module) -> Callable:
    """Pictures (B, C, H, W): the probability of each class (B, K, ...)."""
    return lambda image: net(image).softmax(1)


def mask_and_depth(net: nn.Module) -> Callable:
    """A picture (1, 3, H, W): mask and depth, (1, 1, H, W) each."""
    return lambda image: net(image)[:2]


def layers(net: nn.Module) -> Callable:
    """Views (1, 3, T, H, W): all fields of `SetDecomposition` but the mask's logits."""
    return lambda image: tuple(value for name, value in net(image)._asdict().items() if name != "mask_logits")


def blank(*shape: int) -> Tensor:
    """A picture for tracing and for the tests of parity, with a little of everything in it."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


GRID = neural_renderer.PixelFeatures.grid(8, CHOSEN)
DIGIT, LABEL = blank(1, 1, 28, 28), torch.tensor([4])
EXPORTS = {  # as in `networks.yml`
    "sphere/pixels": Export(pixels, {"scene": CHOSEN, "position": GRID, "trained": GRID / 2}, ("logits", "colour"),
                            {"position": {0: "pixels"}, "trained": {0: "pixels"}}),
    **dict.fromkeys(("sphere/model1", "sphere/model2", "sphere/model3"), Export(drawn, {"scene": CHOSEN}, ("image",))),
    **dict.fromkeys(("digit/reported", "digit/described"),
                    Export(relabelled, {"image": DIGIT, "label": LABEL}, ("digits",))),
    "digit/encoder": Export(encoded, {"image": DIGIT, "label": LABEL}, ("z",)),
    "digit/decoder": Export(decoded, {"z": blank(10, 10)}, ("digits",)),
    "digit/reader": Export(classes, {"image": blank(11, 1, 28, 28)}, ("probability",), {"image": {0: "count"}}),
    **dict.fromkeys(("pet/recipe", "pet/done-well"),
                    Export(classes, {"image": blank(1, 3, 64, 64)}, ("probability",))),
    **dict.fromkeys(("room/report", "room/done-well"),
                    Export(mask_and_depth, {"image": blank(1, 3, 64, 64)}, ("mask", "depth"))),
    "views/done-well": Export(layers, {"image": blank(1, 3, 5, 64, 64)},
                              ("original", "light", "shadow", "occlusion", "mask", "highlight"),
                              {"image": {2: "views"}}),
}


def to_onnx(name: str, export: Export) -> bytes:
    """The network of a file as ONNX, its larger weights in float16 where that changes none of them."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    answer = Answer(htcv_lib.load(RUNS[name]), export.answer).eval()
    shapes = tuple({axis: torch.export.Dim(name) for axis, name in export.dynamic.get(given, {}).items()} or None
                   for given in export.inputs)
    program = torch.onnx.export(answer, tuple(export.inputs.values()), input_names=list(export.inputs),
                                output_names=list(export.outputs), dynamic_shapes=(shapes,), dynamo=True,
                                optimize=False, verbose=False)
    stream = io.BytesIO()
    program.save(stream)
    model = onnx.load_from_string(stream.getvalue())
    for weight in list(model.graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and values.size >= SMALL:
            half = values.astype("float16")
            if (half.astype("float32") == values).all():
                name = weight.name
                weight.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
                model.graph.node.insert(0, helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    del model.metadata_props[:], model.graph.value_info[:]
    for node in model.graph.node:
        node.doc_string = ""
        del node.metadata_props[:]
    onnx.checker.check_model(model)
    return model.SerializeToString()


def main(figures: Sequence[str]) -> None:
    for name, export in EXPORTS.items():  # all, or those of some figures
        if not figures or name.split("/")[0] in figures:
            path = LIVE / f"{name}.onnx.gz"
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(gzip.compress(to_onnx(name, export), 9, mtime=0))
            print(f"{path.relative_to(LIVE)}: {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
