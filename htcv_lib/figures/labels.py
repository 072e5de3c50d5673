"""Names beside points: near their own point, off the other points and off one another."""

from collections.abc import Sequence

import numpy as np

AROUND = np.deg2rad([20, -20, 160, -160, 90, -90, 50, -50, 130, -130])  # right first, as one reads


def free_places(anchors: np.ndarray, sizes: np.ndarray, avoid: np.ndarray, bounds: Sequence[float],
                reaches: Sequence[float]) -> np.ndarray:
    """Centres for the names, one after the other; each takes the first place tried that nothing else has.

    Where no place is free, the one that covers the least is taken. Lengths are in any one unit.

    Args:
        anchors: (N, 2) the named points.
        sizes: (N, 2) width and height of the names.
        avoid: (M, 2) points not to be covered.
        bounds: left, bottom, right, top of the room there is.
        reaches: Distances between a point and its name's edge to try, nearest first; 0 is on the point.

    Returns (N, 2).
    """
    anchors, sizes = np.asarray(anchors, float), np.asarray(sizes, float)
    tries = [(reach, angle) for reach in reaches for angle in (AROUND if reach else AROUND[:1])]
    placed, centres = [], []  # boxes left, bottom, right, top
    for index, (anchor, size) in enumerate(zip(anchors, sizes, strict=True)):
        others = np.delete(anchors, index, axis=0)
        best = None
        for reach, angle in tries:
            away = np.array([np.cos(angle), np.sin(angle)])
            centre = anchor + away * reach + np.clip(1.5 * away, -1, 1) * size / 2 if reach else anchor
            box = np.concatenate([centre - size / 2, centre + size / 2])
            cost = (_covered(box, avoid) + 4 * _beyond(box, bounds) / size[1]
                    + 8 * sum(_overlap(box, other) for other in placed) / size.prod()
                    + 0.5 * (_nearest(box, others) < 1.6 * _nearest(box, anchor[None]))  # whose name is it?
                    + _passed(anchor, box, others))
            if best is None or cost < best[0] - 1e-9:
                best = (cost, centre, box)
            if cost == 0:
                break
        centres.append(best[1])
        placed.append(best[2])
    return np.array(centres)


def _nearest(box: np.ndarray, points: np.ndarray) -> float:
    """Distance between a box and the nearest of some points."""
    away = np.maximum(np.maximum(box[:2] - points, points - box[2:]), 0)
    return float(np.linalg.norm(away, axis=1).min(initial=np.inf))


def _passed(anchor: np.ndarray, box: np.ndarray, points: np.ndarray) -> int:
    """How many points a line from the anchor to the box would touch."""
    line = np.linspace(anchor, np.clip(anchor, box[:2], box[2:]), 16)
    near = np.linalg.norm(points[:, None] - line, axis=2).min(axis=1, initial=np.inf)
    return int((near < (box[3] - box[1]) / 3).sum())


def _covered(box: np.ndarray, points: np.ndarray) -> int:
    if not len(points):
        return 0
    return int(((points >= box[:2]) & (points <= box[2:])).all(axis=1).sum())


def _beyond(box: np.ndarray, bounds: Sequence[float]) -> float:
    low, high = np.array(bounds[:2]), np.array(bounds[2:])
    return float(np.maximum(low - box[:2], 0).sum() + np.maximum(box[2:] - high, 0).sum())


def _overlap(box: np.ndarray, other: np.ndarray) -> float:
    sides = np.minimum(box[2:], other[2:]) - np.maximum(box[:2], other[:2])
    return float(np.maximum(sides, 0).prod())
