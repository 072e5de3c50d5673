"""Figures of a reference page that are drawn from the tables its record keeps."""

from ast import literal_eval
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from htcv_lib.decomposer.figures import draw_sequence_network, leakage_heatmap
from htcv_lib.figures.curves import lr_range_figure
from htcv_lib.figures.networks import draw_architecture
from htcv_lib.runs.publish import origin
from htcv_lib.runs.records import Record
from htcv_lib.vae.figures import draw_vae

CSV = "{download}`CSV <files/%s/%s>`"


class Drawn(NamedTuple):
    """A figure to draw, and what its page says of it; one without a heading belongs to the section before."""

    name: str
    draw: Callable[[], Figure]
    heading: str
    table: str  # the file it is drawn from
    text: str


def draw_tables(record: Record, folder: Path) -> None:
    """Every figure of the record's tables into `folder`, as SVG."""
    for drawn in _figures(record):
        drawn.draw().savefig(folder / f"{drawn.name}.svg", metadata={"Date": None, "Creator": None})


def table_sections(record: Record, stem: str, anchor: str) -> list[str]:
    """Their sections of the page `stem`, and the datasheet's table, as Markdown lines."""
    lines = []
    for name, _, heading, table, text in _figures(record):
        lines += [f"## {heading}", ""] if heading else []
        lines += [f"```{{figure}} files/{stem}/{name}.svg", f":name: fig-{anchor}-{name}", f":alt: {text}", "",
                  f"{text}.{origin(f'Run {record.run}', f'htcv run {record.run}', f'files/{stem}/{table}')}", "```", ""]
    path = record.folder / "statistics.csv"
    if path.exists():
        statistics = pd.read_csv(path, dtype=str, keep_default_na=False).replace("nan", "n/a")
        lines += ["## Statistics", "", "| " + " | ".join(statistics.columns) + " |",
                  "|---|" + "--:|" * (len(statistics.columns) - 1)]
        lines += ["| " + " | ".join(row) + " |" for row in statistics.itertuples(index=False)]
        lines += ["", CSV % (stem, path.name), ""]
    return lines


def _figures(record: Record) -> Iterator[Drawn]:
    path = record.folder / "architecture.csv"
    if path.exists():
        layers = pd.read_csv(path, converters={"in_shape": literal_eval, "out_shape": literal_eval})
        layers = layers.astype({"params": int})
        networks = layers.groupby("network", sort=False) if "network" in layers else [("", layers)]
        for place, (name, each) in enumerate(networks):
            text = f"Stages of the {name.replace('_noskip', ' without skips') or 'network'}, from one pass through it"
            yield Drawn(f"network-{place}", partial(_network, record, name, each), "" if place else "Network",
                        path.name, text)
    path = record.folder / "leakage.csv"
    if path.exists():
        matrix = pd.read_csv(path).set_index("index").rename_axis(None)
        yield Drawn("leakage", partial(leakage_heatmap, {"test sequences": matrix}), "Leakage", path.name,
                    "How much of each true layer (rows) is found in each predicted one (columns)")
    path = record.folder / "range.csv"
    if path.exists():
        yield Drawn("range", partial(lr_range_figure, pd.read_csv(path)), "Range test", path.name,
                    "Training loss while the learning rate grows")


def _network(record: Record, name: str, layers: pd.DataFrame) -> Figure:
    rows = list(layers.itertuples(index=False))
    if "part" in layers:  # of a VAE; one that is told the label everywhere has no decoder of its own to trace
        encoder, decoder = ([row for row in rows if row.part == part] for part in ("encoder", "decoder"))
        image = (3, 32, 32) if record.dataset.startswith("cifar") else (1, 28, 28)
        return draw_vae(encoder, decoder, record.parameters["latent"], conditional=not decoder, image=image)
    if "encoder.patches" in set(layers["name"]):
        return draw_sequence_network(rows, cut=name.endswith("noskip"))
    return draw_architecture(rows)
