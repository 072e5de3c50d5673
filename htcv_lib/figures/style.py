"""Design tokens, and the few steps every figure shares: one place for colours, type and sizes.

Figures have their own padding and, as SVG, no ground: they take the page's, and on a dark page the colours of `DARK`.
Lengths are inches. Text is measured with DejaVu Sans, the widest face of `FONTS`, so whatever a reader has fits.
"""

import functools
import io
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.image import AxesImage
from matplotlib.textpath import TextToPath

INK, MUTED, RULE, SHADE, PAPER = "#1c2733", "#5b6875", "#d5dbe1", "#e9eef2", "#ffffff"
BLUE, ORANGE, GREEN, PLUM = "#2271b5", "#c6501c", "#358556", "#94346e"
SERIES = (BLUE, ORANGE, GREEN, INK, PLUM)  # each dark enough to write with, apart for every kind of sight
UP, DOWN = BLUE, ORANGE  # better, worse
CLASSES = ("pet", "background", "border")
CLASS_COLOURS = {"pet": "#f0a43a", "background": "#34465c", "border": "#a9dbe8"}
ERROR = "#d9220b"
WIDTH, NARROW = 7.2, 4.2  # of a whole figure
PAD = 0.16  # white around everything
SMALL, BODY, TITLE = 9.0, 9.5, 11.5  # points
GRID_DPI = 110
DARK = {INK: "#e4e8ec", MUTED: "#a5b0bb", RULE: "#3a4652", SHADE: "#252e38", PAPER: "#14191f", BLUE: "#62a8e5",
        ORANGE: "#ee8a5f", GREEN: "#6cbd8d", PLUM: "#d584b4", "#c3ccd4": "#53606c", "#aab4bf": "#75818d",
        # the pale fills of drawn networks
        "#f4f6f8": "#222a33", "#e6eff7": "#1b2d3f", "#f5eaf1": "#35212e", "#fbece5": "#3a261c", "#e8f3ec": "#1c3226"}
FONTS = "'Helvetica Neue', Helvetica, Arial, 'Liberation Sans', 'DejaVu Sans', sans-serif"
RC = {
    "font.family": "DejaVu Sans",
    "font.size": BODY,
    "text.color": INK,
    "axes.edgecolor": RULE,
    "axes.labelcolor": MUTED,
    "axes.labelsize": SMALL,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "axes.spines.left": False,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": SMALL,
    "ytick.labelsize": SMALL,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.major.pad": 6,
    "ytick.major.pad": 5,
    "lines.solid_capstyle": "round",
    "lines.solid_joinstyle": "round",
    "svg.fonttype": "none",
    "svg.hashsalt": "htcv",
}


def styled(draw: Callable[..., Figure]) -> Callable[..., Figure]:
    """Run a drawing function under the tokens above and leave matplotlib's settings as they were."""

    @functools.wraps(draw)
    def wrapper(*args, **kwargs) -> Figure:
        with matplotlib.rc_context(RC):
            return draw(*args, **kwargs)

    return wrapper


class Sheet(Figure):
    """A figure that keeps its tokens when it is drawn or saved later, by whomever.

    As SVG its text stays text (in the reader's own sans serif), equal figures are equal characters, and small pictures
    keep their own pixels, however large they are shown.
    """

    def draw(self, renderer) -> None:
        with matplotlib.rc_context(RC):
            super().draw(renderer)

    def savefig(self, fname, **kwargs) -> None:
        kind = kwargs.pop("format", None) or Path(str(fname)).suffix.lstrip(".") or "png"
        with matplotlib.rc_context(RC):
            if kind != "svg":
                super().savefig(fname, format=kind, **kwargs)
                return
            kwargs["metadata"] = {"Date": None, "Creator": None, **(kwargs.get("metadata") or {})}
            buffer = io.StringIO()
            for image in self.findobj(AxesImage):
                if image.get_size()[1] < GRID_DPI * inches(image.axes)[0]:
                    image.set_interpolation("none")
            super().savefig(buffer, format="svg", **{"dpi": 2 * GRID_DPI, "transparent": True, **kwargs})
        text = themed(buffer.getvalue().replace("'DejaVu Sans'", FONTS))
        if not hasattr(fname, "write"):
            Path(fname).write_text(text, encoding="utf-8")
        else:
            fname.write(text if isinstance(fname, io.TextIOBase) else text.encode())


