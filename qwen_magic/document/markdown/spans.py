"""Blocks of a text by the lines they take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markdown_it.token import Token

LONGEST_HEAD = 400  # characters


@dataclass(frozen=True, slots=True)
class Span:
    """One block at the top level of a parse: its tokens, its lines [start, end)."""

    tokens: Sequence[Token]
    start: int
    end: int

    @property
    def kind(self) -> str:
        """The type of the block's first token."""
        return self.tokens[0].type


def spans(tokens: Sequence[Token]) -> list[Span]:
    """Cut the tokens of a parse into its blocks."""
    found: list[Span] = []
    depth = first = 0
    for index, token in enumerate(tokens):
        depth += token.nesting
        if depth == 0:
            start, end = tokens[first].map or (0, 0)
            found.append(Span(tokens[first : index + 1], start, end))
            first = index + 1
    return found


def closed_count(found: Sequence[Span], lines: Sequence[str]) -> int:
    """Return how many of the blocks of these complete lines no later line can change.

    All but the last; but text right below a definition may still turn out to be its title.
    """
    count = len(found) - 1
    while (
        count > 0
        and found[count - 1].kind == "definition"
        and found[count].start == found[count - 1].end
        and lines[found[count].start].lstrip()[:1] in ('"', "'", "(")
    ):
        count -= 1
    return max(0, count)


def looks_like_table(span: Span) -> bool:
    """Tell whether a paragraph may be the head of a table whose second line is to come."""
    if span.kind != "paragraph_open":
        return False
    text = span.tokens[1].content
    return text.startswith("|") and text.count("\n") < 2 and len(text) < LONGEST_HEAD
