"""The history of a conversation: static HTML for a notebook, text elsewhere.

The HTML needs nothing and trusts nothing: all that came from a prompt or a server is escaped.
Where a notebook is not trusted its style sheet is dropped; what is left is one line per turn,
indented by inline padding, its parts separated by dots.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from html import escape
from pathlib import Path
from typing import Final

from qwen_magic.conversation.outline import Outline
from qwen_magic.document.words import NO_BREAK, shorten
from qwen_magic.frontends.history_rows import Fork, Row, history_of
from qwen_magic.frontends.plain import printable

_SHEET: Final = Path(__file__).with_name("history.css")
_SEP: Final = '<span class="qm-sep"> · </span>'
_BRANCH: Final = '<div class="qm-branch" style="padding: 0 0 0 24px">'
_ACCENTED: Final = ("head", "current")
_ENDED_BADLY: Final = ("failed",)
_TEXT_PREVIEW: Final = 60  # characters of a prompt as text
_EMPTY: Final = "No turns yet."


def history_html(
    outline: Outline, *, now: float, forks: Mapping[str, Sequence[Fork]] | None = None
) -> str:
    """The tree with its style, for a `text/html` output. Arguments as of `history_of`."""
    history = history_of(outline, now=now, forks=forks)
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


def history_text(
    outline: Outline, *, now: float, forks: Mapping[str, Sequence[Fork]] | None = None
) -> str:
    """The same as lines of text, safe to print to a terminal."""
    history = history_of(outline, now=now, forks=forks)
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
        keep = row.depth - 1 if row.kind in ("branch", "fork") else row.depth
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
    lead = {"branch": "└ ", "fork": "└ ", "follower": "  "}.get(row.kind, "")
    facts = " · ".join(row.facts)
    asked = " ".join(shorten(row.prompt, _TEXT_PREVIEW).splitlines())
    place = f"{row.ref:>4}  " if row.kind == "way" else f"{_indent(row)}{lead}{row.ref}  "
    return f"{place}{asked}  ({facts})" if facts else f"{place}{asked}"


def _indent(row: Row) -> str:
    return " " * (6 + 3 * (row.depth - 1)) if row.depth else " " * 6
