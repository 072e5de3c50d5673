"""What a set of composites looks like in numbers, so that generated and real pictures can be set side by side.

All numbers depend on the resolution: compare sets at one size.
"""

import math
from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from htcv_lib.image import grey, in_unit
from htcv_lib.mask_depth.rooms.pets import StandingPets
from htcv_lib.mask_depth.triplets import TripletSet

AREAS = (0.0, 0.02, 0.05, 0.1, 0.2, 0.4, 1.0)  # edges of the histogram of mask areas, shares of the picture
RING = 3  # pixels around the object that count as its surroundings


def set_statistics(image: Tensor, mask: Tensor, depth: Tensor, areas: tuple[float, ...] = AREAS) -> dict[str, float]:
    """Numbers of one set.

    Args:
        image: (N, 3, H, W) in [0, 1]; mask: (N, 1, H, W) in [0, 1], > 0.5 is object; depth: (N, 1, H, W) in [0, 1],
            1 is far.
        areas: Increasing, from 0 to 1. A bin of the histogram holds its upper edge, not its lower one.

    Returns, in this order; the mean over pictures where nothing else is said, NaN where no picture has any:
        pictures; red/green/blue mean, std: over all pixels.
        mask mean, std: over all pixels. empty masks: share of the pictures.
        area median: of the pictures with an object. area 0-2 % ...: share of these pictures in each bin.
        depth mean, std: over all pixels.
        depth rise: how much farther the upper edge is than the lower one, by the line through each picture's rows.
        depth rises: share of the pictures in which that is positive.
        depth by row: share of the variance of depth that the mean of each row over the set explains; what a
            prediction knows without looking.
        object nearer: by how much the object is nearer than a ring of 3 pixels around it.
        image outline, depth outline: slope of the grey picture, or of depth, on the object's outline over that
            elsewhere in the picture; the median over the pictures. Sharp edges of a paste are far above 1.
    """
    count, _, height, width = image.shape
    if image.shape[1] != 3 or {tuple(mask.shape), tuple(depth.shape)} != {(count, 1, height, width)}:
        raise ValueError("needs image (N, 3, H, W), mask and depth (N, 1, H, W), got "
                         f"{tuple(image.shape)}, {tuple(mask.shape)}, {tuple(depth.shape)}")
    if not image.is_floating_point() or image.max() > 1:
        raise ValueError("image must be floats in [0, 1]")
    if list(areas) != sorted(set(areas)) or areas[0] != 0 or areas[-1] != 1:
        raise ValueError(f"areas must increase from 0 to 1, got {areas}")
    image, mask, depth = (field.float() for field in (image, mask, depth))
    inside = mask > 0.5
    area = inside.flatten(1).double().mean(dim=1)  # (N,)
    there = area > 0
    numbers = {"pictures": count}
    for colour, values in zip(("red", "green", "blue"), image.unbind(1), strict=True):
        numbers |= {f"{colour} mean": values.mean(), f"{colour} std": values.std(correction=0)}
    numbers |= {"mask mean": mask.mean(), "mask std": mask.std(correction=0),
                "empty masks": (~there).double().mean(), "area median": area[there].quantile(0.5) if there.any()
                else math.nan}
    for low, high in zip(areas[:-1], areas[1:], strict=True):
        in_bin = (area[there] > low) & (area[there] <= high)
        numbers[f"area {100 * low:g}-{100 * high:g} %"] = in_bin.double().mean()
    rise = row_rise(depth)
    unexplained = (depth - depth.mean(dim=(0, 1, 3), keepdim=True)).square().mean()
    grown = F.max_pool2d(inside.float(), 2 * RING + 1, stride=1, padding=RING) > 0
    nearer = _mean_in(depth, grown & ~inside) - _mean_in(depth, inside)  # NaN without an object or without a ring
    numbers |= {"depth mean": depth.mean(), "depth std": depth.std(correction=0), "depth rise": rise.mean(),
                "depth rises": (rise > 0).double().mean(), "depth by row": 1 - unexplained / depth.var(correction=0),
                "object nearer": nearer.nanmean(),
                "image outline": outline_contrast(grey(image), inside).nanquantile(0.5),
                "depth outline": outline_contrast(depth, inside).nanquantile(0.5)}
    return {name: float(value) for name, value in numbers.items()}


def compare_sets(sets: Mapping[str, TripletSet | StandingPets],
                 areas: tuple[float, ...] = AREAS) -> dict[str, dict[str, float]]:
    """`set_statistics` of several sets by name: `pandas.DataFrame(compare_sets(sets))` has one column a set."""
    sizes = {tuple(each.images.shape[-2:]) for each in sets.values()}
    if len(sizes) > 1:
        raise ValueError(f"sets of different sizes cannot be compared: {sorted(sizes)}")
    return {name: set_statistics(in_unit(each.images), in_unit(each.masks), each.depth, areas)
            for name, each in sets.items()}


def row_rise(depth: Tensor) -> Tensor:
    """Depth at the upper edge minus that at the lower one: (N, 1, H, W) -> (N,).

    By the least-squares line through the mean of each row; edges, not centres of the outer rows.
    """
    rows = depth.mean(dim=(1, 3))  # (N, H)
    height = rows.shape[1]
    if height == 1:
        return torch.full_like(rows[:, 0], math.nan)
    up = (height - 1) / 2 - torch.arange(height, device=rows.device, dtype=rows.dtype)  # pixels above the middle
    return (rows * up).sum(dim=1) / up.square().sum() * height


def outline_contrast(values: Tensor, inside: Tensor) -> Tensor:
    """Mean slope on the outline of a mask over the mean slope elsewhere.

    The slope is the length of the difference to the next pixel, down and across; it belongs to the outline if one of
    these steps crosses it.

    Args:
        values: (N, 1, H, W); inside: (N, 1, H, W) bool.

    Returns (N,); NaN where the mask has no outline, infinite where everything else is flat.
    """
    def steps(field: Tensor) -> tuple[Tensor, Tensor]:
        return field[..., 1:, :-1] - field[..., :-1, :-1], field[..., :-1, 1:] - field[..., :-1, :-1]

    slope = torch.hypot(*steps(values))
    crossed = torch.hypot(*steps(inside.to(values))) > 0
    on, off = (_mean_in(slope, chosen) for chosen in (crossed, ~crossed))
    return torch.where(on.isnan(), math.nan, on / off)


def _mean_in(values: Tensor, chosen: Tensor) -> Tensor:
    """Mean over the chosen pixels of each picture: (N,), NaN if there are none."""
    return torch.where(chosen, values, 0).sum(dim=(1, 2, 3)) / chosen.sum(dim=(1, 2, 3))

