"""{verdict-bar} and {claims}: how the reports' conclusions fared.

The words are decided in `htcv_lib.runs.claims`, from references alone; here they are only shown.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from html import escape
from math import inf, isfinite
from pathlib import Path

from book_state import BookState, link, run_page, state, track
from docutils import nodes
from html_parts import anchor, badge, calm, in_a_sentence, raw, slug
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from htcv_lib.runs.chapter import published_claims
from htcv_lib.runs.claims import (
    CONTRADICTED,
    ENOUGH,
    FAILS_IN_SIMULATION,
    IN_SIMULATION,
    NO_DIFFERENCE,
    SUPPORTED,
    WORDS,
    Judged,
    Verdict,
)
from htcv_lib.runs.plan import UNITLESS, Family
from htcv_lib.runs.records import write_json

logger = logging.getLogger(__name__)
NONE_YET = "No claim has been judged yet."
PAGE = "book/claims"
REVISED = "Its test was chosen or changed after its first results were known."
NO_TEST = "no rerun can tell"  # the word of a headline that no test decides
SO_FAR = {SUPPORTED: "so far supported", IN_SIMULATION: "so far holding in simulation",
          NO_DIFFERENCE: "so far no practical difference", CONTRADICTED: "so far contradicted",
          FAILS_IN_SIMULATION: "so far failing in simulation"}
SPOKEN = [word for known in WORDS for word in (known, SO_FAR.get(known)) if word] + [NO_TEST]  # the order of the bar
ANSWER = {"true": "true of its own files", "false": "false by its own files", "not shown": "not shown by its files"}
WIDE, HIGH, EDGE = 150, 26, 6  # of a bar, in pixels


class VerdictBar(SphinxDirective):
    """Counts over all families, over the one named, or over one of its sections, each a link that shows its own."""

    optional_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        html = verdict_bar(self.env, state, *self.arguments)
        notes = "" if self.arguments else chosen_notes(words(state))
        return [raw(html, notes)] if html else [calm(NONE_YET)]


class Claims(SphinxDirective):
    """The headlines of a family, of one section of its report, or those whose ids are its content.

    Each has one line, and on the page of claims all its tests below.

    A family without headlines has the list of its claims.
    """

    optional_arguments = 2
    final_argument_whitespace = True
    has_content = True

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        verdicts, headlines = chosen_verdicts(state, *self.arguments), chosen_headlines(state, *self.arguments)
        if self.content:
            headlines = self.named(headlines)
            verdicts = [judged.verdict for judged in headlines if judged.verdict]
        track(self.env, (record for verdict in verdicts for name in verdict.runs
                         if (record := state.reference(name, verdict.profile))))
        if not (verdicts or headlines):
            return [calm(NONE_YET)]
        here = self.env.docname == PAGE  # identifiers are unique in the book: only here
        notes = chosen_notes(words(state, *self.arguments), *self.arguments[:1]) if here else ""
        if headlines:
            return [raw(notes, headline_table(self.env, state, headlines, here))]
        items = (claim_item(self.env, state, verdict, here, "htcv-judged") for verdict in verdicts)
        return [raw(notes, '<ol class="htcv-claims">', *items, "</ol>")]

    def named(self, headlines: Iterable[Judged]) -> list[Judged]:
        """Those whose ids are the content, in its order; an id that does not exist is a warning."""
        known, wanted = {judged.headline.id: judged for judged in headlines}, " ".join(self.content).split()
        for name in sorted(set(wanted) - known.keys()):
            logger.warning("claims: no headline %r; there are %s", name, ", ".join(known),
                           location=self.get_location(), type="htcv", subtype="claims")
        return [known[name] for name in wanted if name in known]


def chosen_verdicts(state: BookState, family: str = "", section: str = "") -> list[Verdict]:
    """Those of a family, and of a section of its report as its file of claims calls it."""
    return [verdict for name, verdicts in state.verdicts.items() if family in ("", name) for verdict in verdicts
            if section in ("", verdict.claim.report["section"])]


def chosen_headlines(state: BookState, family: str = "", section: str = "") -> list[Judged]:
    """Those of a family, and of the section in which the claim that decides them stands, else their first."""
    return [judged for judged in state.headlines if family in ("", judged.headline.family)
            and section in ("", (judged.verdict or judged.details[0]).claim.report["section"])]


def words(state: BookState, family: str = "", section: str = "") -> dict[str, int]:
    """Word -> how many headlines, or claims of families without any, in the order of the bar."""
    headlines = chosen_headlines(state, family, section)
    grouped = {judged.headline.family for judged in headlines}
    found = Counter(headline_word(judged) for judged in headlines)
    found.update(spoken(verdict) for verdict in chosen_verdicts(state, family, section)
                 if verdict.claim.family not in grouped)
    return {word: found[word] for word in SPOKEN if word in found}


def verdict_bar(env: BuildEnvironment, state: BookState, family: str = "", section: str = "") -> str:
    """A bar of coloured parts and, below, the counts in words; empty if nothing has been judged.

    All of them link to the page of claims.
    """
    counts = words(state, family, section)
    if not counts:
        return ""
    page = link(env, PAGE)
    parts = "".join(f'<span class="htcv-is-{slug(word)}" style="flex-grow:{number}"></span>'
                    for word, number in counts.items())
    items = "".join(f'<li class="htcv-is-{slug(word)}">'
                    f"{anchor(f'{number} {word}', f'{page}#{note_anchor(word, family)}')}</li>"
                    for word, number in counts.items())
    total, what = sum(counts.values()), "conclusion" if chosen_headlines(state, family, section) else "claim"
    return (f'<div class="htcv-verdicts"><p class="htcv-verdicts-title">How {total} {what}{"s" * (total != 1)} fared '
            f'in our reruns</p><div class="htcv-bar" aria-hidden="true">{parts}</div><ul>{items}</ul></div>')


def chosen_notes(counts: Mapping[str, int], family: str = "") -> str:
    """One hidden line for each word, where the bar's links lead: once there, it shows and others do not (`.htcv-only`
    in book.css)."""
    return "".join(f'<p class="htcv-only htcv-is-{slug(word)}" id="{note_anchor(word, family)}">'
                   f'Showing {number}: {badge(word)} <a href="#">Show all</a></p>' for word, number in counts.items())


def headline_table(env: BuildEnvironment, state: BookState, headlines: Iterable[Judged], here: bool) -> str:
    """One row a headline: the report's conclusion, both answers, and what was measured; `here`, all tests below it."""
    titles = ("The report concludes", "In its own files", "In our reruns",
              "Measured, against the margin" if here else "Against the margin")
    head = "".join(f'<th scope="col">{text}</th>' for text in titles)
    rows = "".join((headline_rows if here else headline_line)(env, state, judged) for judged in headlines)
    look = "htcv-headlines" if here else "htcv-headlines htcv-inline"
    return f'<table class="{look}"><thead><tr>{head}</tr></thead>{rows}</table>'