def themed(svg: str) -> str:
    """An SVG whose colours follow the scheme of the page it stands on, by `DARK`."""
    used = sorted(colour for colour in DARK if colour in svg)
    for colour in used:
        svg = re.sub(rf"(?<=: ){colour}\b", f"var(--{colour[1:]}, {colour})", svg)
    rules = "; ".join(f"--{colour[1:]}: {DARK[colour]}" for colour in used)
    return svg.replace("</style>", f"\n@media (prefers-color-scheme: dark) {{ svg {{ {rules} }} }}</style>", 1)


def sheet(width: float, height: float, title: str | None = None) -> Sheet:
    """A white figure, in inches, that knows nothing of pyplot; its title takes `heading_height` of it."""
    figure = Sheet(figsize=(width, height), facecolor=PAPER, dpi=GRID_DPI)
    FigureCanvasAgg(figure)
    heading(figure, title)
    return figure


def panel(figure: Figure, left: float, top: float, width: float, height: float, grid: str = "y") -> Axes:
    """Axes at a place in inches from the upper left corner; `grid` is "x", "y", "both" or ""."""
    full_width, full_height = figure.get_size_inches()
    axes = figure.add_axes((left / full_width, 1 - (top + height) / full_height, width / full_width,
                            height / full_height))
    if grid:
        axes.grid(True, axis=grid)
    return axes


def canvas(figure: Figure) -> Axes:
    """Axes over a whole sheet whose data are inches from its upper left corner, for drawings of boxes and arrows."""
    width, height = figure.get_size_inches()
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return axes


def inches(axes: Axes) -> np.ndarray:
    """Width and height of a panel."""
    return axes.get_position().size * axes.figure.get_size_inches()


def limits(values: Sequence[float], room: float) -> tuple[float, float]:
    """From the least to the greatest finite value, and that share of the way beyond; without any, around 0 to 1."""
    values = np.asarray(values, float)
    values = values[np.isfinite(values)]
    low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
    pad = room * (high - low) or 0.5
    return low - pad, high + pad


def write(figure: Figure, left: float, top: float, text: str, size: float = BODY, **kwargs) -> None:
    """Text whose first baseline box starts `top` inches below the upper edge."""
    full_width, full_height = figure.get_size_inches()
    kwargs.setdefault("va", "top")
    figure.text(left / full_width, 1 - top / full_height, text, fontsize=size, **kwargs)


def notes(text: str | None, width: float) -> list[str]:
    """The lines of a note below a drawing on a sheet of this width; `write_lines` writes them."""
    return wrapped(text, width - 2 * PAD, SMALL) if text else []


def write_lines(figure: Figure, top: float, lines: Sequence[str]) -> None:
    """Small grey lines from the left edge, 0.19 inches each."""
    for number, line in enumerate(lines):
        write(figure, PAD, top + 0.19 * number, line, SMALL, color=MUTED)


def heading(figure: Figure, title: str | None) -> None:
    """Write the title, wrapped to the sheet."""
    lines = wrapped(title, figure.get_size_inches()[0] - 2 * PAD, TITLE, "bold") if title else []
    for number, line in enumerate(lines):
        write(figure, PAD, PAD + 0.21 * number, line, TITLE, weight="bold")


def heading_height(title: str | None, width: float) -> float:
    """Where the drawing starts below the title on a sheet of this width."""
    return PAD if not title else PAD + 0.21 * len(wrapped(title, width - 2 * PAD, TITLE, "bold")) + 0.14


