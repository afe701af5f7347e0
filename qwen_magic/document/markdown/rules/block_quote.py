"""A quote, as a flow of its own."""

from __future__ import annotations

import re

from qwen_magic.document.markdown.render import QUOTE_OPEN
from qwen_magic.document.markdown.rules.flow import Flow
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context, interrupts, is_blank

_MARK = re.compile(r" {0,3}> ?")


class BlockQuoteRenderer(BlockRenderer):
    """An open block quote."""

    def __init__(self, context: Context, depth: int) -> None:
        self._context = context
        context.writer.open(QUOTE_OPEN, "</blockquote>")
        self._inner = Flow(context, depth=depth + 1)
        self._inside = False  # the beginning of the line was committed

    @property
    def lazy(self) -> bool:
        """Whether the quote's last block is a paragraph."""
        return self._inner.lazy

    def line(self, text: str) -> bool:
        """Take the next line, with its mark or as a lazy one."""
        if self._inside:
            self._inside = False
            self._inner.line(text)
            return True
        found = _MARK.match(text)
        if found is None and (is_blank(text) or not self.lazy or interrupts(text)):
            return False
        self._inner.line(text[found.end() :] if found else text)
        return True

    def show(self, partial: str) -> str | None:
        """Return the HTML of the quote's tail."""
        if self._inside:
            return self._inner.show(partial)
        found = _MARK.match(partial)
        if found is None and is_blank(partial):
            return self._inner.show("")
        if found is None and (not self.lazy or interrupts(partial)):
            return None
        return self._inner.show(partial[found.end() :] if found else partial)

    def commit(self, partial: str) -> bool:
        """Commit what the inner paragraph can."""
        self._inside = self._inner.commit(partial)
        return self._inside

    def close(self) -> None:
        """Settle what is left and leave the quote."""
        self._inner.close()
        self._context.writer.close()
