"""The history of a conversation: static HTML for a notebook, text elsewhere.

The path to the head is flat and numbered, as `Chain.find` counts. A branch hangs below the turn
that it leaves from, named by the beginning of its response id.

The HTML needs nothing and trusts nothing: all that came from a prompt or a server is escaped.
Where a notebook is not trusted its style sheet is dropped; what is left is one line per turn,
indented by inline padding, its parts separated by dots.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Final

from qwen_magic.conversation.chain import TurnSummary
from qwen_magic.conversation.outline import Line, LineKind, Outline
from qwen_magic.document.words import NO_BREAK, counted, shorten
from qwen_magic.frontends.plain import printable

DEEPEST: Final = 6  # levels that are drawn
PREVIEW: Final = 140  # characters of a prompt; how many of them are seen is the view's affair

NO_REF: Final = "–"
_HEAD: Final = "the next question continues here"

_STATUS: Final = {"stopped": "stopped", "failed": "failed", "incomplete": "cut off"}
_SHEET: Final = Path(__file__).with_name("history.css")
_SEP: Final = '<span class="qm-sep"> · </span>'
_BRANCH: Final = '<div class="qm-branch" style="padding: 0 0 0 24px">'
_ACCENTED: Final = (_HEAD, "current")
_ENDED_BADLY: Final = ("failed",)
_TEXT_PREVIEW: Final = 60  # characters of a prompt as text
_EMPTY: Final = "No turns yet."


@dataclass(frozen=True, slots=True)
class Row:
    """One line. `depth` is 0 on the path to the head; a `follower` goes on from the row above it,
    a `branch` leaves from the turn that it hangs below; a `gap` stands for rows left out."""

    kind: LineKind
    depth: int
    ref: str
    prompt: str
    facts: tuple[str, ...] = ()
    is_head: bool = False
    is_bad: bool = False


@dataclass(frozen=True, slots=True)
class History:
    name: str
    summary: str
    rows: tuple[Row, ...]
    more: str = ""  # what was left out, in words


def history_of(outline: Outline, *, now: float) -> History:
    """`now` is in seconds since 1970."""
    last = str(outline.on_path)
    rows = tuple(
        _row(line, line.kind == "path" and line.ref == last, now) for line in outline.lines
    )
    hidden = outline.turns - sum(line.turn is not None for line in outline.lines)
    more = f"{counted(hidden, 'turn')} not shown." if hidden else ""
    return History(outline.name, _summary(outline), rows, more)


def age_words(seconds: float) -> str:
    """ "just now", "5 min ago", "2 h ago", "3 d ago"."""
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{int(seconds // size):,}{NO_BREAK}{unit}{NO_BREAK}ago"
    return f"just{NO_BREAK}now"


def _summary(outline: Outline) -> str:
    beside = outline.turns - outline.on_path
    turns = counted(outline.on_path, "turn")
    facts = [f"{turns}, {beside:,} on other branches" if beside else turns]
    if outline.tokens:
        facts.append(counted(outline.tokens, "token"))
    return " · ".join(facts)


def _row(line: Line, is_head: bool, now: float) -> Row:
    depth = min(line.depth, DEEPEST)
    turn = line.turn
    if turn is None:
        words = f"{line.hidden:,} turns between" if line.hidden else "more on this branch"
        return Row("gap", depth, "", words)
    facts = _facts(line, turn, now)
    if is_head:
        facts = (_HEAD, *facts)
    elif line.is_current:
        facts = ("current", *facts)
    is_bad = turn.status == "failed"
    prompt = shorten(turn.prompt, PREVIEW) or "(no text)"
    return Row(line.kind, depth, line.ref or NO_REF, prompt, facts, is_head, is_bad)


def _facts(line: Line, turn: TurnSummary, now: float) -> tuple[str, ...]:
    sibling = f"{line.place}/{line.made}" if line.made > 1 else ""
    facts = [sibling, _STATUS.get(turn.status, ""), turn.model]
    if turn.tokens:
        facts.append(counted(turn.tokens, "token"))
    if turn.created_at:
        facts.append(age_words(now - turn.created_at))
    return tuple(fact for fact in facts if fact)


def history_html(outline: Outline, *, now: float) -> str:
    """The tree with its style, for a `text/html` output. Arguments as of `history_of`."""
    history = history_of(outline, now=now)
    name = escape(history.name)
    head = (
        f'<div class="qm-history-head"><b class="qm-history-name" dir="auto">{name}</b>{_SEP}'
        f'<small class="qm-meta">{escape(history.summary)}</small></div>'
    )
    body = "".join(_tree(history.rows)) or _gap(_EMPTY)
    more = _gap(history.more) if history.more else ""
    return (
        f"<style>{_style()}</style>"
        f'<section class="qm-history" aria-label="History of {name}">{head}'
        f'<div class="qm-tree">{body}{more}</div></section>'
    )


def history_text(outline: Outline, *, now: float) -> str:
    """The same as lines of text, safe to print to a terminal."""
    history = history_of(outline, now=now)
    lines = [f"{history.name} · {history.summary}"]
    lines += [_line(row) for row in history.rows] or [_EMPTY]
    if history.more:
        lines.append(f"… {history.more}")
    return printable("\n".join(lines)).replace(NO_BREAK, " ")


@lru_cache(maxsize=1)
def _style() -> str:
    return " ".join(_SHEET.read_text("utf-8").split())


def _tree(rows: Sequence[Row]) -> list[str]:
    """Nodes with the branches opened and closed around them."""
    parts: list[str] = []
    depth = 0
    for row in rows:
        # Each branch has a rail of its own, so that two that leave from one turn stay apart.
        keep = row.depth - 1 if row.kind == "branch" else row.depth
        parts.append("</div>" * max(0, depth - keep))
        depth = min(depth, keep)
        parts.append(_BRANCH * (row.depth - depth))
        depth = row.depth
        parts.append(_gap(row.prompt) if row.kind == "gap" else _node(row))
    parts.append("</div>" * depth)
    return parts


def _gap(text: str) -> str:
    return f'<div class="qm-gap">… {escape(text)}</div>'


def _node(row: Row) -> str:
    classes = "qm-node" + " qm-is-head" * row.is_head + " qm-is-bad" * row.is_bad
    prompt = escape(row.prompt)
    asked = (
        f'<b class="qm-ask" dir="auto">{prompt}</b>'
        if row.is_head
        else (f'<span class="qm-ask" dir="auto">{prompt}</span>')
    )
    facts = " · ".join(map(_fact, row.facts))
    return (
        f'<div class="{classes}"><span class="qm-ref">{escape(row.ref)}</span> '
        f'{asked}{_SEP}<small class="qm-meta">{facts}</small></div>'
    )


def _fact(fact: str) -> str:
    if fact in _ACCENTED:
        return f'<span class="qm-tag">{fact}</span>'
    if fact in _ENDED_BADLY:
        return f'<span class="qm-status">{fact}</span>'
    return escape(fact)


def _line(row: Row) -> str:
    if row.kind == "gap":
        return f"{_indent(row)}… {row.prompt}"
    lead = {"branch": "└ ", "follower": "  "}.get(row.kind, "")
    facts = " · ".join(row.facts)
    asked = " ".join(shorten(row.prompt, _TEXT_PREVIEW).splitlines())
    place = f"{row.ref:>4}  " if row.kind == "path" else f"{_indent(row)}{lead}{row.ref}  "
    return f"{place}{asked}  ({facts})" if facts else f"{place}{asked}"


def _indent(row: Row) -> str:
    return " " * (6 + 3 * (row.depth - 1)) if row.depth else " " * 6
