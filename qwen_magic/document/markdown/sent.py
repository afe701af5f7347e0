"""One block of a text that grows: its HTML, and what of it the views have been sent.

A block is a string, once it is known whole, or a `Writer` while it grows at its end. The writer
stands in the innermost open element, its cursor. What is settled there stays; behind it comes the
tail, which is provisional. The way from the block's element to the cursor always leads through last
children, so that a number of steps (`depth`) finds it in any view. Of "- one\n- **tw":

    settled   <ul><li>one</li><li></li></ul>      depth 1
    tail      <strong>tw</strong>                 html  <ul><li>one</li><li><strong>tw</strong>…

    patches   Add(settled), Extend(depth, "", tail)        the first time
              Grow(what the tail has behind it now)        while the tail grows
              Extend(depth, "", a newer tail)              when it is another
              Extend(depth, what was settled since, tail)  when some of it is settled
              Keep, Extend(depth, the rest of that, tail)  when that begins with the tail
              Replace(html)                                when a whole parse came to other HTML
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from qwen_magic.document.markdown.render import RenderedBlock, SandboxImage
from qwen_magic.document.patches import Add, Extend, Grow, Keep, Patch, Replace

_ELEMENT: Final = re.compile(r"(<[^>]*>)(.*)(</\w+>)", re.DOTALL)


@dataclass(slots=True)
class _News:
    """What was settled at a place `depth` steps down; `closings` end what is still open of it."""

    depth: int
    parts: list[str] = field(default_factory=list)
    closings: list[str] = field(default_factory=list)


class Writer:
    """Builds one element; `take` yields what was settled since the last call."""

    def __init__(self) -> None:
        self.tail = ""
        self._settled: list[str] = []
        self._closings: list[str] = []
        self._news: list[_News] = []

    @property
    def depth(self) -> int:
        """How many steps down from the block's element the cursor is."""
        return max(0, len(self._closings) - 1)

    @property
    def settled_html(self) -> str:
        """The element without its tail."""
        return "".join(self._settled) + self._ending()

    @property
    def html(self) -> str:
        """The element with its tail."""
        return "".join(self._settled) + self.tail + self._ending()

    def open(self, opening: str, *closings: str) -> None:
        """Open elements and stand in the innermost; each must be its parent's last child."""
        if self._closings:
            news = self._newest()
            news.parts.append(opening)
            news.closings += closings
        self._settled.append(opening)
        self._closings.extend(closings)

    def settle(self, html: str) -> None:
        """Append whole nodes at the cursor."""
        if html:
            self._newest().parts.append(html)
            self._settled.append(html)

    def close(self, count: int = 1) -> None:
        """Leave the `count` innermost elements; the block's own stays open."""
        for _ in range(min(count, len(self._closings) - 1)):
            self._settled.append(self._closings.pop())
            if self._news and self._news[-1].closings:
                self._news[-1].parts.append(self._news[-1].closings.pop())

    @property
    def opening(self) -> str:
        """The block's opening tag."""
        return self._settled[0]

    @property
    def is_bare(self) -> bool:
        """Whether nothing is settled in the block's element."""
        return len(self._settled) == 1

    def take(self) -> list[tuple[int, str]]:
        """Return (depth, html) of what was settled since the last call, in order."""
        taken, self._news = self._news, []
        return [(n.depth, "".join([*n.parts, *reversed(n.closings)])) for n in taken]

    def _newest(self) -> _News:
        """The news that what comes next at the cursor is part of."""
        last = self._news[-1] if self._news else None
        if last is None or last.depth + len(last.closings) != self.depth:
            last = _News(self.depth)
            self._news.append(last)
        return last

    def _ending(self) -> str:
        return "".join(reversed(self._closings))


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """One block: the element `settled_html`, and in it, `depth` steps down, the nodes of `tail`.

    `html` is both in one. `depth` is as in `Extend`. A closed block has no tail.
    """

    id: str
    html: str
    settled_html: str
    depth: int
    tail: str
    closed: bool


