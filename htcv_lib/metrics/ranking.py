"""Which images to show: the median, the best, the worst, and some that no result has chosen."""

from collections.abc import Sequence

import numpy as np


def order_statistics(scores: Sequence[float], fixed: int = 5) -> list[dict]:
    """Rows for a picture grid.

    Args:
        scores: (N,) one score per image, higher is better.
        fixed: How many images to add at equal distances in the list, the same for every model.

    Returns dicts with index, label ("median", "best", "worst", then "photo 1", ...) and score.
    """
    scores = np.asarray(scores, dtype=float)
    order = np.argsort(scores, kind="stable")
    chosen = [("median", order[len(order) // 2]), ("best", order[-1]), ("worst", order[0])]
    places = np.linspace(0, len(scores) - 1, fixed + 2)[1:-1].round().astype(int)
    chosen += [(f"photo {number}", place) for number, place in enumerate(places, start=1)]
    return [{"index": int(i), "label": label, "score": round(float(scores[i]), 4)} for label, i in chosen]