def text_width(text: str, size: float = BODY, weight: str = "normal") -> float:
    """Width of one line (the longest of several) in inches."""
    font = FontProperties(family="DejaVu Sans", size=size, weight=weight)
    measure = TextToPath().get_text_width_height_descent
    return max(measure(line, font, False)[0] for line in text.split("\n")) / 72 if text else 0.0


def wrapped(text: str, width: float, size: float = BODY, weight: str = "normal") -> list[str]:
    """Lines no wider than `width` inches, broken at spaces and after hyphens."""
    if "\n" in text:
        return [line for part in text.split("\n") for line in wrapped(part, width, size, weight)]
    lines, line = [], ""
    for word in re.findall(r"[^\s_-]*[-_](?=\w)|\S+\s*|\s+", text):
        if line and text_width((line + word).rstrip(), size, weight) > width:
            lines.append(line.rstrip())
            line = ""
        line += word
    return [*lines, line.rstrip()]


def plain(text: str) -> str:
    """Text of foreign origin, such as a file's name, as a figure can show it: without mathematics between dollars, and
    with a box for every sign that DejaVu Sans does not have."""
    known = get_font(findfont("DejaVu Sans")).get_char_index
    return "".join(sign if sign == "\n" or known(ord(sign)) else "\u25a1" for sign in text).replace("$", r"\$")


def spread(places: Sequence[float], gap: float) -> np.ndarray:
    """Move places as little as needed so that neighbours are `gap` apart; order is kept."""
    order = np.argsort(places, kind="stable")
    groups: list[list[float]] = []  # [sum of wished starts, count]; members sit gap apart
    for rank in order:
        groups.append([float(places[rank]), 1])
        while len(groups) > 1:
            (first, count), (second, more) = groups[-2], groups[-1]
            if first / count + (count - 1) / 2 * gap + gap <= second / more - (more - 1) / 2 * gap:
                break
            groups[-2:] = [[first + second, count + more]]
    middle = [(total / count - (count - 1) / 2 * gap) + gap * k for total, count in groups for k in range(int(count))]
    moved = np.empty(len(places))
    moved[order] = middle
    return moved


def name_ends(axes: Axes, x: float, ends: Sequence[float], names: Sequence[str], colours: Sequence[str],
              size: float = SMALL) -> None:
    """Write names right of the ends of lines, moved apart where they would touch; the panel has its limits already."""
    places = spread(ends, 1.35 * size / 72 * np.ptp(axes.get_ylim()) / inches(axes)[1])
    for name, colour, place in zip(names, colours, places, strict=False):
        axes.annotate(name, (x, place), (9, 0), textcoords="offset points", color=colour, fontsize=size, va="center",
                      annotation_clip=False)


def is_share(name: str) -> bool:
    """Is this metric a fraction that readers know in percent?"""
    words = ("accuracy", "iou", "dice_score", "swap_", "recognised")
    return any(word in name.lower() for word in words) or name in ("val/dice", "balance/paused")


def scale_of(name: str) -> float:
    """What this metric's values are multiplied by to be shown: shares are shown in percent."""
    return 100.0 if is_share(name) else 1.0


def with_unit(name: str, given: str | None = None) -> str:
    """The readable name of a metric, or what is given for it, and its percent sign."""
    text = given or readable(name)
    return text + (", %" if is_share(name) and "%" not in text else "")


def readable(name: str) -> str:
    """`val/mean_iou` -> "mean IoU", for labels."""
    words = name.split("/")[-1].split("_")
    return " ".join({"iou": "IoU", "rmse": "RMSE", "ssim": "SSIM", "psnr": "PSNR"}.get(word, word) for word in words)


def signed(value: float, digits: int = 1, unit: str = "") -> str:
    """+1.2 or −1.2, with a true minus; a rounded zero has no sign."""
    text = f"{abs(value):.{digits}f}"
    sign = "" if float(text) == 0 else "+" if value > 0 else "\u2212"
    return f"{sign}{text}{unit}"