class SentBlock:
    """One block and what of it the views have been sent.

    `content` is its HTML or the writer that builds it; `pieces`, of a block that is closed, the
    same in the renderer's pieces.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.content: str | Writer = ""
        self.pieces: tuple[str, ...] = ()
        self._sent: str | Writer | None = None
        self._sent_tail = (0, "")  # where it is, what it is

    @property
    def is_shown(self) -> bool:
        """Whether views have it."""
        return self._sent is not None

    @property
    def html(self) -> str:
        """The whole element."""
        return self.content if isinstance(self.content, str) else self.content.html

    def block(self, closed: bool) -> MarkdownBlock:
        """Return the block as a value."""
        content = self.content
        if isinstance(content, str):
            return MarkdownBlock(self.id, content, content, 0, "", closed)
        html = content.html
        return MarkdownBlock(
            self.id, html, content.settled_html, content.depth, content.tail, closed
        )

    def show(self, content: str | Writer) -> None:
        """Set what is shown while it is open: a writer, or an element, all of which is its tail."""
        found = _ELEMENT.fullmatch(content) if isinstance(content, str) else None
        if found is not None:
            shown, (opening, inside, closing) = self.content, found.groups()
            if not (isinstance(shown, Writer) and shown.is_bare and shown.opening == opening):
                shown = Writer()
                shown.open(opening, closing)
            shown.tail = inside
            content = shown
        self.content = content

    def close(self, rendered: RenderedBlock) -> None:
        """Set the last HTML; a writer that came to the same is kept, for its patches."""
        self.pieces, html = rendered.pieces, rendered.html
        if isinstance(self.content, str) or self.content.html != html:
            self.content = html

    def show_figures(self, figures: Mapping[str, str]) -> None:
        """Put figures in the place of the sandbox's files (`figures`: a data URI by address)."""
        self.pieces = tuple(
            piece.with_data(figures[piece.address])
            if isinstance(piece, SandboxImage) and piece.address in figures
            else piece
            for piece in self.pieces
        )
        self.content = "".join(self.pieces)

    def freeze(self) -> list[Patch]:
        """Keep the HTML only: the block is closed, and the views have it, in a tail perhaps."""
        self.content = self._sent = self.html
        is_tail, self._sent_tail = bool(self._sent_tail[1]), (0, "")
        return [Keep(self.id)] if is_tail else []

    def patches(self, parent: str) -> list[Patch]:
        """Return what views lack, and count it as sent."""
        content, sent = self.content, self._sent
        self._sent = content
        if isinstance(content, str):
            self._sent_tail = (0, "")
            if sent is None:
                return [Add(self.id, parent, content)]
            return [] if content == sent else [Replace(self.id, content)]
        news = content.take()
        is_begun = isinstance(sent, Writer) and sent.is_bare and sent.opening == content.opening
        if sent is content or is_begun:
            return self._extended(content, news)
        settled = content.settled_html
        opening = Add(self.id, parent, settled) if sent is None else Replace(self.id, settled)
        self._sent_tail = (0, "")
        return [opening, *self._extended(content, [])]

    def _extended(self, writer: Writer, news: list[tuple[int, str]]) -> list[Patch]:
        depth, tail = writer.depth, writer.tail
        before, shown = self._sent_tail
        self._sent_tail = (depth, tail) if tail else (0, "")
        if not news:
            if (before, shown) == self._sent_tail:
                return []
            if shown and depth == before and tail.startswith(shown):
                return [Grow(self.id, tail[len(shown) :])]
        kept: list[Patch] = []
        if shown and news and news[0][0] == before and news[0][1].startswith(shown):
            kept = [Keep(self.id)]
            news[0] = before, news[0][1][len(shown) :]
        patches = [Extend(self.id, at, html, "") for at, html in news]
        if news and news[-1][0] == depth:
            patches[-1] = Extend(self.id, depth, news[-1][1], tail)
        elif tail or not news:
            patches.append(Extend(self.id, depth, "", tail))
        return [*kept, *(each for each in patches if each.html or each.tail or not kept)]
