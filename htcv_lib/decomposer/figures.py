"""Figures of the chapters: layers of a sequence, where each true layer ended up, collapses of seeds, the network."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from htcv_lib.figures.grids import heads_height, picture_grid, pictures, write_heads
from htcv_lib.figures.networks import BOX, TALL, arrow, draw_box, short_count
from htcv_lib.figures.style import (
    BLUE,
    BODY,
    INK,
    MUTED,
    ORANGE,
    PAD,
    PAPER,
    RULE,
    SHADE,
    SMALL,
    WIDTH,
    canvas,
    heading,
    heading_height,
    panel,
    plain,
    sheet,
    styled,
    text_width,
    wrapped,
    write,
)

# A network of a video encoder and decoders, drawn from its traced stages: down on the left, up in a column each.

STAGE_STEP, STAGE_GAP = 0.84, 0.24  # inches from row to row, between columns
STAGE_LINE = 0.19
DRAWN = {"original_head": "clean picture", "lighting_head": "shadow, light", "occlusion_head": "mask, colour",
         "decoder": "views"}  # what a decoder draws, by its name in the model


@styled
def draw_sequence_network(layers: Sequence[Any], title: str | None = None, cut: bool = False) -> Figure:
    """A column for the encoder and one for each decoder; a row is a resolution, finest at the top.

    Args:
        layers: As from `trace_sequence`: name, kind, out_shape (B, C, T, H, W) and params.
        cut: The skips are multiplied by zero.
    """
    parts: dict[str, list[Any]] = {}
    for layer in layers:
        parts.setdefault(layer.name.split(".")[0], []).append(layer)
    encoder, decoders = parts.pop("encoder"), parts
    stages = [layer for layer in encoder if "stage" in layer.name]
    image = tuple(encoder[0].in_shape)
    box = min(BOX, (WIDTH - 2 * PAD - STAGE_GAP * len(decoders)) / (1 + len(decoders)))
    middles = [PAD + box / 2] + [WIDTH - PAD - box / 2 - k * (box + STAGE_GAP) for k in range(len(decoders))][::-1]
    sizes = sorted({_size(layer.out_shape) for layer in layers} | {_size(image)}, reverse=True)
    top = heading_height(title, WIDTH)
    rows = {size: top + TALL / 2 + STAGE_STEP * (1 + place)  # above them, what comes out
            for place, size in enumerate(sizes)}
    note = wrapped(f"channels × views × height × width; right: parameters; dashed: skips, "
                   f"{'multiplied by zero' if cut else 'concatenated'}", WIDTH - 2 * PAD, SMALL)
    figure = sheet(WIDTH, rows[sizes[-1]] + TALL / 2 + 0.16 + STAGE_LINE * len(note) + PAD)
    heading(figure, title)
    axes = canvas(figure)
    for number, (column, blocks) in enumerate(zip(middles[1:], decoders.values(), strict=True)):
        _skips(axes, stages, blocks, rows, middles[number], column, box, cut)
    _encoder(axes, encoder, rows, middles[0], box, image)
    lowest = rows[_size(stages[-1].out_shape)]
    axes.plot([middles[0] + box / 2, middles[-1]], [lowest, lowest], color=INK, linewidth=1.0)
    for column, (part, blocks) in zip(middles[1:], decoders.items(), strict=True):
        _decoder(axes, blocks, DRAWN.get(part, part), rows, column, box, lowest, top + TALL / 2)
    for place, line in enumerate(note):
        axes.text(PAD, rows[sizes[-1]] + TALL / 2 + 0.2 + STAGE_LINE * place, line, fontsize=SMALL, color=MUTED,
                  va="top")
    return figure


def _size(shape: Sequence[int]) -> int:
    return shape[-2] * shape[-1]


def _skips(axes: Axes, stages: Sequence[Any], blocks: Sequence[Any], rows: Mapping[int, float], start: float,
           column: float, box: float, cut: bool) -> None:
    """Dashed arrows from the column before, at each resolution that both sides have."""
    for size in {_size(stage.out_shape) for stage in stages} & {_size(block.out_shape) for block in blocks}:
        left, right, y = start + box / 2 + 0.03, column - box / 2 - 0.03, rows[size]
        arrow(axes, (left, y), (right, y), ORANGE if cut else MUTED, dashed=True)
        if cut:
            axes.text((left + right) / 2, y, " × 0 ", fontsize=SMALL, color=ORANGE, ha="center", va="center",
                      backgroundcolor=PAPER)


def _encoder(axes: Axes, encoder: Sequence[Any], rows: Mapping[int, float], x: float, box: float,
             image: Sequence[int]) -> None:
    y = rows[_size(image)]
    draw_box(axes, x, y, box, "input", "views", image[1:])
    for step, stage in zip(encoder[::2], encoder[1::2], strict=True):
        before, y = y, rows[_size(stage.out_shape)]
        arrow(axes, (x, before + TALL / 2), (x, y - TALL / 2), INK)
        text = f"{'merging' if 'merging' in step.name else step.name.split('.')[1]} · {short_count(step.params)}"
        axes.text(x + 0.08, y - TALL / 2 - (STAGE_STEP - TALL) / 2, text, fontsize=SMALL, color=MUTED,
                  va="center")
        draw_box(axes, x, y, box, "bottleneck" if stage is encoder[-1] else "encoder", stage.kind,
                 stage.out_shape[1:], stage.params)


def _decoder(axes: Axes, blocks: Sequence[Any], name: str, rows: Mapping[int, float], x: float, box: float,
             below: float, end: float) -> None:
    for block in blocks[:-1]:
        y = rows[_size(block.out_shape)]
        arrow(axes, (x, below if below == max(rows.values()) else below - TALL / 2), (x, y + TALL / 2), INK)
        draw_box(axes, x, y, box, "decoder", "block", block.out_shape[1:], block.params)
        below = y
    arrow(axes, (x, below - TALL / 2), (x, end + TALL / 2), INK)
    draw_box(axes, x, end, box, "input", name, blocks[-1].out_shape[1:], blocks[-1].params)


# An image sequence split into its layers, as the report draws it: seven columns, three views below one another.

DECOMPOSITION_COLUMNS = ("original", "views", "original, predicted", "shadow", "light", "mask", "occluder's colour")
SINGLE = (0, 2)  # columns with one picture for all views
GAP, COLUMN_GAP, BLOCK_GAP = 0.04, 0.09, 0.2  # inches between views, columns, blocks
BLANK = 255  # the sheet's white


def decomposition_tiles(image: np.ndarray, original: np.ndarray | None, pred: Any, sequence: int = 0,
                        views: Sequence[int] = (0, 1, 2), light_white: float = 1.0) -> np.ndarray:
    """One sequence and its predicted layers, a row a view; the strip that a run saves.

    Args:
        image: (N, 3, T, H, W) in [0, 1]. Tensors on the CPU will do, here and below.
        original: (N, 3, 1, H, W) in [0, 1], the clean pictures; None where nobody knows them.
        pred: Has the fields original (N, 3, 1, H, W), shadow (N, 1, T, H, W), light (N, 1 or 3, T, H, W), mask
            (N, 1, T, H, W) and occlusion (N, 3, T, H, W), as networks return them.
        sequence: Which of the N.
        views: Which of the T.
        light_white: The light that is drawn white; more where light is a factor that exceeds 1.

    Returns uint8 (V, 7, H, W, 3). Columns with one picture hold it in the first row and are white in the others.
    Errors: ValueError for a sequence or a view that is not there, and for light_white of 0 or less.
    """
    count, _, frames, height, width = np.shape(image)
    if not 0 <= sequence < count or not len(views) or not all(0 <= view < frames for view in views):
        raise ValueError(f"no sequence {sequence} with views {tuple(views)} among {count} of {frames} views")
    if light_white <= 0:
        raise ValueError(f"light_white must be above 0, got {light_white}")
    tiles = np.full((len(views), len(DECOMPOSITION_COLUMNS), height, width, 3), BLANK, np.uint8)
    for column, field in zip(SINGLE, (original, pred.original), strict=True):
        if field is not None:
            tiles[:1, column] = frame_pictures(np.asarray(field)[sequence], [0])
    light = np.asarray(pred.light, dtype=float) / light_white
    for column, field in ((1, image), (3, pred.shadow), (4, light), (5, pred.mask), (6, pred.occlusion)):
        tiles[:, column] = frame_pictures(np.asarray(field)[sequence], views)
    return tiles


def frame_pictures(frames: np.ndarray, views: Sequence[int]) -> np.ndarray:
    """Chosen frames of (C, T, H, W), C 1 or 3, as uint8 (V, H, W, 3)."""
    return pictures(np.asarray(frames).swapaxes(0, 1)[list(views)])


@styled
def decomposition_sheet(tiles: np.ndarray, labels: Sequence[str], title: str | None = None,
                        columns: Sequence[str] = DECOMPOSITION_COLUMNS, single: Sequence[int] = SINGLE,
                        width: float = WIDTH) -> Figure:
    """One block for each model, epoch or sequence, one above the other. Save it as PNG.

    Args:
        tiles: uint8 (M * V, K, H, W, 3): M strips of `decomposition_tiles` with V views each, concatenated.
        labels: M short texts, each above its block, for example "epoch 18".
        title: For readers who do not see it, the same words make a good alternative text.
        columns: K headings.
        single: Columns that show the first of their V pictures, half way down the block.
    """
    rows, across, height, breadth, _ = tiles.shape
    blocks = len(labels)
    if len(columns) != across or not blocks or rows % blocks:
        raise ValueError(f"{rows} rows and {across} columns of tiles do not go with {blocks} labels and "
                         f"{len(columns)} headings")
    views = rows // blocks
    tile = (width - 2 * PAD - COLUMN_GAP * (across - 1)) / across
    tall = tile * height / breadth
    above = heading_height(title, width) + heads_height(columns, tile + COLUMN_GAP) + 0.04
    block = 0.26 + views * tall + (views - 1) * GAP  # with its label
    figure = sheet(width, above + blocks * block + (blocks - 1) * BLOCK_GAP + PAD)
    heading(figure, title)
    lefts = [PAD + column * (tile + COLUMN_GAP) for column in range(across)]
    write_heads(figure, columns, lefts, above - 0.06, tile + COLUMN_GAP, color=MUTED)
    for number, label in enumerate(labels):
        top = above + number * (block + BLOCK_GAP)
        write(figure, PAD, top + 0.06, label, BODY, color=INK, weight="bold")
        for column, left in enumerate(lefts):
            middle = (views - 1) * (tall + GAP) / 2 if column in single else 0
            for view in range(1 if column in single else views):
                axes = panel(figure, left, top + 0.26 + middle + view * (tall + GAP), tile, tall, grid="")
                picture = tiles[number * views + view, column]
                axes.imshow(picture, interpolation="antialiased", aspect="auto")
                axes.set(xticks=[], yticks=[])
                drawn = column not in single or (picture != BLANK).any()
                axes.spines[:].set(visible=drawn, color=RULE, linewidth=0.6)  # white shadow ends somewhere
    return figure


VIEWS = (2, 10)  # of your own, at least and at most
OWN_WHITE = 3.0  # of a light that multiplies: drawn white


def own_sheet(network: Callable, images: Any, names: Sequence[str]) -> Figure:
    """Your own views of one painting, and the layers the network splits them into. Images (T, 3, H, W) in [0, 1].

    Errors: ValueError for fewer than 2 or more than 10 views.
    """
    if not VIEWS[0] <= len(names) <= VIEWS[1]:
        raise ValueError(f"a decomposition takes {VIEWS[0]} to {VIEWS[1]} views of one painting, got {len(names)}")
    views = images.swapaxes(0, 1)[None]  # (1, 3, T, H, W)
    pred = network(views)
    white = OWN_WHITE if hasattr(pred, "highlight") else 1.0
    tiles = decomposition_tiles(views, None, pred, views=range(len(names)), light_white=white)
    label = f"{len(names)} views, {plain(names[0][:24])} to {plain(names[-1][:24])}"
    return decomposition_sheet(tiles[:, 1:], [label], columns=("views", "clean picture", *DECOMPOSITION_COLUMNS[3:]),
                               single=(1,))


def label_tiles(rows: Mapping[str, np.ndarray], views: Sequence[int] = tuple(range(6))) -> np.ndarray:
    """Views of one sequence over what a label says of each, for example inputs, pseudo-labels, truth.

    Args:
        rows: Name -> (C, T, H, W), C 1 or 3, uint8 or floats in [0, 1]; tensors on the CPU will do.
        views: Which of the T.

    Returns uint8 (R, V, H, W, 3).
    """
    parts = [frame_pictures(frames, views) for frames in rows.values()]
    if len({part.shape for part in parts}) > 1:
        sizes = {name: part.shape[1:3] for name, part in zip(rows, parts, strict=True)}
        raise ValueError(f"pictures differ in H, W: {sizes}")
    return np.stack(parts)


def label_sheet(tiles: np.ndarray, names: Sequence[str], title: str | None = None, note: str | None = None,
                width: float = WIDTH) -> Figure:
    """The report's figure of inputs over their targets, a column a view. Save it as PNG.

    Args:
        tiles: uint8 (R, V, H, W, 3), as from `label_tiles`.
        names: R short texts, left of the rows: the keys there.
    """
    return picture_grid(tiles, row_headings=names, title=title, note=note, width=width)


# Trainings that collapse and trainings that do not: loss and gradient norm of many seeds over the steps.

FEW = 300  # a range of up to so many times is marked at 1, 2 and 5, a larger one at powers of ten
LOSSES = ("training loss", "validation loss")
HEIGHTS = (1.5, 1.1)  # of the panels of loss and gradient norm, inches
LEFT, PANEL_GAP, HEAD = 0.46, 0.2, 0.24  # room for ticks; between panels; for what a row of panels shows


@styled
def collapse_panels(groups: Mapping[str, Sequence[pd.DataFrame]], collapsed: Mapping[str, Sequence[float | None]],
                    loss: str = "val/loss", norm: str = "train/decomposer/grad_norm", title: str | None = None,
                    width: float = WIDTH) -> Figure:
    """A column of panels for each group, a line for each seed; above, the loss, below, the gradient's norm.

    Collapsed seeds are orange, with a dot where the collapse began; the others are blue. Axes are shared, the norm's
    is logarithmic, and the loss's too where it spans more than a factor of 20. Values that are not finite end a line.

    Args:
        groups: Label -> one history per seed (as `History.frame()`); up to four labels.
        collapsed: Label -> for each seed the epoch in which it collapsed, or None.
        loss, norm: Columns of the histories; rows without a value are skipped.
    """
    if not 1 <= len(groups) <= 4:
        raise ValueError(f"one to four groups can be drawn, got {len(groups)}")
    if {label: len(seeds) for label, seeds in groups.items()} != {k: len(v) for k, v in collapsed.items()}:
        raise ValueError("`collapsed` needs the same groups and an entry for each seed")
    share = (width - 2 * PAD - LEFT - PANEL_GAP * (len(groups) - 1)) / len(groups)
    names = ["\n".join(wrapped(label, share, BODY, "bold")) for label in groups]
    room = 0.17 * max(name.count("\n") + 1 for name in names) + 0.2  # name, and how many collapsed
    top = heading_height(title, width) + room + HEAD
    figure = sheet(width, top + sum(HEIGHTS) + HEAD + PANEL_GAP + 0.9)
    heading(figure, title)
    shown = {loss: LOSSES[loss.startswith("val/")], norm: "gradient norm before clipping"}
    for row, (column, text) in enumerate(shown.items()):
        place = top + row * (HEIGHTS[0] + HEAD + PANEL_GAP)
        write(figure, PAD, place - HEAD, text, SMALL, color=MUTED)
        axes: list[Axes] = []
        for number, (label, seeds) in enumerate(groups.items()):
            box = panel(figure, PAD + LEFT + number * (share + PANEL_GAP), place, share, HEIGHTS[row])
            if axes:
                box.sharex(axes[0])
                box.sharey(axes[0])
            _draw_seeds(box, seeds, collapsed[label], column)
            axes.append(box)
        _finish(axes, logarithmic=row == 1 or _span(groups, column) > 20, last=row == 1)
    for number, (label, name) in enumerate(zip(groups, names, strict=True)):
        left, lines = PAD + LEFT + number * (share + PANEL_GAP), name.count("\n") + 1
        start = top - HEAD - room
        write(figure, left, start, name, BODY, weight="bold", linespacing=1.2)
        gone = [epoch for epoch in collapsed[label] if epoch is not None]
        write(figure, left, start + 0.17 * lines, f"{len(gone)} of {len(collapsed[label])} collapsed", SMALL,
              color=ORANGE if gone else BLUE)
    _draw_key(figure, figure.get_size_inches()[1] - PAD - 0.12)
    return figure


def _line(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """Step, epoch and value where the column was measured, up to the first value that is not finite."""
    if column not in frame or "step" not in frame:
        raise ValueError(f"no columns step and {column!r}; the history has {', '.join(map(str, frame.columns))}")
    part = frame[frame[column].notna()]
    finite = np.isfinite(part[column].to_numpy(dtype=float)).cumprod().astype(bool)
    part = part[finite]
    epoch = part["epoch"] if "epoch" in part else part.index
    return pd.DataFrame({"step": part["step"], "epoch": epoch, "value": part[column].astype(float)})


def _draw_seeds(axes: Axes, seeds: Sequence[pd.DataFrame], collapsed: Sequence[float | None], column: str) -> None:
    for frame, epoch in zip(seeds, collapsed, strict=True):
        line = _line(frame, column)
        colour, order = (BLUE, 2) if epoch is None else (ORANGE, 3)
        axes.plot(line["step"], line["value"], color=colour, linewidth=1.3, alpha=0.75, zorder=order)
        if epoch is None or line.empty:
            continue
        after = line[line["epoch"] >= epoch]
        start = after.iloc[0] if len(after) else line.iloc[-1]  # a loss that became infinite has no value there
        axes.plot([start["step"]], [start["value"]], "o", color=ORANGE, markersize=5, markeredgecolor=PAPER, zorder=4)


def _span(groups: Mapping[str, Sequence[pd.DataFrame]], column: str) -> float:
    """Largest over smallest value; 1 where one of them is not positive."""
    values = np.concatenate([_line(frame, column)["value"].to_numpy() for seeds in groups.values() for frame in seeds])
    return float(values.max() / values.min()) if len(values) and values.min() > 0 else 1.0


def _finish(axes: Sequence[Axes], logarithmic: bool, last: bool) -> None:
    """Shared limits and ticks: values at the left panel, steps below the last row."""
    for number, box in enumerate(axes):
        if logarithmic:
            box.set_yscale("log")
            low, high = box.dataLim.intervaly
            box.yaxis.set_major_locator(LogLocator(numticks=5) if high > FEW * low else LogLocator(subs=(1, 2, 5)))
            box.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
            box.yaxis.set_minor_locator(NullLocator())
        else:
            box.yaxis.set_major_locator(MaxNLocator(4))
        box.margins(x=0.03, y=0.08)
        box.xaxis.set_major_locator(MaxNLocator(3 if len(axes) > 2 else 5, integer=True))
        box.tick_params(labelleft=number == 0, labelbottom=last, which="both")
        box.autoscale_view()
        if last:
            box.set_xlabel("step", labelpad=3)


def _draw_key(figure: Figure, top: float) -> None:
    """What the colours mean, below."""
    left, height = PAD, figure.get_size_inches()[1]
    for text, colour in (("a seed", BLUE), ("a seed that collapsed; dot: where it began", ORANGE)):
        key = panel(figure, left, top - 0.06, 0.26, 0.12, grid="")
        key.plot([0, 1], [0, 0], color=colour, linewidth=1.6)
        key.set_axis_off()
        write(figure, left + 0.34, min(top, height), text, SMALL, color=MUTED, va="center")
        left += 0.34 + text_width(text, SMALL) + 0.3


# Where each true layer ended up: heat maps with their numbers.

STRONG = 0.55  # shares from here on are written in the colour of the page
CELL = (0.8, 0.36)  # inches, widest and height
MAP_GAP, LABEL = 0.34, 0.24  # between two maps; the room of a map's name


def leakage_table(entries: Mapping[str, float], prefix: str = "") -> pd.DataFrame:
    """The matrix of numbers named "true>predicted", as a record keeps them: true layers in rows, in their order.

    Args:
        entries: `Leakage.entries()`, or a record's metrics; names without ">" are skipped.
        prefix: What the names begin with in a record.

    A combination that is not there is NaN. Errors: ValueError if there is none at all.
    """
    cells = {tuple(name.removeprefix(prefix).split(">")): value for name, value in entries.items()
             if name.startswith(prefix) and ">" in name}
    if not cells:
        raise ValueError(f"no entry is called {prefix}true>predicted; there are {', '.join(entries)}")
    rows, columns = (list(dict.fromkeys(names)) for names in zip(*cells, strict=True))
    return pd.DataFrame([[cells.get((row, column), np.nan) for column in columns] for row in rows], rows, columns)


@styled
def leakage_heatmap(matrices: Mapping[str, pd.DataFrame], title: str | None = None, note: str | None = None,
                    width: float = WIDTH) -> Figure:
    """How much of each true layer (rows) each predicted one (columns) holds, one map a model.

    Blue is a share of the true layer, orange a share with the opposite sign; beyond -1 and 1 the colour stays. Frames
    mark the cells that should be 1: predicted and true layer have the same name.

    Args:
        matrices: Name of the model -> rows of true and columns of predicted layers, as from `leakage_table`; NaN, a
            layer that is not there, is "n/a". All with the same columns.
        note: Written below.
    """
    if not matrices or len({tuple(matrix.columns) for matrix in matrices.values()}) > 1:
        raise ValueError("need at least one matrix, and all with the same columns")
    first = next(iter(matrices.values()))
    names = max(text_width(str(name), SMALL) for matrix in matrices.values() for name in matrix.index) + 0.1
    full = width - 2 * PAD
    heads = [str(name) for name in first.columns]
    least = max(text_width(word, SMALL) for name in heads for word in name.split()) + 0.02
    across = 2 if len(matrices) > 1 and (full - MAP_GAP) / 2 - names >= least * len(heads) else 1
    breadth = min(((full - MAP_GAP * (across - 1)) / across - names) / len(heads), CELL[0] if across > 1 else 1.1)
    head = heads_height(heads, breadth - 0.06) + 0.06
    rows = [list(matrices.items())[k:k + across] for k in range(0, len(matrices), across)]
    heights = [LABEL + head + CELL[1] * max(len(matrix) for _, matrix in row) for row in rows]
    notes = wrapped(note, full, SMALL) if note else []
    start = heading_height(title, width)
    bottom = start + 0.2 + sum(heights) + MAP_GAP * (len(rows) - 1)
    figure = sheet(width, bottom + 0.19 * len(notes) + (0.1 if notes else 0) + PAD)
    heading(figure, title)
    write(figure, PAD, start, "rows: true; columns: predicted", SMALL, color=MUTED)
    top = start + 0.2
    for row, height in zip(rows, heights, strict=True):
        for column, (name, matrix) in enumerate(row):
            left = PAD + column * (names + len(heads) * breadth + MAP_GAP)
            write(figure, left, top + 0.04, name, BODY, weight="bold")
            _draw_map(figure, matrix, heads, left + names, top + LABEL + head, breadth)
        top += height + MAP_GAP
    for number, line in enumerate(notes):
        write(figure, PAD, bottom + 0.1 + 0.19 * number, line, SMALL, color=MUTED)
    return figure


def _draw_map(figure: Figure, matrix: pd.DataFrame, heads: list[str], left: float, top: float,
              breadth: float) -> None:
    """One matrix with its names, its upper left cell at a place in inches."""
    values = matrix.to_numpy(dtype=float)
    rows, columns = values.shape
    axes = panel(figure, left, top, columns * breadth, rows * CELL[1], grid="")
    axes.set_xlim(0, columns)
    axes.set_ylim(rows, 0)
    axes.set_axis_off()
    for row, column in np.ndindex(rows, columns):
        _draw_cell(axes, row, column, values[row, column])
    for row, name in enumerate(matrix.index):
        write(figure, left - 0.08, top + (row + 0.5) * CELL[1], str(name), SMALL, ha="right", va="center")
        if name in matrix.columns:
            place = list(matrix.columns).index(name)
            axes.add_patch(Rectangle((place, row), 1, 1, fill=False, edgecolor=INK, linewidth=1.4, clip_on=False,
                                     zorder=3))
    middles = [left + (column + 0.5) * breadth for column in range(columns)]
    write_heads(figure, heads, middles, top - 0.08, breadth - 0.06, ha="center")


def _draw_cell(axes: Axes, row: int, column: int, value: float) -> None:
    known = bool(np.isfinite(value))
    colour = (BLUE if value > 0 else ORANGE, min(abs(value), 1)) if known else SHADE
    axes.add_patch(Rectangle((column, row), 1, 1, facecolor=colour, edgecolor=PAPER, linewidth=1))
    text = "n/a" if not known else f"{value:.2f}".replace("-0.00", "0.00").replace("-", "\u2212")
    axes.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL,
              color=PAPER if known and abs(value) >= STRONG else INK)
