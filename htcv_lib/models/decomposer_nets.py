"""The chapters' networks for sequences of views, by name."""

from collections.abc import Sequence

from torch import nn

from htcv_lib.models.decomposer import Decomposer
from htcv_lib.models.frames_net import FramesNet
from htcv_lib.models.matched_set import MatchedSetDecomposer
from htcv_lib.models.reverse_swin import ReverseSwinNet
from htcv_lib.models.set_decomposer import SetDecomposer

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
