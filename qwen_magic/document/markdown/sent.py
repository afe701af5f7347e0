"""One block of a text that grows: its HTML, and what of it the views have been sent.

A block is a string, once it is known whole, or a `Writer` while it grows at its end. The writer
stands in the innermost open element, its cursor. What is settled there stays; behind it comes the
tail, which is provisional. The way from the block's element to the cursor always leads through last
children, so that the same short selector (`at`) finds it in any view. Of "- one\n- **tw":

    settled   <ul><li>one</li><li></li></ul>      at    :scope>:last-child
    tail      <strong>tw</strong>                 html  <ul><li>one</li><li><strong>tw</strong>…

    patches   Add(settled), Extend(at, "", tail)           the first time
              Extend(at, "", a newer tail)                 while the tail changes
              Extend(at, what was settled since, tail)     when some of it is settled
              Replace(html)                                when a whole parse came to other HTML
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from qwen_magic.document.markdown.render import RenderedBlock, SandboxImage
from qwen_magic.document.patches import Add, Extend, Patch, Replace


class Writer:
    """Builds one element; `take` yields what was settled since the last call."""

    def __init__(self) -> None:
        self.tail = ""
        self._settled: list[str] = []
        self._closings: list[str] = []
        self._news: list[tuple[str, list[str]]] = []

    @property
    def at(self) -> str:
        """The cursor as a selector relative to the block's element ("" is that element)."""
        depth = len(self._closings) - 1
        return ":scope" + ">:last-child" * depth if depth > 0 else ""

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
            self._note(opening + "".join(reversed(closings)))
        self._settled.append(opening)
        self._closings.extend(closings)

    def settle(self, html: str) -> None:
        """Append whole nodes at the cursor."""
        if html:
            self._note(html)
            self._settled.append(html)

    def close(self, count: int = 1) -> None:
        """Leave the `count` innermost elements; the block's own stays open."""
        for _ in range(min(count, len(self._closings) - 1)):
            self._settled.append(self._closings.pop())

    def take(self) -> list[tuple[str, str]]:
        """Return (selector, html) of what was settled since the last call, in order."""
        news = [(at, "".join(parts)) for at, parts in self._news]
        self._news = []
        return news

    def _note(self, html: str) -> None:
        at = self.at
        if self._news and self._news[-1][0] == at:
            self._news[-1][1].append(html)
        else:
            self._news.append((at, [html]))

    def _ending(self) -> str:
        return "".join(reversed(self._closings))


@dataclass(frozen=True, slots=True)
class MarkdownBlock:
    """One block: the element `settled_html`, and in it, at the end of `at`, the nodes of `tail`.

    `html` is both in one. `at` is as in `Extend`. A closed block has no tail.
    """

    id: str
    html: str
    settled_html: str
    at: str
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
        self._sent_tail = ("", "")  # where it is, what it is

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
            return MarkdownBlock(self.id, content, content, "", "", closed)
        html = content.html
        return MarkdownBlock(self.id, html, content.settled_html, content.at, content.tail, closed)

    def close(self, rendered: RenderedBlock) -> None:
        """Set the last HTML; a writer that came to the same is kept, for its patches."""
        self.pieces, html = rendered.pieces, rendered.html
        if isinstance(self.content, str) or self.content.tail or self.content.html != html:
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

    def freeze(self) -> None:
        """Keep the HTML only: the block is closed, and the views have it."""
        self.content = self._sent = self.html

    def patches(self, parent: str) -> list[Patch]:
        """Return what views lack, and count it as sent."""
        content, sent = self.content, self._sent
        self._sent = content
        if isinstance(content, str):
            self._sent_tail = ("", "")
            if sent is None:
                return [Add(self.id, parent, content)]
            return [] if content == sent else [Replace(self.id, content)]
        news = content.take()
        if sent is content:
            return self._extended(content, news)
        settled = content.settled_html
        opening = Add(self.id, parent, settled) if sent is None else Replace(self.id, settled)
        self._sent_tail = ("", "")
        return [opening, *self._extended(content, [])]

    def _extended(self, writer: Writer, news: list[tuple[str, str]]) -> list[Patch]:
        tail = (writer.at, writer.tail) if writer.tail else ("", "")
        if not news and tail == self._sent_tail:
            return []
        self._sent_tail = tail
        patches: list[Patch] = [Extend(self.id, at, html, "") for at, html in news]
        if news and news[-1][0] == writer.at:
            patches[-1] = Extend(self.id, writer.at, news[-1][1], writer.tail)
        elif writer.tail or not news:
            patches.append(Extend(self.id, writer.at, "", writer.tail))
        return patches
