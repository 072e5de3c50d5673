"""Curves and pictures of a reference page, from the record of its first seed and those of the others."""

import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import reference_tables
from matplotlib.figure import Figure
from PIL import Image
from reference_tables import draw_tables

from htcv_lib import figures
from htcv_lib.decomposer.figures import DECOMPOSITION_COLUMNS, decomposition_sheet
from htcv_lib.figures.curves import plot_history
from htcv_lib.figures.grids import show_tiles
from htcv_lib.runs.code import digest
from htcv_lib.runs.publish import origin
from htcv_lib.runs.records import Record, Samples, read_json

SCORES = {"mask_depth": "IoU \u2212 RMSE"}  # what pictures of a family were ranked by; else IoU
GAP, BETWEEN = 1, (128, 128, 128, 80)  # pixels between the tiles of another seed, and their grey: layers end somewhere


def draw(record: Record, folder: Path, seeds: Sequence[Record] = ()) -> None:
    """Everything the page of `record` shows, into `folder`; again only if a record or the code changed.

    Args:
        seeds: The references of all seeds of this run.
    """
    stamp = folder / ".drawn"
    code = [Path(__file__), Path(reference_tables.__file__), *Path(figures.__file__).parent.glob("*.py")]
    key = digest([record.data["key"], record.finished, *(seed.finished for seed in seeds),
                  *(path.read_text(encoding="utf-8") for path in sorted(code))])
    if stamp.exists() and stamp.read_text() == key:
        return
    if (record.folder / "history.csv").exists():
        thin = [seed.history() for seed in _others(record, seeds, "history.csv")]
        figure = plot_history(record.history(), others=thin)
        figure.savefig(folder / "curves.svg", metadata={"Date": None, "Creator": None})
    if (record.folder / "samples.webp").exists():
        _sheet(record).savefig(folder / "samples.svg")
    for seed in _others(record, seeds, "samples.webp"):
        _plain_sheet(seed.samples().tiles).save(folder / f"samples-{seed.seed}.png", optimize=True)
    draw_tables(record, folder)
    stamp.write_text(key)


def picture_section(record: Record, stem: str, anchor: str, seeds: Sequence[Record] = ()) -> list[str]:
    """The pictures of this record, and folded away those of the other seeds, as Markdown lines."""
    if not (record.folder / "samples.webp").exists():
        return []
    alt = _alt(record)
    lines = ["## Pictures", "", f"```{{figure}} files/{stem}/samples.svg", f":name: fig-{anchor}-samples",
             f":alt: {alt}", "", f"{alt}.{origin(f'Run {record.run}', f'htcv run {record.run}')}", "```", ""]
    for seed in _others(record, seeds, "samples.webp"):
        lines += ["```{raw} html",
                  f'<details class="htcv-provenance"><summary>The pictures of seed {seed.seed}'
                  f'<span>{_same_rows(record, seed)}</span></summary><div class="htcv-provenance-body">', "```",
                  f"```{{image}} files/{stem}/samples-{seed.seed}.png", f":alt: Seed {seed.seed}, {_alt(seed)}",
                  ":class: htcv-pixels", ":width: 100%", "```", *_ranked_rows(record, seed), "```{raw} html",
                  "</div></details>", "```", ""]
    return lines


def curve_section(record: Record, stem: str, anchor: str, title: str, seeds: Sequence[Record] = ()) -> list[str]:
    """The curves of this record as Markdown lines."""
    if not (record.folder / "history.csv").exists():
        return []
    others = [str(seed.seed) for seed in _others(record, seeds, "history.csv")]
    thin = f"; thin: seed{'s' * (len(others) > 1)} {' and '.join(others)}" if others else ""
    line = origin(f"Run {record.run}", f"htcv run {record.run}", f"files/{stem}/history.csv")
    return ["## Training", "", f"```{{figure}} files/{stem}/curves.svg", f":name: fig-{anchor}-curves",
            f":alt: Loss and validation metrics of {title} over the epochs", "",
            f"Training of seed {record.seed}{thin}.{line}", "```", ""]


def _others(record: Record, seeds: Sequence[Record], file: str) -> list[Record]:
    return [seed for seed in seeds if seed.run != record.run and (seed.folder / file).exists()]


def _alt(record: Record) -> str:
    samples = record.samples()
    split = next((metric.split for metric in record.metrics.values()), "")
    return f"{len(samples.rows)} rows of pictures, split {split}; columns: {'; '.join(samples.columns)}"


def _same_rows(record: Record, seed: Record) -> str:
    return "rows and columns as above" if _labels(seed) == _labels(record) else "columns as above"


def _ranked_rows(record: Record, seed: Record) -> list[str]:
    """What the rows are, where each seed ranked its own."""
    return [] if _labels(seed) == _labels(record) else ["", f"Rows: {'; '.join(_labels(seed))}.", ""]


def _labels(record: Record, between: str = ", ") -> list[str]:
    score = SCORES.get(record.family, "IoU")
    return [f"{row['label']}{between}{score} {row['score']:.2f}" if "score" in row else row["label"]
            for row in record.samples().rows]


def _sheet(record: Record) -> Figure:
    samples = record.samples()
    blocks = _sequences(samples)
    if blocks:
        return decomposition_sheet(samples.tiles, blocks)
    return show_tiles(samples.tiles, samples.columns, _labels(record, between="\n"), key="truth" in samples.columns)


def tile_columns(record: Record) -> list[str]:
    """The column that went into a network and the one that came out; empty if the record kept no pictures."""
    try:
        names = read_json(record.folder / "samples.json")["columns"]
    except FileNotFoundError:
        return []
    given = "views" if "views" in names else names[0]
    made = [name for name in names if re.search("predict|output|own", name) and name != given]
    return [given, (made or names)[0 if made else -1]]


def median_tiles(record: Record, columns: Sequence[str] = (), wanted: str = "median") -> list[Image.Image]:
    """Input and output, or the columns asked for, of the median row of a record's pictures, or of the one wanted; else
    of the first."""
    columns = columns or tile_columns(record)
    if not columns:
        return []
    samples = record.samples()
    row = next((place for place, row in enumerate(samples.rows) if wanted in str(row.get("label", "")).lower()), 0)
    return [Image.fromarray(samples.tiles[row, samples.columns.index(name)]) for name in columns]


def _sequences(samples: Samples) -> list[str]:
    """A label for each sequence whose layers the rows show, view by view; none if they show something else."""
    views: dict[str, list[str]] = {}
    for row in samples.rows:
        name, _, view = row["label"].partition(", view ")
        views.setdefault(name, []).append(view)
    even = len({len(found) for found in views.values()}) == 1
    if tuple(samples.columns) != DECOMPOSITION_COLUMNS or not even:
        return []
    return [f"{name}, views {', '.join(found)}" for name, found in views.items()]


def _plain_sheet(tiles: np.ndarray) -> Image.Image:
    """Tiles (R, C, H, W, 3) side by side, with their own pixels; the page enlarges them."""
    rows, columns, height, width, _ = tiles.shape
    padded = np.broadcast_to(np.uint8(BETWEEN), (rows, columns, height + GAP, width + GAP, 4)).copy()
    padded[:, :, :height, :width] = np.concatenate([tiles, np.full_like(tiles[..., :1], 255)], axis=-1)
    sheet = padded.transpose(0, 2, 1, 3, 4).reshape(rows * (height + GAP), columns * (width + GAP), 4)
    return Image.fromarray(sheet[:-GAP, :-GAP])
