"""A paragraph, cut where nothing later can change what stands before."""

from __future__ import annotations

import re

from qwen_magic.document.markdown.maths import opened_in
from qwen_magic.document.markdown.parser import parse_inline
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN, inline_html, text_html
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    interrupts,
    is_blank,
    is_plain,
    text_to_html,
)
from qwen_magic.document.markdown.unfinished import pending, presentable

SHORTEST_CUT = 80  # characters that are worth settling
LONGEST_OPEN = 800  # beyond this, marks that opened long ago are taken as text …
KEPT_OPEN = 400  # … but for those of the last so many characters
FARTHEST_CUT = 2000  # characters from the end within which a place to cut is looked for
LONG_REST = 160  # characters that are not rendered anew at every update, but only when …
GROWTH = 0.2  # … they have grown by so much; meanwhile what is new is plain text
_EAST = "\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_CUT = re.compile(rf"(?<=[^\s\\])[ \n](?=\S)|(?<=[{_EAST}])(?=[{_EAST}])")
_IN_ADDRESS = re.compile(r"(?:://|www\.)\S*\Z")
_UNDERLINE = re.compile(r"\s*(?:=+|-+)\s*")
_TARGET = re.compile(r"\]\([^\s)]*$")


class ParagraphRenderer(BlockRenderer):
    """An open paragraph; in a tight list (`bare`) it has no element of its own."""

    @property
    def lazy(self) -> bool:
        """Whether a line may go on with it: always."""
        return True

    def __init__(self, context: Context, bare: bool = False) -> None:
        self._context = context
        self._bare = bare
        self._rest = ""  # the text that is not settled
        self._last = "x\n"  # the last whole line
        self._taken = 0  # how much of the line that has begun is in the rest
        self._inside = False  # the beginning of the line was committed
        self._due = 0  # the length of the rest from which it is rendered again
        self._blocked = 0  # the length of the rest from which a cut is tried again
        self._shown = ("", 0)  # its HTML when it was last rendered, its length then
        if not bare:
            context.writer.open(PARAGRAPH_OPEN, "</p>")

    def line(self, text: str) -> str:
        """Take the next line of text."""
        begins = not self._inside and not self._taken
        if begins and (is_blank(text) or self._ends_at(text)):
            return text
        self._take(text)
        self._taken = 0
        self._inside = False
        self._last = text
        return ""

    def show(self, partial: str) -> str | None:
        """Return the HTML of the text that is not settled."""
        if not self._inside and not self._taken and not is_blank(partial):
            if _UNDERLINE.fullmatch(partial):
                return self._render()
            if self._ends_at(partial):
                return None
        self._take(partial)
        return self._render()

    def commit(self, partial: str) -> bool:
        """Take the line that has begun for good."""
        if not self._taken:
            return False
        self._taken = 0
        self._inside = True
        return True

    def close(self) -> None:
        """Settle the rest and leave the paragraph."""
        self._context.writer.settle(self._html(self._rest.rstrip()))
        if not self._bare:
            self._context.writer.close()

    def _ends_at(self, line: str) -> bool:
        return interrupts(line, self._last) and opened_in(self._rest) is None

    def _take(self, text: str) -> None:
        if not self._inside:
            text = text.lstrip(" \t")
        self._rest += text[self._taken :]
        self._taken = len(text)

    def _render(self) -> str:
        if len(self._rest) < self._due:
            html, length = self._shown
            return html if _TARGET.search(self._rest) else html + text_html(self._rest[length:])
        self._cut()
        rest = self._rest.rstrip()
        self._shown = self._html(presentable(rest)), len(self._rest)
        self._due = int(len(rest) * (1 + GROWTH)) if len(rest) > LONG_REST else 0
        return self._shown[0]

    def _cut(self) -> None:
        """Settle as much of the rest as nothing later can change."""
        limit = len(self._rest) - 1
        for _ in range(2 if len(self._rest) >= self._blocked else 0):
            cut = self._last_cut(limit)
            if cut < SHORTEST_CUT:
                break
            text = self._rest[:cut]
            if is_plain(text):
                self._settle(cut, text_html(text))
                return
            tokens = parse_inline(text, self._context.env)
            mark = pending(tokens)
            if not mark:
                self._settle(cut, inline_html(tokens))
                return
            limit = self._rest.rfind(mark, 0, cut)
            self._blocked = len(self._rest) * 3 // 2
        if len(self._rest) > LONGEST_OPEN:
            cut = self._last_cut(len(self._rest) - KEPT_OPEN)
            if cut:
                self._settle(cut, self._html(self._rest[:cut]))
                self._blocked = len(self._rest) * 3 // 2

    def _settle(self, cut: int, html: str) -> None:
        self._context.writer.settle(html)
        self._rest = self._rest[cut:]
        self._blocked = 0

    def _last_cut(self, limit: int) -> int:
        """Return the last place up to `limit` where the text may be cut, 0 for none."""
        text = self._rest
        for near in (24, 160, FARTHEST_CUT) if limit >= SHORTEST_CUT else ():
            found = 0
            for match in _CUT.finditer(text, max(0, limit - near), limit):
                found = match.end()
            if found and (text[found - 1] in " \n" or not _IN_ADDRESS.search(text, 0, found)):
                return found
        return 0

    def _html(self, text: str) -> str:
        return text_to_html(text, self._context.env)
