"""Which grower an open block is handed to."""

from __future__ import annotations

from collections.abc import Sequence

from markdown_it.token import Token

from qwen_magic.document.markdown.maths import opening_mark
from qwen_magic.document.markdown.rules.fence import FenceGrower, IndentedGrower, MathsGrower
from qwen_magic.document.markdown.rules.items import ListGrower
from qwen_magic.document.markdown.rules.paragraph import ParagraphGrower
from qwen_magic.document.markdown.rules.quote import QuoteGrower
from qwen_magic.document.markdown.rules.renderer import Grower, Kit
from qwen_magic.document.markdown.rules.table import TableGrower
from qwen_magic.document.markdown.spans import Span

LARGE = 160  # characters from which a container or a paragraph is worth a grower
SMALL = 8  # the same for a container in a container
DEEPEST = 45  # containers in containers; below, blocks are rendered whole


def start_grower(
    span: Span, lines: Sequence[str], partial: str, kit: Kit, tight: bool, depth: int
) -> Grower | None:
    """Return a grower that has taken the whole `lines` of the open block `span`, None for none.

    `partial` is the line that has begun behind them; `tight`: a paragraph has no element.
    """
    grower = _line_grower(span, lines, kit)
    large = LARGE if depth == 0 or span.kind == "paragraph_open" else SMALL
    if grower is None and sum(map(len, lines)) + len(partial) >= large:
        grower = _text_grower(span, [*lines, partial][0], kit, tight, depth)
    if grower is None:
        return None
    for line in lines[{"fence": 1, "table_open": 2}.get(span.kind, 0) :]:
        grower.line(line)
    return grower


def _line_grower(span: Span, lines: Sequence[str], kit: Kit) -> Grower | None:
    """Blocks that go by lines."""
    kind = span.kind
    if kind == "fence" and lines:
        return FenceGrower(kit, span.tokens[0], lines[0])
    if kind == "table_open" and len(lines) >= 2:
        return TableGrower(kit, span.tokens)
    if kind == "maths_block" and lines and opening_mark(lines[0]):
        return MathsGrower(kit, lines[0])
    return IndentedGrower(kit) if kind == "code_block" and lines else None


def _text_grower(span: Span, opening: str, kit: Kit, tight: bool, depth: int) -> Grower | None:
    """Blocks that are worth it when they are large."""
    kind = span.kind
    if kind == "paragraph_open":
        return ParagraphGrower(kit, bare=tight)
    if depth >= DEEPEST:
        return None
    if kind in ("bullet_list_open", "ordered_list_open"):
        return ListGrower.of(kit, opening, is_tight(span.tokens), depth)
    return QuoteGrower(kit, depth) if kind == "blockquote_open" else None


def is_tight(tokens: Sequence[Token]) -> bool:
    """Tell whether a list's paragraphs have no elements of their own, as far as it goes."""
    level = tokens[0].level + 2
    return all(t.hidden for t in tokens if t.type == "paragraph_open" and t.level == level)