def headline_line(env: BuildEnvironment, state: BookState, judged: Judged) -> str:
    """One line in a chapter, where the report draws the conclusion; it leads to the page of claims."""
    headline, verdict, word = judged.headline, judged.verdict, headline_word(judged)
    says = anchor(headline.says, f"{link(env, PAGE)}#{headline_anchor(headline.family, headline.id)}")
    family = state.family(headline.family)
    told = measured(verdict, family, recorded_runs(state, verdict)) if verdict else "No run can decide it."
    bar = (interval_bar(verdict, told) if verdict else "") or f'<span class="htcv-said">{escape(told)}</span>'
    size = size_badge(state, verdict) if verdict else ""
    return (f'<tbody class="htcv-judged htcv-is-{slug(word)}"><tr><th scope="row">{says}</th>'
            f'<td>{badge(ANSWER[headline.report["word"]])}</td><td>{badge(word)}{size}</td><td>{bar}</td></tr></tbody>')


def headline_rows(env: BuildEnvironment, state: BookState, judged: Judged) -> str:
    headline, verdict = judged.headline, judged.verdict
    word, family = headline_word(judged), state.family(headline.family)
    place = f' id="{headline_anchor(headline.family, headline.id)}"'
    see = headline.report.get("see", "")
    because = escape(headline.report["because"])
    if see:
        because += " " + anchor("Evidence", f"{link(env, 'book/errata')}#{nodes.make_id(see)}")
    files = f'{badge(ANSWER[headline.report["word"]])}<span class="htcv-said">{because}</span>'
    measured_html, size = '<span class="htcv-said">No run can decide it; its tests say why.</span>', ""
    if verdict:
        text = escape(measured(verdict, family, recorded_runs(state, verdict)))
        measured_html = f'{interval_bar(verdict)}<span class="htcv-said">{text}</span>'
        size = size_badge(state, verdict)
    items = "".join(claim_item(env, state, detail, True) for detail in judged.details)
    count = len(judged.details)
    row = (f'<tr><th scope="row"{place}>{escape(headline.says)}</th><td>{files}</td><td>{badge(word)}{size}</td>'
           f"<td>{measured_html}</td></tr>"
           f'<tr class="htcv-tests"><td colspan="4"><details><summary>{count} '
           f'test{"s" * (count != 1)}</summary><ol class="htcv-claims">{items}</ol></details></td></tr>')
    return f'<tbody class="htcv-judged htcv-is-{slug(word)}">{row}</tbody>'


