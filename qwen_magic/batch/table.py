"""A map's result as people read it: one line, then its first and last rows."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from qwen_magic.batch.result import MapResult, MapRow

_MOST: Final = 10  # rows shown
_WIDTH: Final = 60  # characters of a cell


def summary(table: MapResult) -> str:
    """ "500 rows: 475 answered (120 kept from before), 25 failed; 12,345 tokens"."""
    left = len(table) - table.answered - table.failed
    kept = f" ({table.reused:,} kept from before)" if table.reused else ""
    parts = [f"{table.answered:,} answered{kept}"]
    parts += [f"{table.failed:,} failed"] if table.failed else []
    parts += [f"{left:,} not answered"] if left else []
    tokens = table.usage.total_tokens
    told = f"; {tokens:,} tokens" if tokens else ""
    rows = "row" if len(table) == 1 else "rows"
    return f"{len(table):,} {rows}: {', '.join(parts)}{told}"


def plain(table: MapResult) -> str:
    lines = [f"{row.number:>5}  {_asked(row)} -> {_told(row)}" for row in _some(table)]
    return "\n".join([f"MapResult of {summary(table)}", *_with_gap(table, lines, "    …")])


def html(table: MapResult) -> str:
    """A table without scripts, styles or links; all of it escaped."""
    rows = [
        f"<tr><td>{row.number}</td><td>{escape(_asked(row))}</td><td>{_cell(row)}</td></tr>"
        for row in _some(table)
    ]
    body = "".join(_with_gap(table, rows, "<tr><td>…</td><td></td><td></td></tr>"))
    head = "<tr><th></th><th>prompt</th><th>answer</th></tr>"
    return (
        f"<div><p>{escape(summary(table))}</p>"
        f"<table><thead>{head}</thead><tbody>{body}</tbody></table></div>"
    )


def _some(table: MapResult) -> Sequence[MapRow]:
    if len(table) <= _MOST:
        return tuple(table)
    return (*table[: _MOST // 2], *table[-_MOST // 2 :])


def _with_gap(table: MapResult, lines: list[str], gap: str) -> list[str]:
    if len(table) <= _MOST:
        return lines
    return [*lines[: _MOST // 2], gap, *lines[_MOST // 2 :]]


def _cell(row: MapRow) -> str:
    told = escape(_told(row))
    return f"<em>{told}</em>" if row.answer is None else told


def _asked(row: MapRow) -> str:
    if isinstance(row.prompt, str):
        return _short(row.prompt)
    return _short(str(row.prompt[-1].get("content", "")))


def _told(row: MapRow) -> str:
    if row.answer is not None:
        return _short(row.answer.text)
    if row.error is not None:
        return _short(f"{type(row.error).__name__}: {row.error.message}")
    return "not answered"


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _WIDTH else line[: _WIDTH - 1] + "…"
