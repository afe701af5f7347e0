"""Blocks that are still arriving: a renderer for each kind, by the cheapest step it allows; here,
which one an open block is handed to, and that of a table, row by row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from qwen_magic.document.markdown.maths import Display
from qwen_magic.document.markdown.parser import ParsedBlock, Token, as_meant, row_cells
from qwen_magic.document.markdown.render import block_htmls, cell_open
from qwen_magic.document.markdown.rules.containers import (
    BlockQuoteRenderer,
    FootnoteRenderer,
    ListRenderer,
)
from qwen_magic.document.markdown.rules.fence import (
    LONGEST_LINE_SHOWN,
    FenceRenderer,
    IndentedCodeRenderer,
    MathsRenderer,
)
from qwen_magic.document.markdown.rules.paragraph import HeadingRenderer, ParagraphRenderer
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    interrupts,
    is_blank,
    settled_html,
    text_to_html,
)
from qwen_magic.document.markdown.unfinished import presentable

LARGE = 160  # characters from which a paragraph or heading is worth a renderer
SMALL = 8  # the same for a container
GROWTH = 0.12  # by which a row that is large has to grow to be rendered again
DEEPEST = 24  # containers in containers; below, blocks are rendered whole
MOST_OPENED = 16  # levels that begin in one line; where more do, the block is rendered whole
_ROW: Final = re.compile(r" {0,3}\|")
_HEAD: Final = {"fence": 1, "table_open": 2}  # lines that a renderer has from the block's tokens


def start_block(
    block: ParsedBlock,
    lines: Sequence[str],
    partial: str,
    context: Context,
    tight: bool,
    depth: int,
) -> BlockRenderer | None:
    """A renderer that has taken the whole `lines` of the open block, None for none.

    `partial` is the line that has begun behind them; `tight`: a paragraph has no element.
    """
    renderer = _renderer(block, [*lines, partial], len(lines), context, tight, depth)
    if renderer is not None:
        for line in lines[_HEAD.get(block.kind, 0) :]:
            if renderer.line(line):
                return None  # it ended, behind what is shown of the line that has begun
    return renderer


def _renderer(
    block: ParsedBlock, lines: Sequence[str], whole: int, context: Context, tight: bool, depth: int
) -> BlockRenderer | None:
    """Blocks that go by lines have one when their head is whole, the others when they are large."""
    size = sum(map(len, lines))
    match block.kind:
        case "fence" if whole:
            return FenceRenderer(context, block.tokens[0], lines[0])
        case "table_open" if whole >= _HEAD["table_open"]:
            return TableRenderer(context, block.tokens)
        case "maths_block" if whole and (display := Display.opened_by(lines[0])):
            return MathsRenderer(context, display, lines[0])
        case "code_block" if whole:
            return IndentedCodeRenderer(context)
        case "paragraph_open" if size >= LARGE:
            return ParagraphRenderer(context, bare=tight)
        case "heading_open" if not whole and size >= LARGE:
            return HeadingRenderer(context, block.tokens[0])
        case _ if depth >= DEEPEST or _opened(block.tokens) > MOST_OPENED:
            return None
        case _ if size < SMALL:
            return None
        case "bullet_list_open" | "ordered_list_open":
            return ListRenderer.of(context, lines[0], is_tight(block.tokens), depth)
        case "blockquote_open":
            return BlockQuoteRenderer(context, depth)
        case "footnote_open" if block.tokens[0].info.isalnum():
            return FootnoteRenderer(context, depth)
        case _:
            return None


def _opened(tokens: Sequence[Token]) -> int:
    """How many levels begin with the first of these tokens."""
    return next((n for n, token in enumerate(tokens) if token.nesting != 1), 0)


def is_tight(tokens: Sequence[Token]) -> bool:
    """Tell whether a list's paragraphs have no elements of their own, as far as it goes."""
    level = tokens[0].level + 2
    return all(t.hidden for t in tokens if t.type == "paragraph_open" and t.level == level)


class TableRenderer(BlockRenderer):
    """An open table whose head is complete."""

    def __init__(self, context: Context, tokens: Sequence[Token]) -> None:
        heads = [token for token in tokens if token.type == "th_open"]
        self._cells = [cell_open("td", str(token.attrs.get("style", ""))) for token in heads]
        self._context = context
        self._ended = False
        end = next(i for i, token in enumerate(tokens) if token.type == "thead_close")
        self._body = False
        self._shown = "", ""  # a row that has begun, and its HTML
        self._due = 0  # its length from which it is rendered again
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
        text = partial[:LONGEST_LINE_SHOWN]
        if len(text) > self._due or not text.startswith(self._shown[0]):
            row = self._row(text, begun=True)
            self._shown = text, row if self._body else f"<tbody>{row}</tbody>"
            self._due = int(len(text) * (1 + GROWTH)) if len(text) > LARGE else len(text)
        return self._shown[1]

    def close(self) -> None:
        """Leave the table."""
        self._context.writer.close(3 if self._body else 2)

    def _row(self, text: str, begun: bool = False) -> str:
        columns = row_cells(as_meant(text, len(self._cells), begun))
        if begun and columns and not text.rstrip().endswith("|"):
            columns[-1] = presentable(columns[-1])
        columns += [""] * (len(self._cells) - len(columns))
        cells = zip(self._cells, columns, strict=False)
        read = text_to_html if begun else settled_html
        env = self._context.env
        inside = "".join(f"{opening}{read(text.strip(), env)}</td>" for opening, text in cells)
        return f"<tr>{inside}</tr>"
