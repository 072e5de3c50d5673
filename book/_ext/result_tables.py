"""{results-table} family, and {status-table}: every record in plain tables.

Figures on different data, another split, or of another profile never share a group of rows.
"""

from collections.abc import Mapping
from html import escape
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from book_state import BookState, link, run_page, state, track
from docutils import nodes
from html_parts import MISSING, anchor, badge, calm, minutes, raw, table
from PIL import Image
from reference_pictures import median_tiles, tile_columns
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective
from sphinx.util.osutil import relative_uri

from htcv_lib.runs.plan import Family
from htcv_lib.runs.records import Record, read_json
from htcv_lib.runs.statistics import spell_mean

logger = logging.getLogger(__name__)
PROFILE_WORDS = {
    "full": "full size (profile full)",
    "overnight": "the report's own network, hours on a CPU (profile overnight)",
    "laptop": "reduced size (profile laptop)",
    "quick": "smallest size (profile quick)",
    "paper": "the report's own scale (profile paper)",
}


MOST = 5  # metrics in a table: its column has no room for more
TILE = 92  # pixels of a picture in a table, shown at half of it


class Place(NamedTuple):
    """What the figures of one table have in common."""

    dataset: str
    split: str
    profile: str
    kind: str  # of measurement; empty if the family has only one


def tables_of(family: Family) -> Mapping[str, list[str]]:
    """The family's `tables` in runs.yml: kind -> metrics, the first of which decides what belongs there."""
    return family.table.get("tables") or {"": list(family.metrics)}


