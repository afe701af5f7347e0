"""A block of a Markdown text as a view sees it."""

from __future__ import annotations

from dataclasses import dataclass

from qwen_magic.document.markdown.writer import Writer
from qwen_magic.document.patches import Add, Extend, Patch, Replace


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


class Entry:
    """One block and what of it the views have been sent.

    `content` is its HTML or the writer that builds it.
    """

    def __init__(self, id: str) -> None:
        self.id = id
        self.content: str | Writer = ""
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

    def close(self, html: str) -> None:
        """Set the last HTML; a writer that came to the same is kept, for its patches."""
        if isinstance(self.content, str) or self.content.tail or self.content.html != html:
            self.content = html

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
