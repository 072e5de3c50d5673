"""Batches of scenes rendered while training, on the device, so that no picture need be seen twice."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from htcv_lib.data.batches import stream_seed
from htcv_lib.data.phong import render
from htcv_lib.data.scene_view import Size
from htcv_lib.data.scenes import encode_scene, looks_at_object, outside_corners, sample_scenes


class SceneBatches:
    """Each `iter()` is one epoch of fresh scenes, none in a corner of parameter space that tests hold out.

    What an epoch draws depends on seed, epoch and kind of device only, so `state_dict` is small and an epoch
    broken off leaves the next one unchanged.

    Args:
        sampler: Of `sample_scenes`; the camera of "centred" looks at the sphere.
        batches_per_epoch: May be left out with `scenes`: then one pass over them, without a smaller last batch.
        scenes: (N, 10) a fixed set to draw from in a new order each epoch, instead of fresh scenes.
        quantise: Pictures in 8-bit steps, as the assignment's files.

    Yields dicts, float32: `scene` (B, 10); `input` (B, 10), the scene as `encode_scene` gives it; `image`
    (B, 3, H, W) in [0, 1]; `mask` (B, 1, H, W), 1 on the sphere.
    """

    def __init__(self, sampler: str, batch_size: int, batches_per_epoch: int | None = None, size: Size = 128,
                 seed: int = 0, device: str | torch.device = "cpu", scenes: Tensor | None = None,
                 quantise: bool = False):
        if scenes is None and batches_per_epoch is None:
            raise ValueError("fresh scenes have no end: say how many batches are an epoch")
        if scenes is not None and len(scenes) < batch_size * (batches_per_epoch or 1):
            raise ValueError(f"{len(scenes)} scenes are too few for {batches_per_epoch or 1} batches of {batch_size}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.batches_per_epoch = batches_per_epoch or len(scenes) // batch_size
        self.size = size
        self.seed = seed
        self.device = torch.device(device)
        self.scenes = None if scenes is None else scenes.to(self.device)
        self.quantise = quantise
        self.epoch = 0  # epochs begun

    def __len__(self) -> int:
        """Batches per epoch."""
        return self.batches_per_epoch

    def state_dict(self) -> dict[str, Any]:
        """Where in its stream of epochs this is; load it and the next `iter()` draws what would have come."""
        return {"seed": self.seed, "epoch": self.epoch}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.seed, self.epoch = int(state["seed"]), int(state["epoch"])

    def __iter__(self) -> Iterator[dict[str, Tensor]]:
        epoch, self.epoch = self.epoch, self.epoch + 1
        return self._epoch(epoch)

    def _epoch(self, epoch: int) -> Iterator[dict[str, Tensor]]:
        generator = torch.Generator(self.device).manual_seed(stream_seed(self.seed, epoch, "scenes"))
        if self.scenes is not None:
            order = torch.randperm(len(self.scenes), generator=generator, device=self.device)
        for number in range(len(self)):
            if self.scenes is None:
                scene = sample_scenes(self.sampler, self.batch_size, generator, outside_corners)
            else:
                scene = self.scenes[order[number * self.batch_size : (number + 1) * self.batch_size]]
            yield scene_batch(scene, self.sampler, self.size, self.quantise)


@torch.no_grad()
def scene_batch(scene: Tensor, sampler: str, size: Size = 128, quantise: bool = False) -> dict[str, Tensor]:
    """One batch dict of given scenes (B, 10), as `SceneBatches` yields it; also for test sets."""
    image = render(scene, size, quantise, looks_at_object(sampler))
    mask = (image[:, :1] > 0).to(image)  # the ambient term makes every pixel of the sphere at least 8 / 255
    return {"scene": scene, "input": encode_scene(scene), "image": image, "mask": mask}