class ResultsTable(SphinxDirective):
    """All references of a family in one table, a group of rows for what may be compared; other kinds of measurement
    and what this build executed itself fold below it."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        name = self.arguments[0].strip()
        state = track(self.env)
        family = state.family(name)
        if not family:
            logger.warning("results-table: no family %r in runs.yml", name, location=self.get_location(),
                           type="htcv", subtype="results")
            return []
        results = state.results(name)
        references = comparable(family, [*results.references, *results.of_profile("overnight")])
        own = comparable(family, [record for record in state.built.values() if record.family == name])
        track(self.env, [*references, *own])
        if not references:
            found = [calm("No reference of this family has been committed yet; the table fills up as runs are "
                          "recorded.")]
        else:
            kinds: dict[str, dict[Place, list[Record]]] = {}
            for place, records in by_data(family, references).items():
                kinds.setdefault(place.kind, {})[place] = records
            (_, first), *others = kinds.items()
            found = [raw(self.table(state, family, first))]
            found += [raw(fold(f"Also measured: {kind}", self.table(state, family, groups))) for kind, groups in others]
        if own:
            found.append(raw(fold("What this build executed itself; shows that it runs, decides nothing",
                                  self.table(state, family, by_data(family, own)))))
        reported = {variant: entry["report_value"] for variant, entry in family.variants.items()
                    if entry.get("report_value") is not None}
        if reported:
            found.append(raw(report_values(family, reported)))
        return found

    def table(self, state: BookState, family: Family, groups: Mapping[Place, list[Record]]) -> str:
        """One head, then for each place its name and a row a variant; `_static/tables.js` sorts within a group."""
        metrics = shown_metrics(family, groups)
        head = "".join(f'<th scope="col"{number}>{escape(text)}</th>' for text, number in
                       [("Picture", ""), ("Run", ""), ("Role", ""), ("n", ' class="num"'),
                        *((family.heading(metric), ' class="num"') for metric in metrics)])
        bodies = []
        for place, records in groups.items():
            mine = {variant: found for variant in family.variants
                    if (found := [record for record in records if record.variant == variant])}
            best = {metric: leader(family, metric, mine) for metric in metrics}
            rows = "".join(self.row(state, family, variant, found, best) for variant, found in mine.items())
            bodies.append(f'<tbody><tr class="htcv-group"><th colspan="{4 + len(metrics)}" scope="rowgroup">'
                          f"{escape(spell_place(place))}</th></tr>{rows}</tbody>")
        label = escape(f"Results: {family.title}")
        return (f'<div class="htcv-scroll htcv-wide" role="region" tabindex="0" aria-label="{label}">'
                f'<table class="table htcv-table htcv-sortable"><thead><tr>{head}</tr></thead>{"".join(bodies)}</table>'
                "</div>")

    def row(self, state: BookState, family: Family, variant: str, records: list[Record],
            best: Mapping[str, str]) -> str:
        title = family.variants[variant].get("title", variant)
        stale = any(state.changes.get(record.run) for record in records)
        mark = " <abbr class='htcv-stale' title='The run has changed since; see Status'>†</abbr>" if stale else ""
        target = self.env.app.builder.get_target_uri(self.env.docname)
        picture = (f'<img src="{relative_uri(target, thumbnail(records[0]))}" loading="lazy" width="96" height="46" '
                   f'alt="{escape(" and ".join(tile_columns(records[0])))} of {escape(title)}">'
                   if (records[0].folder / "samples.json").is_file() else "")
        cells = [f"<td>{picture}</td>",
                 f'<th scope="row">{anchor(title, link(self.env, run_page(self.env, records[0].run)))}{mark}</th>',
                 f"<td>{escape(family.role(variant))}</td>", f'<td class="num">{len(records)}</td>']
        for metric, leading in best.items():
            text, value = cell(records, metric, family), mean_of(records, metric)
            shown = f"<strong>{text}</strong>" if variant == leading else text
            cells.append(f'<td class="num" data-value="{"" if value is None else value}">{shown}</td>')
        return f'<tr>{"".join(cells)}</tr>'


def fold(title: str, html: str) -> str:
    return f'<details class="htcv-fold"><summary>{escape(title)}</summary>{html}</details>'


def mean_of(records: list[Record], metric: str) -> float | None:
    values = [record.value(metric) for record in records if metric in record.metrics]
    return fmean(values) if values else None


def leader(family: Family, metric: str, rows: Mapping[str, list[Record]]) -> str:
    """The variant with the best mean that is no baseline, if there are several to compare."""
    means = {variant: value for variant, records in rows.items() if family.role(variant) != "baseline"
             and (value := mean_of(records, metric)) is not None}
    best = min if family.metrics.get(metric, {}).get("better") == "lower" else max
    return best(means, key=means.__getitem__) if len(means) > 1 else ""


def thumbnail(record: Record) -> str:
    """Where the small picture of a record lies in the built book."""
    return f"_images/thumbs/{record.profile}-{record.family}-{record.variant}-{record.seed}.webp"


def write_thumbnails(app: Sphinx, exception: Exception | None) -> None:
    if exception is not None or app.builder.format != "html":
        return
    shown = state(app)
    records = [record for family in shown.book.families for record in shown.results(family).all_references]
    for record in [*records, *shown.built.values()]:
        path, source = Path(app.outdir, thumbnail(record)), record.folder / "samples.webp"
        if source.is_file() and not (path.is_file() and path.stat().st_mtime >= source.stat().st_mtime):
            path.parent.mkdir(parents=True, exist_ok=True)
            tiles = [tile.resize((TILE, TILE), Image.Resampling.LANCZOS) for tile in median_tiles(record)]
            sheet = Image.new("RGBA", (len(tiles) * (TILE + 4) - 4, TILE))
            for place, tile in enumerate(tiles):
                sheet.paste(tile, (place * (TILE + 4), 0))
            sheet.save(path, "WEBP", quality=80)


class StatusTable(SphinxDirective):
    """Every run of runs.yml: its reference, whether that is still current, who computed it."""

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        found: list[nodes.Node] = [raw(verified(state))]
        for family in state.book.families.values():
            names = sorted({f"{family.name}/{variant}/s0" for variant in family.variants}
                           | {name for name in state.references if name.startswith(f"{family.name}/")}
                           | {name for name in state.built if name.startswith(f"{family.name}/")},
                           key=lambda name: order_of(family, name))
            rows = [self.row(state, family, name) for name in names]
            head = ["Run", "Reference", "This build", "Profile", "Took", "Finished", "Device", "Commit", "torch"]
            found.append(raw(table(family.title, head, rows, [4], label=f"Status of {family.title}", wide=True)))
        return found if state.book.families else [calm("runs.yml holds no family yet.")]

    def row(self, state: BookState, family: Family, name: str) -> list[str]:
        reference, own = state.references.get(name), state.built.get(name)
        track(self.env, [record for record in (reference, own) if record])
        changes = state.changes.get(name, [])
        word = "missing" if not reference else "stale" if changes else "fresh"
        why = f"<br><small>{escape('; '.join(changes))}</small>" if changes else ""
        record = reference or own
        planned = {run.run.name: run for run in state.report.states} if state.report else {}
        here = (badge("fresh", f"{own.profile}, {minutes(own.wall_s)}") if own else
                badge("missing", "failed") if name in {o.label for o in (state.report.failures if state.report else [])}
                else "reference shown" if name in planned else "not in this profile")
        known = ([record.profile, minutes(record.wall_s), record.finished[:10].replace("-", "\u2011"), record.device,
                  str(record.data.get("commit") or MISSING), record.data.get("versions", {}).get("torch", MISSING)]
                 if record else [MISSING] * 6)
        return [anchor(name.partition("/")[2], link(self.env, run_page(self.env, name))), badge(word) + why, here,
                *(escape(text) for text in known)]


def verified(state: BookState) -> str:
    """What `htcv verify` found, in a sentence, and a table of what did not repeat; empty if it never ran."""
    path = state.project.references / "verified.json"
    entries = read_json(path) if path.is_file() else []
    if not entries:
        return ""
    off = [entry for entry in entries if entry["error"] or entry["different"]]
    exact = sum(not (entry["error"] or entry["different"] or entry["close"]) for entry in entries)
    close = len(entries) - len(off) - exact
    within = f", {close} within a tolerance" if close else ""
    text = (f"<p>{exact} of {len(entries)} references that were trained again repeated to the digit{within}. "
            f"The last was tried on {max(entry['date'] for entry in entries)}.</p>")
    rows = [[escape(entry["run"]), escape(entry["error"] or ", ".join(
        f"{name} {was:.5g}, now {now:.5g}" for name, (was, now) in entry["different"].items()))] for entry in off]
    return text + (table("References that did not repeat", ["Run", "What differs"], rows) if rows else "")


def comparable(family: Family, records: list[Record]) -> list[Record]:
    """Records that hold the first metric of a table: a run that only draws pictures has no row."""
    firsts = {metrics[0] for metrics in tables_of(family).values() if metrics}
    return [record for record in records if record.metrics and (not firsts or firsts & set(record.metrics))]


def by_data(family: Family, records: list[Record]) -> Mapping[Place, list[Record]]:
    """Data set, split, profile, kind of measurement -> records: what may stand in one table."""
    groups: dict[Place, list[Record]] = {}
    taken: set[str] = set()  # first metrics of the tables before
    for kind, metrics in tables_of(family).items():
        for record in records:
            if (not metrics or metrics[0] in record.metrics) and not taken & set(record.metrics):
                split = next((metric.split for metric in record.metrics.values()), "")
                place = Place(record.dataset or "no data set", split, record.profile, kind)
                groups.setdefault(place, []).append(record)
        taken |= set(metrics[:1])
    return groups


def spell_place(where: Place) -> str:
    """"oxford_pets_630, test split, reduced size, CPU"."""
    split = f", {where.split} split" if where.split else ""
    kind = f"{where.kind}, " if where.kind else ""
    return f"{kind}{where.dataset}{split}, {PROFILE_WORDS.get(where.profile, where.profile)}"


def shown_metrics(family: Family, groups: Mapping[Place, list[Record]]) -> list[str]:
    """The metrics that fit a page: of this kind, those that `runs.yml` lists under `shown`, else the first."""
    present = {name for records in groups.values() for record in records for name in record.metrics}
    kinds = tables_of(family)
    of_kind = list(dict.fromkeys(name for place in groups for name in kinds[place.kind] if name in present))
    chosen = [name for name in family.table.get("shown", ()) if name in of_kind]
    return (chosen or of_kind or sorted(present))[:MOST]


def cell(records: list[Record], metric: str, family: Family) -> str:
    values = [record.value(metric) for record in records if metric in record.metrics]
    if not values:
        return MISSING
    about = family.metrics.get(metric, {})
    return escape(spell_mean(values, about))


def report_values(family: Family, reported: Mapping) -> str:
    """The report's own figures, apart: other data, so not comparable."""
    names = list(dict.fromkeys(name for value in reported.values() if isinstance(value, Mapping) for name in value))
    rows = []
    for variant, value in reported.items():
        values = value if isinstance(value, Mapping) else {names[0] if names else "value": value}
        rows.append([escape(family.variants[variant].get("title", variant)),
                     *(escape(str(values.get(name, MISSING))) for name in names or ["value"])])
    head = ["Run", *(family.heading(name) for name in names or ["value"])]
    return table("The report's own figures, one run each (not comparable: other data, other size)", head, rows,
                 range(1, len(head)))


def order_of(family: Family, name: str) -> tuple[int, int]:
    _, variant, seed = name.split("/")
    order = list(family.variants)
    return (order.index(variant) if variant in order else len(order), int(seed[1:]))


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_thumbnails)
    app.add_directive("results-table", ResultsTable)
    app.add_directive("status-table", StatusTable)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
