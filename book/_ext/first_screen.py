"""{first-screen}: what the book is, a card for each report, how its claims fared, where to go next.

What the cards say stands on the page, in the body of the directive: each is a {report-card}.
"""

import base64
import io
from dataclasses import dataclass
from html import escape

from book_state import BookState, chapter_page, link, run_page, track
from docutils import nodes
from docutils.parsers.rst import directives
from html_parts import anchor, in_a_sentence, metric_anchor, raw
from PIL import Image
from reference_pictures import median_tiles, tile_columns
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective
from verdict_list import verdict_bar

from htcv_lib.runs.execute import slots
from htcv_lib.runs.plan import UNITLESS, Family
from htcv_lib.runs.records import Record

SKETCHES = "_static/sketches"  # <family>.svg, shown until there is a picture of our own


@dataclass(frozen=True)
class Card:
    """One chapter: a project, or a part of one, that the reports describe. On the page, its fields are options."""

    family: str
    title: str
    question: str  # what the report asked
    source: str
    run: str = ""  # variant whose number is shown; unset: the most important run done well
    metrics: tuple[str, ...] = ()  # the number, then what must be read with it; unset: the family's first metric
    baseline: str = ""  # variant it is set against; unset: the best one as reported
    as_reported: str = "with the report's recipe"  # what that one is
    done_well: str = "done well"  # and what the run is
    pictured: str = ""  # what those who cannot see the pictures are told first
    columns: tuple[str, ...] = ()  # of its samples; unset: what went in and what came out
    row: str = "median"  # of its samples


class FirstScreen(SphinxDirective):
    """The first screen of the book, below its title: a line, the cards in its body, and what is the same for all."""

    optional_arguments = 1
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        line = f'<p class="htcv-line">{escape(" ".join(self.arguments))}</p>' if self.arguments else ""
        cards = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, cards)
        return [raw(line, '<ul class="htcv-cards" aria-label="The reports">'), *cards.children, raw("</ul>"),
                raw(verdict_bar(self.env, state)),
                raw(self.buttons(state)),
                raw(self.imprint(state))]

    def buttons(self, state: BookState) -> str:
        chapters = (link(self.env, chapter_page(self.env, family)) for family in state.book.families)
        read = next(filter(None, chapters), "") or link(self.env, "book/results")
        again = link(self.env, "book/reproduce")
        return ('<p class="htcv-buttons">'
                f'<a class="htcv-button htcv-primary" href="{read}">Read the first chapter</a>'
                f'<a class="htcv-button" href="{again}#open-a-notebook">Open a notebook</a>'
                f'<a class="htcv-button" href="{again}#rebuild-the-book">Rebuild it'
                f"<small>{rebuild_time(state)}</small></a></p>")

    def imprint(self, state: BookState) -> str:
        latest = max((record.finished[:10] for record in state.references.values()), default="")
        measured = f" Reference runs up to {latest}." if latest else ""
        return (f'<p class="htcv-imprint">Built {state.today} from commit <code>{escape(state.commit)}</code>, '
                f"profile {escape(state.profile)}, on {escape(state.machine)}.{measured}</p>")


def several(text: str) -> tuple[str, ...]:
    """The values of an option that are separated by semicolons; a name may have a comma in it."""
    return tuple(part.strip() for part in text.split(";") if part.strip())


