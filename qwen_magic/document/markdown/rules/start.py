"""Which renderer an open block is handed to."""

from __future__ import annotations

from collections.abc import Sequence

from qwen_magic.document.markdown.maths import opening_mark
from qwen_magic.document.markdown.parser import ParsedBlock, Token
from qwen_magic.document.markdown.rules.block_quote import BlockQuoteRenderer
from qwen_magic.document.markdown.rules.fence import (
    FenceRenderer,
    IndentedCodeRenderer,
    MathsRenderer,
)
from qwen_magic.document.markdown.rules.list_items import ListRenderer
from qwen_magic.document.markdown.rules.paragraph import ParagraphRenderer
from qwen_magic.document.markdown.rules.pipe_table import TableRenderer
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context

LARGE = 160  # characters from which a container or a paragraph is worth a renderer
SMALL = 8  # the same for a container in a container
DEEPEST = 45  # containers in containers; below, blocks are rendered whole


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
    renderer = _by_lines(block, lines, context)
    large = LARGE if depth == 0 or block.kind == "paragraph_open" else SMALL
    if renderer is None and sum(map(len, lines)) + len(partial) >= large:
        renderer = _by_size(block, [*lines, partial][0], context, tight, depth)
    if renderer is None:
        return None
    for line in lines[{"fence": 1, "table_open": 2}.get(block.kind, 0) :]:
        renderer.line(line)
    return renderer


def _by_lines(block: ParsedBlock, lines: Sequence[str], context: Context) -> BlockRenderer | None:
    """Blocks that go by lines."""
    kind = block.kind
    if kind == "fence" and lines:
        return FenceRenderer(context, block.tokens[0], lines[0])
    if kind == "table_open" and len(lines) >= 2:
        return TableRenderer(context, block.tokens)
    if kind == "maths_block" and lines and opening_mark(lines[0]):
        return MathsRenderer(context, lines[0])
    return IndentedCodeRenderer(context) if kind == "code_block" and lines else None


def _by_size(
    block: ParsedBlock, opening: str, context: Context, tight: bool, depth: int
) -> BlockRenderer | None:
    """Blocks that are worth it when they are large."""
    kind = block.kind
    if kind == "paragraph_open":
        return ParagraphRenderer(context, bare=tight)
    if depth >= DEEPEST:
        return None
    if kind in ("bullet_list_open", "ordered_list_open"):
        return ListRenderer.of(context, opening, is_tight(block.tokens), depth)
    return BlockQuoteRenderer(context, depth) if kind == "blockquote_open" else None


def is_tight(tokens: Sequence[Token]) -> bool:
    """Tell whether a list's paragraphs have no elements of their own, as far as it goes."""
    level = tokens[0].level + 2
    return all(t.hidden for t in tokens if t.type == "paragraph_open" and t.level == level)
