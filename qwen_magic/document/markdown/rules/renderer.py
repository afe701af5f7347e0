"""What the growers have in common: their interface, what they share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from qwen_magic.document.highlight import highlight
from qwen_magic.document.markdown.parser import Env, parse_structure
from qwen_magic.document.markdown.spans import Span, spans
from qwen_magic.document.markdown.text import is_paragraph
from qwen_magic.document.markdown.writer import Writer


class Grower(Protocol):
    """One open block."""

    @property
    def lazy(self) -> bool:
        """Whether a line without the block's marks may still go on with its last paragraph."""
        ...

    def line(self, text: str) -> bool:
        """Take the next whole line, with its newline; False: the block ended before it."""
        ...

    def show(self, partial: str) -> str | None:
        """Return the tail's HTML, `partial` being a line that has begun.

        None: that line does not belong to this block.
        """
        ...

    def absorb(self, partial: str) -> bool:
        """Take for good the line that has begun, as it was last shown, if that is possible.

        True: what comes next is the rest of that line, without what is absorbed.
        """
        ...

    def close(self) -> None:
        """Settle what is left and leave the block's elements."""
        ...


@dataclass(slots=True)
class Highlights:
    """Remembers the HTML of code that was highlighted while it arrived."""

    known: dict[tuple[str, str], str] = field(default_factory=dict)

    def __call__(self, code: str, language: str) -> str:
        """Return the HTML of `code`, as `highlight` gives it."""
        html = self.known.get((code, language))
        return highlight(code, language) if html is None else html


class Start(Protocol):
    """Hands open blocks to growers."""

    def __call__(
        self, span: Span, lines: Sequence[str], partial: str, kit: Kit, tight: bool, depth: int
    ) -> Grower | None:
        """Return a grower that has taken the whole `lines` of the block `span`, None for none."""
        ...


@dataclass(frozen=True, slots=True)
class Kit:
    """What the growers of one block share."""

    writer: Writer
    env: Env
    highlights: Highlights
    start: Start


def interrupts(line: str, before: str = "x\n") -> bool:
    """Tell whether `line` begins a block of its own below a paragraph that ends with `before`."""
    if is_paragraph(line):
        return False
    found = spans(parse_structure(before + line))
    return len(found) != 1 or found[0].kind != "paragraph_open"


def is_blank(line: str) -> bool:
    """Tell whether a line holds only spaces."""
    return not line.strip(" \t\n")
