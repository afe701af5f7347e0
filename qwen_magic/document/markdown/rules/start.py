"""Which renderer an open block is handed to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from qwen_magic.document.markdown.maths import Display
from qwen_magic.document.markdown.parser import ParsedBlock, Token
from qwen_magic.document.markdown.rules.containers import BlockQuoteRenderer, ListRenderer
from qwen_magic.document.markdown.rules.fence import (
    FenceRenderer,
    IndentedCodeRenderer,
    MathsRenderer,
)
from qwen_magic.document.markdown.rules.paragraph import ParagraphRenderer
from qwen_magic.document.markdown.rules.pipe_table import TableRenderer
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context

LARGE = 160  # characters from which a container or a paragraph is worth a renderer
SMALL = 8  # the same for a container in a container
DEEPEST = 45  # containers in containers; below, blocks are rendered whole
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
            renderer.line(line)
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
        case _ if depth >= DEEPEST or size < (SMALL if depth else LARGE):
            return None
        case "bullet_list_open" | "ordered_list_open":
            return ListRenderer.of(context, lines[0], is_tight(block.tokens), depth)
        case "blockquote_open":
            return BlockQuoteRenderer(context, depth)
        case _:
            return None


def is_tight(tokens: Sequence[Token]) -> bool:
    """Tell whether a list's paragraphs have no elements of their own, as far as it goes."""
    level = tokens[0].level + 2
    return all(t.hidden for t in tokens if t.type == "paragraph_open" and t.level == level)