class ReportCard(SphinxDirective):
    """A card of the first screen: the family, the options of `Card` (several values by semicolons), and what was found.

    The finding may hold results; without a run of the family, the question stands alone.
    """

    required_arguments = 1
    has_content = True
    option_spec = {"title": directives.unchanged_required, "source": directives.unchanged_required,
                   "question": directives.unchanged_required,
                   "run": directives.unchanged, "metrics": several, "baseline": directives.unchanged,
                   "as-reported": directives.unchanged, "done-well": directives.unchanged, "columns": several,
                   "pictured": directives.unchanged, "row": directives.unchanged}

    def run(self) -> list[nodes.Node]:
        if missing := {"title", "source", "question"} - set(self.options):
            raise self.error(f"report-card {self.arguments[0]}: missing {', '.join(sorted(missing))}")
        card = Card(self.arguments[0], **{name.replace("-", "_"): value for name, value in self.options.items()})
        state, found = track(self.env), nodes.container(classes=["htcv-finding"])
        if state.family(card.family):
            self.state.nested_parse(self.content, self.content_offset, found)
        top, rest = self.card(state, card)
        return [raw(top), found, raw(rest)]

    def card(self, state: BookState, card: Card) -> tuple[str, str]:
        """What stands above the finding, and what below."""
        family = state.family(card.family)
        record = headline(state, family, card.run) if family else None
        chapter = link(self.env, chapter_page(self.env, card.family))
        title = f'<a href="{chapter}">{escape(card.title)}</a>' if chapter else escape(card.title)
        seen = picture(record, card.columns, card.row, of=card.pictured or card.title) if record else ""
        name = f"{escape(family.title)} · " if family else ""
        lines = []
        if record and family:
            lines.append(self.number(state, family, record, card))
        elif family:
            lines.append('<p class="htcv-note">The chapter is here; its reference runs are not recorded yet.</p>')
        else:
            lines.append('<p class="htcv-note">In preparation: no run yet, so no number.</p>')
        ready = "" if family else " htcv-soon"
        return (f'<li class="htcv-card{ready}"><div class="htcv-strip">{seen or sketch(state, card.family)}</div>'
                f'<p class="htcv-source">{name}Report: {escape(card.source)}</p>'
                f'<p class="htcv-card-title" role="heading" aria-level="2">{title}</p>'
                f'<p class="htcv-question">{escape(card.question)}</p>',
                "".join(lines) + "</li>")

    def number(self, state: BookState, family: Family, record: Record, card: Card) -> str:
        """One metric of the run done well, beside the run as reported; and what must be read with it, if anything."""
        wanted = [name for name in card.metrics or family.metrics if name in record.metrics] or list(record.metrics)
        found = []
        for metric in wanted[: len(card.metrics) or 1]:
            values = list(state.results(family.name).values(record.variant, metric, record.profile).values())
            about = family.metrics.get(metric, {})
            unit = about.get("unit", "")
            found.append((escape(format(sum(values) / len(values), about.get("format", ".3g")))
                          + ("" if unit in UNITLESS else f"&nbsp;{escape(unit)}"),
                          escape(in_a_sentence(about.get("title", metric))),
                          *baseline_of(state, family, metric, record, card.baseline)))
        (shown, name, baseline, seeds), *others = found
        page = link(self.env, run_page(self.env, record.run), metric_anchor(wanted[0]))
        value = f'<a class="htcv-result" href="{page}">{shown}</a>' if page else shown
        track(self.env, [record])
        well, reported = (escape(words, quote=False) for words in (card.done_well, card.as_reported))
        beside = f"; {baseline} {reported}" if baseline else ""
        also = "".join(f'<p class="htcv-data">{name} {value}{f"; {base} {reported}" if base else ""}</p>'
                       for value, name, base, _ in others)
        differs = f", the other {seeds}" if seeds not in (0, len(values)) else ""
        return (f'<p class="htcv-number"><b>{value}</b> {name}, {well}{beside}</p>{also}'
                f'<p class="htcv-data">{escape(record.dataset)}, {self.profile(record)}, '
                f"n = {len(values)}{differs}</p>")

    def profile(self, record: Record) -> str:
        """Of which size the run is, with a link to what that means."""
        return anchor(f"{record.profile} profile", link(self.env, "book/reproduce", "profiles"))


def sketch(state: BookState, family: str) -> str:
    path = state.project.root / SKETCHES / f"{family}.svg"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def headline(state: BookState, family: Family, wanted: str = "") -> Record | None:
    """Seed 0 of the variant wanted; or of the most important run done well that has a reference, else of any run."""
    def rank(record: Record) -> tuple:
        entry = family.variants.get(record.variant, {})
        return (entry.get("setting") != "done_well", entry.get("priority", 5), record.seed)

    found = (record for record in state.results(family.name).references
             if record.metrics and wanted in ("", record.variant))
    return min(found, key=rank, default=None)


def baseline_of(state: BookState, family: Family, metric: str, record: Record, wanted: str = "") -> tuple[str, int]:
    """The mean of the variant wanted, else of the best by the report's recipe, on the same data and profile, and its n;
    "" and 0 if there is none."""
    better = max if family.metrics.get(metric, {}).get("better", "higher") == "higher" else min
    found = []
    for variant in family.variants:
        same = [other for other in state.results(family.name).references
                if other.variant == variant and (other.dataset, other.profile) == (record.dataset, record.profile)
                and metric in other.metrics]
        chosen = variant == wanted if wanted else family.role(variant) == "report's recipe"
        if chosen and same and variant != record.variant:
            found.append((sum(other.value(metric) for other in same) / len(same), len(same)))
    if not found:
        return "", 0
    value, n = better(found)
    return format(value, family.metrics.get(metric, {}).get("format", ".3g")), n


def picture(record: Record, columns: tuple[str, ...] = (), row: str = "median", width: int = 128, of: str = "") -> str:
    """Input and output, or the columns asked for, of a row of a run's samples; empty if it kept none."""
    shown = []
    for name, tile in zip(columns or tile_columns(record), median_tiles(record, columns, row), strict=True):
        tile = tile.resize((2 * width, round(2 * width * tile.height / tile.width)), Image.Resampling.LANCZOS)
        data = io.BytesIO()
        tile.save(data, "WEBP", quality=88)
        address = "data:image/webp;base64," + base64.b64encode(data.getvalue()).decode()
        shown.append(f'<figure><img src="{address}" alt="{escape(f"{of}: {name}" if of else name)}" width="{width}" '
                     f'height="{round(width * tile.height / tile.width)}"><figcaption>{escape(name)}</figcaption>'
                     "</figure>")
    return "".join(shown)


def rebuild_time(state: BookState) -> str:
    """Expected minutes of the quick profile on the workers of this machine, from runs.yml."""
    minutes = sum(run.minutes for run in state.book.runs("quick", 1)) / len(slots())
    return f"about {max(1, round(minutes))} min" if minutes else ""


def setup(app: Sphinx) -> dict:
    app.add_directive("first-screen", FirstScreen)
    app.add_directive("report-card", ReportCard)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
