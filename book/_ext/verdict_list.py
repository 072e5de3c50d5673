"""{verdict-bar} and {claims}: how the reports' conclusions fared.

The words are decided in `htcv_lib.runs.claims`, from references alone; here they are only shown.
"""

from collections import Counter
from collections.abc import Iterable
from html import escape
from math import isfinite

from book_state import BookState, link, run_page, track
from docutils import nodes
from html_parts import anchor, badge, calm, in_a_sentence, raw, slug
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging
from sphinx.util.docutils import SphinxDirective

from htcv_lib.runs.claims import CONTRADICTED, IN_SIMULATION, NO_DIFFERENCE, SUPPORTED, WORDS, Verdict
from htcv_lib.runs.plan import UNITLESS, Family

logger = logging.getLogger(__name__)
NONE_YET = "No claim has been judged yet."
PAGE = "book/claims"
REVISED = "Its test was chosen or changed after its first results were known."
SO_FAR = {SUPPORTED: "so far supported", IN_SIMULATION: "so far holding in simulation",
          NO_DIFFERENCE: "so far no practical difference", CONTRADICTED: "so far contradicted"}
SPOKEN = [word for known in WORDS for word in (known, SO_FAR.get(known)) if word]  # the order of the bar


class VerdictBar(SphinxDirective):
    """Counts over all families, over the one named, or over one of its sections, each a link that shows its claims."""

    optional_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        html = verdict_bar(self.env, state, *self.arguments)
        notes = "" if self.arguments else chosen_notes(chosen_verdicts(state))
        return [raw(html, notes)] if html else [calm(NONE_YET)]


class Claims(SphinxDirective):
    """Every claim of a family, or of one of its sections, in the report's order."""

    optional_arguments = 2
    final_argument_whitespace = True

    def run(self) -> list[nodes.Node]:
        state = track(self.env)
        chosen = chosen_verdicts(state, *self.arguments)
        track(self.env, (record for verdict in chosen for name in verdict.runs
                         if (record := state.references.get(name))))
        if not chosen:
            return [calm(NONE_YET)]
        anchors = self.env.docname == PAGE  # identifiers are unique in the book: only here
        notes = "" if anchors else chosen_notes(chosen, *self.arguments)  # there, the bar of all families has them
        items = (claim_item(self.env, state, verdict, anchors) for verdict in chosen)
        return [raw(notes, '<ol class="htcv-claims">', *items, "</ol>")]


def chosen_verdicts(state: BookState, family: str = "", section: str = "") -> list[Verdict]:
    """Those of a family, and of a section of its report as its file of claims calls it."""
    return [verdict for name, verdicts in state.verdicts.items() if family in ("", name) for verdict in verdicts
            if section in ("", verdict.claim.report["section"])]


def verdict_bar(env: BuildEnvironment, state: BookState, family: str = "", section: str = "") -> str:
    """A bar of coloured parts and, below, the counts in words; empty if nothing has been judged.

    The bar of a family links to the list of claims on its own page, that of all families to the page of claims.
    """
    counts = count(chosen_verdicts(state, family, section))
    if not counts:
        return ""
    page = "" if family else link(env, PAGE)
    parts = "".join(f'<span class="htcv-is-{slug(word)}" style="flex-grow:{number}"></span>'
                    for word, number in counts.items())
    items = "".join(f'<li class="htcv-is-{slug(word)}">'
                    f"{anchor(f'{number} {word}', f'{page}#{note_anchor(word, family, section)}')}</li>"
                    for word, number in counts.items())
    total = sum(counts.values())
    return (f'<div class="htcv-verdicts"><p class="htcv-verdicts-title">How {total} '
            f'{"claim" if total == 1 else "claims"} fared</p><div class="htcv-bar" aria-hidden="true">{parts}</div>'
            f"<ul>{items}</ul></div>")


def count(verdicts: Iterable[Verdict]) -> dict[str, int]:
    """Word -> how many claims, in the order of the bar."""
    counts = Counter(spoken(verdict) for verdict in verdicts)
    return {word: counts[word] for word in SPOKEN if word in counts}


def chosen_notes(verdicts: Iterable[Verdict], family: str = "", section: str = "") -> str:
    """One hidden line for each word, where the bar's links lead: once there, it shows and others' claims do not
    (`.htcv-only` in book.css)."""
    return "".join(f'<p class="htcv-only htcv-is-{slug(word)}" id="{note_anchor(word, family, section)}">'
                   f'Showing {number} {"claim" if number == 1 else "claims"}: {badge(word)} '
                   '<a href="#">Show all</a></p>' for word, number in count(verdicts).items())


def note_anchor(word: str, family: str = "", section: str = "") -> str:
    return "-".join(["only", *(slug(part) for part in (family, section, word) if part)])


def spoken(verdict: Verdict) -> str:
    """Its word, or while undecided what can be said so far, if anything."""
    return SO_FAR.get(verdict.so_far, verdict.word)


def claim_item(env: BuildEnvironment, state: BookState, verdict: Verdict, anchors: bool) -> str:
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
    return f'<li class="htcv-claim htcv-is-{slug(spoken(verdict))}"{place}>{"".join(lines)}</li>'


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
    found = [verdict.preliminary or f"n = {verdict.n}"]
    if claim.collapse:
        hits = round(estimate.mean * verdict.n)
        return "; ".join([*found, f"{hits} of {verdict.n} runs (95 % interval {estimate.low:.0%} to "
                          f"{estimate.high:.0%} of runs); claimed: more than half"])
    test = claim.test
    difference = bool(claim.compare or claim.effect)
    about = family.metrics.get(claim.metric, {}) if family else {}
    spec, unit = about.get("format", ".3g"), about.get("unit", "")
    unit = "" if unit in UNITLESS else f" {unit}"
    ends = [spell(end, spec, difference) for end in (estimate.low, estimate.high) if isfinite(end)]
    interval = f" ({100 * estimate.level:.0f} % interval {' to '.join(ends)})" if len(ends) == 2 else ""
    title = in_a_sentence(about.get("title", claim.metric))
    found.append(f"{title} {spell(estimate.mean, spec, difference)}{unit}{interval}")
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
        return format(value, spec).replace("-", "\u2212")
    text = f"{100 * value:+.{spec[1:-1] or 0}f} points" if spec.endswith("%") else format(value, f"+{spec}")
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


def setup(app: Sphinx) -> dict:
    app.add_directive("verdict-bar", VerdictBar)
    app.add_directive("claims", Claims)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
