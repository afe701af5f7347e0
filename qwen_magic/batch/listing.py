"""Display an evaluation: a table with a bar for each column, and lines about single cases."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from qwen_magic.batch.rows import total_cost
from qwen_magic.document.words import counted, duration, plural, shorten
from qwen_magic.frontends.display import listing_html, listing_text
from qwen_magic.frontends.plain import printable

if TYPE_CHECKING:
    from qwen_magic.batch.evaluate import Case, Column, Evaluation

_MOST: Final = 10  # cases that are listed
_WIDTH: Final = 60  # characters of a prompt, and of an answer
_BAR: Final = 120  # pixels
_BLOCKS: Final = 20  # characters
# To the lower end of the interval, to the rate, to the upper end.
_COLOURS: Final = ("#3f74d1", "#7fa3e3", "#c5d5f2")


def evaluation_text(evaluation: Evaluation) -> str:
    """For a terminal."""
    header, rows = _table(evaluation)
    bars = (_bar_text(column.rate) for column in evaluation.columns.values())
    drawn = [[row[0], bar, *row[2:]] for row, bar in zip(rows, bars, strict=True)]
    return printable("\n".join([listing_text(header, drawn), *_notes(evaluation)]))


def evaluation_html(evaluation: Evaluation) -> str:
    """For a notebook: without scripts, and escaped, whatever models and cases say."""
    header, rows = _table(evaluation)
    bars = [_bar_html(column) for column in evaluation.columns.values()]
    return listing_html(header, rows, *_notes(evaluation), drawn={1: bars})


def _table(evaluation: Evaluation) -> tuple[list[str], list[list[str]]]:
    columns = list(evaluation.columns.values())
    shown: dict[str, list[str]] = {
        "": [column.label for column in columns],
        "passed": ["" for _ in columns],  # the bar
        "rate": [_percent(column.rate) for column in columns],
        "cases": [f"{column.passed:,} of {column.scored:,}" for column in columns],
        "95 %": [_span(column.interval) if column.scored else "–" for column in columns],
    }
    if any(case.score not in (None, 0.0, 1.0) for case in evaluation.cases):
        shown["score"] = [f"{column.score:.2f}" if column.scored else "–" for column in columns]
    if any(column.errors for column in columns):
        shown["errors"] = [f"{column.errors:,}" for column in columns]
    shown["tokens"] = [f"{column.tokens:,}" for column in columns]
    if any(column.cost for column in columns):
        shown["cost"] = [str(column.cost or "–") for column in columns]
    shown["an answer"] = [duration(column.seconds) or "0 s" for column in columns]
    if evaluation.last_at:
        shown["changed"] = [_changes(column.cases) for column in columns]
    return list(shown), [list(row) for row in zip(*shown.values(), strict=True)]


def _notes(evaluation: Evaluation) -> Iterator[str]:
    """Lines below the table."""
    judged = sum(result.usage.total_tokens for result in evaluation.judged)
    if judged:
        cost = total_cost(result.cost for result in evaluation.judged)
        yield f"Judged with {counted(judged, 'token')}" + (f", {cost}." if cost else ".")
    left = sum(case.score is None and not case.error for case in evaluation.cases)
    if left:
        yield f"{counted(left, 'answer')} did not come."
    changed = evaluation.changed
    if evaluation.last_at:
        at = time.strftime("%Y-%m-%d %H:%M", time.localtime(evaluation.last_at))
        more = f", {new:,} {plural(new, 'is', 'are')} new" if (new := len(evaluation.new)) else ""
        yield f"{counted(len(changed), 'case')} changed since {at}{more}{':' if changed else '.'}"
    now = {True: "right", False: "wrong"}
    listed = [f"now {now[bool(case.passed)]}, {_line(case)}" for case in changed]
    errors = [case for case in evaluation.cases if case.error]
    listed += [f"error, {_line(case)} ({shorten(case.error, 120)})" for case in errors]
    yield from listed[:_MOST]
    if len(listed) > _MOST:
        yield f"… and {len(listed) - _MOST:,} more."
    if evaluation.note:
        yield f"It was not kept: {evaluation.note}"


def _percent(share: float) -> str:
    return "–" if math.isnan(share) else f"{100 * share:.0f} %"


def _span(interval: tuple[float, float]) -> str:
    low, high = interval
    return f"{100 * low:.0f}–{100 * high:.0f} %"


def _changes(cases: Sequence[Case]) -> str:
    """ "+2 −1": how many cases pass now that failed before, and the reverse."""
    changed = Counter(case.passed for case in cases if case.changed)
    told = [f"+{changed[True]}" * bool(changed[True]), f"−{changed[False]}" * bool(changed[False])]
    return " ".join(filter(None, told)) or "–"


def _line(case: Case) -> str:
    said = f" → {shorten(case.answer.text, _WIDTH)}" if case.answer else ""
    return f"{case.column}: {shorten(str(case.row.prompt), _WIDTH)}{said}"


def _bar_text(rate: float) -> str:
    full = 0 if math.isnan(rate) else round(rate * _BLOCKS)
    return "█" * full + "░" * (_BLOCKS - full)


def _bar_html(column: Column) -> str:
    """A bar as padding, since sanitizers remove widths."""
    if not column.scored:
        return ""
    (low, high), rate = column.interval, column.rate
    ends = [round(_BAR * end) for end in (low, rate, high)]
    return "".join(
        f'<span style="background-color:{colour};padding:0 {end - start}px 0 0"></span>'
        for colour, start, end in zip(_COLOURS, [0, *ends], ends, strict=False)
        if end > start
    )
