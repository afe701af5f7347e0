"""What `%qwen_trace` shows: how one turn went, for whoever learns or teaches how that is.

    How turn 2 of main went
    qwen3-max · 6.8 s · first word after 4.1 s · 23 words a second
    connection, queue   ▆▆▆▆▆▆▆▆▆▆                      4.0 s
    what was sent                 ▆                     0.1 s
    answer                         ▆▆▆▆▆▆▆▆▆            2.7 s

Below it a sentence for each kind of span, the chain of ids, and folded the events with their times
and the request to the letter. The waterfall is an SVG inside an `<img>`, so that it also stands in
a saved notebook that nobody trusts; its colours have contrast enough on white and on black.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from typing import Final

from qwen_magic.document.markdown.render import shown_html
from qwen_magic.document.words import NO_BREAK, counted, shorten
from qwen_magic.frontends.display import fold, page, pre
from qwen_magic.frontends.dry_run import DryRun
from qwen_magic.frontends.plain import printable
from qwen_magic.recording.trace import EXPLAINED, Kind, Span, Trace, kinds_of

_COLOURS: Final[dict[Kind, str]] = {
    "wait": "#8c8c8c",
    "read": "#5b8def",
    "think": "#a06fd6",
    "tool": "#c27c1f",
    "write": "#3a9d6e",
    "yours": "#d0609a",
}
_INK: Final = "#787878"  # 4.4:1 on white, 4.3:1 on black
_ROW: Final = 36  # pixels of a span's name and bar
_MOST_ROWS: Final = 60
_MOST_EVENTS: Final = 500


@dataclass(frozen=True, slots=True)
class TracePage:
    """A turn as it went. `facts`: of its line; `chain`: sentences about what came before it and
    what can follow; `requests`: those that it made, the first of them in all forms."""

    title: str
    facts: tuple[str, ...]
    trace: Trace
    chain: tuple[str, ...]
    requests: tuple[DryRun, ...]

    def line(self) -> tuple[str, ...]:
        """The facts, with those of the times."""
        trace = self.trace
        first = f"first word after {seconds(trace.first_word)}" * (trace.first_word is not None)
        speed = f"{trace.words_a_second:,.0f} words a second" * (trace.words_a_second > 0)
        return tuple(filter(None, (*self.facts, seconds(trace.end), first, speed)))


def chain_words(before: str, told: int, following: str) -> Iterator[str]:
    """What the server was told of the turns before, and what can follow, for a learner. `before`:
    the id that was continued after; `told`: how many turns went as text without one."""
    if before:
        yield (
            f"Chain: only the new question was sent, with the id {before} of the answer before it. "
            "The server keeps that, with all that came before it."
        )
    elif told:
        yield (
            f"Chain: the {counted(told, 'earlier turn')} went along as text, since the server does "
            "not have them; the model reads the same, and the request grows with each turn."
        )
    else:
        yield "Chain: nothing came before this question; the model was told it alone."
    if following:
        yield f"The answer has the id {following}, which the next question continues after."


def seconds(milliseconds: float | None) -> str:
    """ "4.1 s", "40 ms"."""
    spent = milliseconds or 0.0
    if spent < 100:
        return f"{spent:.0f}{NO_BREAK}ms"
    return f"{spent / 1000:,.1f}{NO_BREAK}s"


def trace_html(turn: TracePage) -> str:
    """The page, for a `text/html` output: escaped, and in need of nothing."""
    spans = turn.trace.spans[:_MOST_ROWS]
    picture = (
        base64.b64encode(waterfall(turn.trace).encode("utf-8", "replace")).decode() if spans else ""
    )
    image = (
        f'<img class="qm-picture" width="100%" height="{_height(turn.trace)}" '
        f'alt="{escape(printable(" · ".join(_rows(turn.trace))))}" '
        f'src="data:image/svg+xml;base64,{picture}">'
    )
    said = [
        f'<span style="color: {_COLOURS[kind]}">■</span> {shown_html(EXPLAINED[kind])}'
        for kind in kinds_of(spans)
    ]
    said += map(shown_html, turn.chain)
    told = "".join(f'<p class="qm-said" dir="auto">{words}</p>' for words in said)
    count = len(turn.trace.moments)
    events = fold(
        f"The {count:,} events, with their times", pre("\n".join(_moments(turn)), "events")
    )
    first, *others = turn.requests
    exact = [
        fold(f"The request {words}", pre(text, words)) for words, text in first.forms().items()
    ]
    exact += [
        fold(f"Request {number} of this turn", pre(dry.forms()["as JSON"], "JSON"))
        for number, dry in enumerate(others, 2)
    ]
    body = f"{image if spans else ''}{told}{events}{''.join(exact)}"
    return page(turn.title, map(shown_html, turn.line()), body)


def trace_text(turn: TracePage) -> str:
    """The same as text, safe to print to a terminal, without the events and the code."""
    sentences = (*(EXPLAINED[kind] for kind in kinds_of(turn.trace.spans)), *turn.chain)
    lines = [turn.title, " · ".join(turn.line()), *_rows(turn.trace), *sentences]
    return printable("\n".join(lines)).replace(NO_BREAK, " ")


def _rows(trace: Trace) -> Iterator[str]:
    """The spans, a line each."""
    for span in trace.spans[:_MOST_ROWS]:
        yield f"{span.about}: {seconds(span.start)} + {seconds(span.end - span.start)}"


def _moments(turn: TracePage) -> Iterator[str]:
    moments = turn.trace.moments
    for moment in moments[:_MOST_EVENTS]:
        yield f"{moment.at / 1000:8.3f}  {moment.name:<40} {shorten(moment.says, 80)}".rstrip()
    if len(moments) > _MOST_EVENTS:
        yield f"… and {len(moments) - _MOST_EVENTS:,} more"


# The waterfall ------------------------------------------------------------------------------------


def waterfall(trace: Trace) -> str:
    """An SVG: two lines for each span, its name over its bar, below an axis of seconds. It has no
    view box, and its lengths along the axis are shares: it takes any width, with letters as large
    as those beside it."""
    spans, whole = trace.spans[:_MOST_ROWS], max(trace.end, 1.0)
    height = _height(trace)

    def x(at: float) -> str:
        return f"{100 * at / whole:.2f}%"

    def line(at: float, look: str, top: int = 20) -> str:
        return f'<line x1="{x(at)}" x2="{x(at)}" y1="{top}" y2="{height}" stroke="{_INK}" {look}/>'

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="100%" height="{height}" '
        f'font-family="system-ui,sans-serif" font-size="12" fill="{_INK}">'
    ]
    for tick in _ticks(whole):
        anchor = "start" if not tick else "end" if tick > 0.95 * whole else "middle"
        parts.append(line(tick, 'stroke-opacity=".3"'))
        parts.append(f'<text x="{x(tick)}" y="14" text-anchor="{anchor}">{tick / 1000:g}</text>')
    if trace.first_word is not None:
        # Beside the bars alone: it strikes no name through.
        parts.append(line(trace.first_word, f'stroke-dasharray="18 {_ROW - 18}"', 38))
    for number, span in enumerate(spans):
        parts += _bar(span, 24 + _ROW * number, x(span.start), x(max(span.end - span.start, 0.0)))
    return "".join([*parts, "</svg>"])


def _bar(span: Span, top: int, left: str, width: str) -> Iterator[str]:
    spent = seconds(span.end - span.start)
    colour = _COLOURS[span.kind]
    yield f'<text x="0" y="{top + 13}">{escape(printable(shorten(span.about, 24)))}</text>'
    yield f'<text x="100%" y="{top + 13}" text-anchor="end">{spent}</text>'
    yield f'<rect x="{left}" y="{top + 18}" width="{width}" height="10" rx="2" fill="{colour}"/>'
    # A span that is too short to be seen has an edge.
    yield f'<rect x="{left}" y="{top + 18}" width="2" height="10" fill="{colour}"/>'


def _height(trace: Trace) -> int:
    """Of the picture, in pixels."""
    return _ROW * len(trace.spans[:_MOST_ROWS]) + 28


def _ticks(whole: float) -> Iterator[float]:
    """Round numbers of milliseconds, three to six of them."""
    step = 10.0 ** math.floor(math.log10(whole / 2))
    step *= next((each for each in (1, 2, 5) if whole / (step * each) <= 6), 10)
    for number in range(int(whole / step) + 1):
        yield number * step
