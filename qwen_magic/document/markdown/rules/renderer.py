"""What the renderers of open blocks have in common: their interface, and what they share.

A `BlockRenderer` takes the lines of its block in order and settles HTML through the context's
`Writer`; the line that has only begun is shown as the tail. Whether a block has really ended, and
what it then looks like to the letter, is for a whole parse to say (`incremental`): a renderer may
be wrong about odd cases while its block is open, never for good. Of a list that arrives:

    line("- one\n")       opens <ul><li>, settles `one`
    show("- **tw")        closes that <li>, opens the next, returns the tail <strong>tw</strong>
    line("- **two**\n")   settles <strong>two</strong>
    line("End.\n")        returned: not a line of this list; `incremental` parses, and closes it
"""

from __future__ import annotations

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from qwen_magic.document.highlight import highlight_pieces
from qwen_magic.document.markdown.inline import is_plain
from qwen_magic.document.markdown.parser import (
    Env,
    ParsedBlock,
    blocks_of,
    parse_inline,
    parse_structure,
)
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN, inline_html
from qwen_magic.document.markdown.sent import Writer

LARGEST: Final = 3000  # characters of a block without a renderer that are rendered again
LONGEST_HEAD: Final = 400  # characters of what may be the head of a table
_CITED: Final = re.compile(r"\[[\d^]|!\[")  # citations, footnotes, pictures
_ITEM: Final = re.compile(r" *(?:[-+*]|1[.)]) (?! *\[)[^\s*+-]")
_PARAGRAPH: Final = re.compile(r" {0,3}(?:[^\W\d_]|\*\*[^\s*]|`[^`\s]|\d+(?![\d.)]))")


class BlockRenderer(ABC):
    """One open block. Most take whole lines only, and belong to no paragraph."""

    @property
    def lazy(self) -> bool:
        """Whether a line without the block's marks may still go on with its last paragraph."""
        return False

    @abstractmethod
    def line(self, text: str) -> str:
        """Take the next whole line, with its newline. What is returned is not the block's: "" while
        it goes on, all of the line where it ended before it, else what stands behind its end."""

    @abstractmethod
    def show(self, partial: str) -> str | None:
        """The tail's HTML, `partial` being a line that has begun. None: that line does not belong
        to this block."""

    def commit(self, partial: str) -> bool:
        """Take for good the line that has begun, as it was last shown, if that is possible. True:
        what comes next is the rest of that line, without what is committed."""
        return False

    @abstractmethod
    def close(self) -> None:
        """Settle what is left and leave the block's elements."""


@dataclass(slots=True)
class Highlights:
    """Remembers the HTML of code that was highlighted while it arrived."""

    known: dict[tuple[str, str], Sequence[str]] = field(default_factory=dict)

    def __call__(self, code: str, language: str) -> Sequence[str]:
        """The HTML of the code's pieces, as `highlight_pieces` gives it."""
        known = self.known.get((code, language))
        return highlight_pieces(code, language) if known is None else known


# (block, its whole lines, the line that has begun behind them, context, whether its paragraphs have
# no elements, how deep it is) -> a renderer that has taken the whole lines, None for none.
Start: TypeAlias = (
    "Callable[[ParsedBlock, Sequence[str], str, Context, bool, int], BlockRenderer | None]"
)


@dataclass(frozen=True, slots=True)
class Context:
    """What the renderers of one block share."""

    writer: Writer
    env: Env
    highlights: Highlights
    start: Start


def interrupts(line: str, before: str = "x\n") -> bool:
    """Tell whether `line` begins a block of its own below a paragraph that ends with `before`."""
    if is_paragraph(line):
        return False
    found = blocks_of(parse_structure(before + line))
    return len(found) != 1 or found[0].kind != "paragraph_open"


def due(size: int, large: int) -> float:
    """The size from which a block of this `size` is rendered again: with what comes next, but a
    `large` one when it has grown by an eighth, and a very large one not before it is closed."""
    if size <= large:
        return 0
    return size * 1.12 if size < LARGEST else math.inf


def is_blank(line: str) -> bool:
    """Tell whether a line holds only spaces."""
    return not line.strip(" \t\n")


def begins_list(line: str) -> bool:
    """Tell whether a line begins an item of a list, whatever it still grows to."""
    return _ITEM.match(line) is not None


def text_to_html(text: str, env: Env) -> str:
    """Return the HTML of inline Markdown; of what `is_plain` only `>` is another in HTML."""
    return text.replace(">", "&gt;") if is_plain(text) else inline_html(parse_inline(text, env))


def settled_html(text: str, env: Env) -> str:
    """The same of a text that has come whole. The parse that closes its block takes the HTML from
    here, where what else is known by then (links, footnotes, citations) cannot change it."""
    html = text_to_html(text, env)
    settle_text(text, html, env)
    return html


def settle_text(text: str, html: str, env: Env) -> None:
    """Remember the HTML of a whole text."""
    if not _CITED.search(text):
        env["settled"][text] = html


def is_paragraph(line: str) -> bool:
    """Tell whether a line, alone, can only be a paragraph, whatever it still grows to."""
    return _PARAGRAPH.match(line) is not None


def paragraph_html(text: str, env: Env, bare: bool = False) -> str:
    """Return the HTML of a paragraph of one line; `bare`: without its element."""
    html = text_to_html(text.strip(), env)
    return html if bare else f"{PARAGRAPH_OPEN}{html}</p>"


def looks_like_table(block: ParsedBlock) -> bool:
    """Tell whether a paragraph may be the head of a table whose second line is to come."""
    if block.kind != "paragraph_open":
        return False
    text = block.tokens[1].content
    return text.startswith("|") and text.count("\n") < 2 and len(text) < LONGEST_HEAD
