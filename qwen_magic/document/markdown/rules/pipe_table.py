"""A table, row by row."""

from __future__ import annotations

import re
from collections.abc import Sequence

from qwen_magic.document.markdown.parser import Token, as_meant, row_cells
from qwen_magic.document.markdown.render import block_htmls, cell_open
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    interrupts,
    is_blank,
    text_to_html,
)
from qwen_magic.document.markdown.unfinished import presentable

_ROW = re.compile(r" {0,3}\|")
LONGEST_LINE_SHOWN = 2000


class TableRenderer(BlockRenderer):
    """An open table whose head is complete."""

    def __init__(self, context: Context, tokens: Sequence[Token]) -> None:
        heads = [token for token in tokens if token.type == "th_open"]
        self._cells = [cell_open("td", str(token.attrs.get("style", ""))) for token in heads]
        self._context = context
        self._ended = False
        end = next(i for i, token in enumerate(tokens) if token.type == "thead_close")
        self._body = False
        context.writer.open(block_htmls(tokens[: end + 1])[0], "</div>", "</table>")

    def line(self, text: str) -> str:
        """Take the next row."""
        if self._ended or is_blank(text):
            self._ended = True
            return "" if is_blank(text) else text
        if not _ROW.match(text) and interrupts(text):
            return text
        if not self._body:
            self._body = True
            self._context.writer.open("<tbody>", "</tbody>")
        self._context.writer.settle(self._row(text))
        return ""

    def show(self, partial: str) -> str | None:
        """Return the HTML of a row that has begun."""
        if is_blank(partial):
            return ""
        if self._ended or (not _ROW.match(partial) and interrupts(partial)):
            return None
        if partial.strip() == "|":
            return ""
        row = self._row(partial[:LONGEST_LINE_SHOWN], begun=True)
        return row if self._body else f"<tbody>{row}</tbody>"

    def close(self) -> None:
        """Leave the table."""
        self._context.writer.close(3 if self._body else 2)

    def _row(self, text: str, begun: bool = False) -> str:
        columns = row_cells(as_meant(text, len(self._cells), begun))
        if begun and columns and not text.rstrip().endswith("|"):
            columns[-1] = presentable(columns[-1])
        columns += [""] * (len(self._cells) - len(columns))
        cells = zip(self._cells, columns, strict=False)
        inside = "".join(f"{opening}{self._cell(column)}</td>" for opening, column in cells)
        return f"<tr>{inside}</tr>"

    def _cell(self, text: str) -> str:
        text = text.strip()
        return text_to_html(text, self._context.env)