def headline_word(judged: Judged) -> str:
    return spoken(judged.verdict) if judged.verdict else NO_TEST


def headline_anchor(family: str, name: str) -> str:
    return f"headline-{slug(family)}-{slug(name)}"


def size_badge(state: BookState, verdict: Verdict) -> str:
    """The size of the runs as a share of the report's compute: "laptop, 1 : 600"."""
    if not verdict.runs:
        return ""
    share = state.share_of_report(verdict)
    text = verdict.profile if share is None else f"{verdict.profile}, {share}"
    return f'<span class="htcv-size" title="compute of one training, ours to the report&#39;s">{escape(text)}</span>'


def interval_bar(verdict: Verdict, alone: str = "") -> str:
    """The values and, from five on, their interval, against the margin or the bound: a small picture, empty if there
    are no values. `alone` says it in words where no text stands beside it."""
    values, test = list(verdict.values.values()), verdict.claim.test
    if not values or verdict.claim.collapse:
        return ""
    bound = test.get("at_least", test.get("at_most"))
    marks = [bound] if bound is not None else [-test["margin"], test["margin"]]
    ends = [verdict.estimate.low, verdict.estimate.high] if len(values) >= ENOUGH else []
    inside = [number for number in (*values, *ends, *marks, 0.0 if bound is None else bound) if isfinite(number)]
    low, high = min(inside), max(inside)
    reach = (high - low) or abs(high) or 1.0

    def x(number: float) -> float:
        return round(EDGE + (number - low) / reach * (WIDE - 2 * EDGE), 1)

    zone = (f'<rect class="htcv-zone" x="{x(marks[0])}" y="0" width="{round(x(marks[-1]) - x(marks[0]), 1)}" '
            f'height="{HIGH}"/>' if bound is None else
            f'<line class="htcv-bound" x1="{x(bound)}" x2="{x(bound)}" y1="0" y2="{HIGH}"/>')
    line = (f'<line class="htcv-interval" x1="{x(ends[0])}" x2="{x(ends[1])}" y1="{HIGH / 2}" y2="{HIGH / 2}"/>'
            if ends else "")
    dots = "".join(f'<circle cx="{x(value)}" cy="{HIGH / 2}" r="2.5"/>' for value in values if isfinite(value))
    spoken_as = f'role="img"><title>{escape(alone)}</title>' if alone else 'aria-hidden="true">'
    return (f'<svg class="htcv-interval-bar" viewBox="0 0 {WIDE} {HIGH}" width="{WIDE}" height="{HIGH}" '
            f'{spoken_as}{zone}{line}{dots}</svg>')


def note_anchor(word: str, family: str = "") -> str:
    return "-".join(["only", *(slug(part) for part in (family, word) if part)])


def spoken(verdict: Verdict) -> str:
    """Its word, or while undecided what can be said so far, if anything."""
    return SO_FAR.get(verdict.so_far, verdict.word)


def claim_item(env: BuildEnvironment, state: BookState, verdict: Verdict, anchors: bool, extra: str = "") -> str:
    """One claim: what was said, what we tested, what came out, which runs say so."""
    claim = verdict.claim
    place = f' id="{claim_anchor(verdict)}"' if anchors else ""
    source = f"{claim.report['section']}, {claim.report['where']} ({claim.kind})"
    lines = [
        f'<p class="htcv-said">{escape(source)}: {escape(claim.says)}</p>',
        f'<p class="htcv-restated">{escape(claim.statement)}</p>',
        f'<p class="htcv-word">{badge(spoken(verdict))}'
        f"<span>{escape(measured(verdict, state.family(claim.family), recorded_runs(state, verdict)))}</span></p>",
        f'<p class="htcv-said">{escape(claim.note)}</p>' if claim.note else "",
        f'<p class="htcv-said">{REVISED}</p>' if claim.revised else "",
        decided_by(env, state, verdict.runs),
    ]
    classes = " ".join(filter(None, ("htcv-claim", extra, f"htcv-is-{slug(spoken(verdict))}")))
    return f'<li class="{classes}"{place}>{"".join(lines)}</li>'


