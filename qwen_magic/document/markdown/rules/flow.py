"""The blocks inside an open container: all but the last settled, the last growing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qwen_magic.document.markdown.parser import parse
from qwen_magic.document.markdown.render import block_htmls
from qwen_magic.document.markdown.rules.renderer import Grower, Kit, is_blank
from qwen_magic.document.markdown.spans import Span, spans
from qwen_magic.document.markdown.text import is_paragraph, paragraph_html
from qwen_magic.document.markdown.unfinished import presentable

LARGE = 640  # characters from which a block without a grower is rendered only now and then
LINE = 160  # characters of a line from which a paragraph has a grower
GROWTH = 0.12


class Flow:
    """A sequence of blocks at the writer's cursor; `tight`: its paragraphs have no element."""

    def __init__(self, kit: Kit, tight: bool = False, depth: int = 0) -> None:
        self.tight = tight
        self.begun = 0  # how many blocks have begun
        self._kit = kit
        self._depth = depth
        self._lines: list[str] = []  # of the last block, when no grower has it
        self._kind = ""  # of the last block
        self._grower: Grower | None = None
        self._due = 0  # the size from which a large block is parsed again
        self._shown = ("", 0)

    @property
    def lazy(self) -> bool:
        """Whether a line without this container's marks may go on with its last paragraph."""
        return self._grower.lazy if self._grower else self._kind == "paragraph_open"

    def line(self, text: str) -> None:
        """Take the next line of the container's content."""
        if self._grower is not None:
            if self._grower.line(text):
                return
            self._leave()
        if is_blank(text):
            self._settle_paragraph()
            if not self._lines:
                return
        self._lines.append(text)
        if len(self._lines) == 1 and len(text) < LINE and is_paragraph(text):
            self.begun += 0 if self._kind else 1
            self._kind = "paragraph_open"
        elif sum(map(len, self._lines)) >= self._due:
            self._advance("")

    def show(self, partial: str) -> str:
        """Return the HTML of the tail."""
        if self._grower is not None:
            html = self._grower.show(partial)
            if html is not None:
                return html
            self._leave()
        text = "".join(self._lines) + partial
        if is_blank(text):
            return ""
        if len(text) < LINE and self._is_line(partial):
            return paragraph_html(presentable(text), self._kit.env, self.tight)
        if len(text) < self._due:
            html, length = self._shown
            return html + escape(text[length:], quote=False)
        if not is_blank(partial) and self._advance(partial) and self._grower is not None:
            return self._grower.show(partial) or ""
        found = spans(parse(presentable(text), self._kit.env))
        self._shown = "".join(self._htmls(found)), len(text)
        self._due = int(len(text) * (1 + GROWTH)) if len(text) > LARGE else 0
        return self._shown[0]

    def close(self) -> None:
        """Settle all that is left."""
        self._leave()
        self._settle_lines()
        self._lines = []

    def absorb(self, partial: str) -> bool:
        """Absorb what the last block can."""
        return self._grower is not None and self._grower.absorb(partial)

    def _leave(self) -> None:
        if self._grower is not None:
            self._grower.close()
            self._grower = None
            self._kind = ""

    def _parsed(self, partial: str = "") -> list[Span]:
        text = "".join(self._lines) + partial
        return spans(parse(text, self._kit.env)) if text else []

    def _settle_paragraph(self) -> None:
        """End a paragraph at a blank line."""
        if self._kind == "paragraph_open":
            self._settle_lines()
            self._lines, self._kind = [], ""

    def _settle_lines(self) -> None:
        if self._is_line(""):
            html = paragraph_html(self._lines[0], self._kit.env, self.tight)
            self._kit.writer.settle(html)
        else:
            self._settle(self._parsed())

    def _is_line(self, partial: str) -> bool:
        """Tell whether all there is is one line, and it can only be a paragraph."""
        if len(self._lines) + (1 if partial else 0) != 1:
            return False
        return is_paragraph(self._lines[0] if self._lines else partial)

    def _advance(self, partial: str) -> bool:
        """Settle all blocks but the last; tell whether there is one, given to a grower or not.

        A line that has begun counts for the kind of the last block only.
        """
        found = self._parsed(partial)
        if partial and len(found) != 1:
            return False
        self._settle(found[:-1])
        if not found:
            self._lines = []
            return False
        last = found[-1]
        self.begun += len(found) - (1 if self._kind else 0)
        self._kind = last.kind
        self._lines = self._lines[last.start :]
        self._grower = self._kit.start(
            last, self._lines, partial, self._kit, self.tight, self._depth
        )
        if self._grower is not None:
            self._lines, self._due = [], 0
        return True

    def _settle(self, found: Sequence[Span]) -> None:
        for html in self._htmls(found):
            self._kit.writer.settle(html)

    def _htmls(self, found: Sequence[Span]) -> list[str]:
        htmls: list[str] = []
        for span in found:
            if self.tight and span.kind == "paragraph_open":
                span.tokens[0].hidden = span.tokens[-1].hidden = True
            htmls.extend(block_htmls(span.tokens, self._kit.highlights))
        return htmls