def measured(verdict: Verdict, family: Family | None, recorded: int = 0) -> str:
    """"preliminary, n = 3; accuracy +0.6 points (95 % interval ...); margin 0.5 points".

    Args:
        recorded: Runs that are there, whether or not they could measure what decides.
    """
    claim, estimate = verdict.claim, verdict.estimate
    if claim.not_testable:
        return claim.not_testable
    if estimate is None or not verdict.n:
        return (f"its recorded runs ({recorded}) leave nothing to measure" if recorded
                else "its runs have not been recorded yet")
    found = [verdict.shut.rstrip(".")] if verdict.shut else []
    found.append(verdict.preliminary or f"n = {verdict.n}")
    if claim.collapse:
        hits = round(estimate.mean * verdict.n)
        likely = f" (95 % interval {estimate.low:.0%} to {estimate.high:.0%} of runs)" if verdict.n >= ENOUGH else ""
        return "; ".join([*found, f"{hits} of {verdict.n} runs{likely}; claimed: more than half"])
    test = claim.test
    difference = bool(claim.compare or claim.effect)
    about = family.metrics.get(claim.metric, {}) if family else {}
    spec, unit = about.get("format", ".3g"), about.get("unit", "")
    unit = "" if unit in UNITLESS else f" {unit}"
    title = in_a_sentence(about.get("title", claim.metric))
    if verdict.n < ENOUGH:  # too few for an interval: the values themselves
        said = [spell(value, spec, difference) for value in list(verdict.values.values())[:verdict.n]]
        found.append(f"{title} {', '.join([*(each.removesuffix(' points') for each in said[:-1]), said[-1]])}{unit}")
    else:
        floor, top = ((-1.0 if difference else 0.0), 1.0) if about.get("unit") == "fraction" else (-inf, inf)
        ends = " to ".join(spell(min(top, max(floor, end)), spec, difference) for end in (estimate.low, estimate.high))
        found.append(f"{title} {spell(estimate.mean, spec, difference)}{unit} "
                     f"({100 * estimate.level:.0f} % interval {ends})")
    for key, word in (("margin", "margin"), ("at_least", "claimed: at least"), ("at_most", "claimed: at most")):
        if key in test and not (key == "margin" and {"at_least", "at_most"} & set(test)):
            found.append(f"{word} {spell(test[key], spec, difference).lstrip('+')}{unit}")
    if verdict.p_adjusted is not None and isfinite(verdict.p_adjusted):
        found.append(f"p = {verdict.p_adjusted:.2g} after Holm")
    return "; ".join(found)


def recorded_runs(state: BookState, verdict: Verdict) -> int:
    """References of the variant a claim of one variant is about, also of those without the metric."""
    start = f"{verdict.claim.family}/{verdict.claim.test.get('variant', '')}/"
    return sum(name.startswith(start) for name in state.references)


def spell(value: float, spec: str, difference: bool) -> str:
    """A difference with its sign, shares in points; a level as the metric prints it."""
    if not difference:
        text = format(value, spec)
    else:
        text = f"{100 * value:+.{spec[1:-1] or 0}f} points" if spec.endswith("%") else format(value, f"+{spec}")
    if not any(digit in text for digit in "123456789"):  # rounded to nothing: no sign
        text = text.lstrip("+-")
    return text.replace("-", "\u2212")


def decided_by(env: BuildEnvironment, state: BookState, runs: Iterable[str]) -> str:
    """Links to the runs, one for all seeds of a variant."""
    shown = {}
    for name in runs:
        variant = "/".join(name.split("/")[:2])
        shown.setdefault(variant, anchor(variant, link(env, run_page(env, f"{variant}/s0"))))
    return f'<p class="htcv-said">Runs: {", ".join(shown.values())}</p>' if shown else ""


def claim_anchor(verdict: Verdict) -> str:
    return f"claim-{slug(verdict.claim.family)}-{slug(str(verdict.claim.id))}"


def write_claims(app: Sphinx, exception: Exception | None) -> None:
    """`claims.json` beside the pages: every test with its values, for whoever wants to check."""
    shown = state(app)
    if exception is None and app.builder.format == "html" and shown.verdicts:
        write_json(Path(app.outdir) / "claims.json", published_claims(shown.project, shown.verdicts))


def setup(app: Sphinx) -> dict:
    app.connect("build-finished", write_claims)
    app.add_directive("verdict-bar", VerdictBar)
    app.add_directive("claims", Claims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
