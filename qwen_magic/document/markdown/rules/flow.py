"""The blocks inside an open container: all but the last settled, the last growing."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from qwen_magic.document.markdown.parser import ParsedBlock, blocks_of, parse
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN, block_htmls
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    begins_list,
    due,
    is_blank,
    is_paragraph,
    looks_like_table,
    paragraph_html,
    settled_html,
)
from qwen_magic.document.markdown.unfinished import presentable

LARGE = 640  # characters from which a block without a renderer is rendered only now and then
LINE = 160  # characters of a line from which a paragraph has a renderer


class Flow:
    """A sequence of blocks at the writer's cursor; `tight`: its paragraphs have no element."""

    def __init__(self, context: Context, tight: bool = False, depth: int = 0) -> None:
        self.tight = tight
        self.begun = 0  # how many blocks have begun
        self._context = context
        self._depth = depth
        self._lines: list[str] = []  # of the last block, when no renderer has it
        self._kind = ""  # of the last block
        self._renderer: BlockRenderer | None = None
        self._due = 0.0  # the size from which a large block is parsed again
        self._shown = ("", 0)

    @property
    def lazy(self) -> bool:
        """Whether a line without this container's marks may go on with its last paragraph."""
        return self._renderer.lazy if self._renderer else self._kind == "paragraph_open"

    def line(self, text: str) -> None:
        """Take the next line of the container's content."""
        if self._renderer is not None:
            text = self._renderer.line(text)
            if not text:
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
        if self._renderer is not None:
            html = self._renderer.show(partial)
            if html is not None:
                return html
            self._leave()
        text = "".join(self._lines) + partial
        if is_blank(text):
            return ""
        if len(text) < LINE and self._is_line(partial):
            return paragraph_html(presentable(text), self._context.env, self.tight)
        if len(text) < self._due:
            html, length = self._shown
            return html + escape(text[length:], quote=False)
        if not is_blank(partial) and self._advance(partial):
            if self._renderer is not None:
                return self._renderer.show(partial) or ""
            text = "".join(self._lines) + partial
        found = blocks_of(parse(presentable(text), self._context.env))
        shown = found[:-1] if found and looks_like_table(found[-1]) else found
        self._shown = "".join(self._htmls(shown)), len(text)
        self._due = due(len(text), LARGE)
        return self._shown[0]

    def close(self) -> None:
        """Settle all that is left."""
        self._leave()
        self._settle_lines()
        self._lines = []

    def commit(self, partial: str) -> bool:
        """Commit what the last block can."""
        return self._renderer is not None and self._renderer.commit(partial)

    def _leave(self) -> None:
        if self._renderer is not None:
            self._renderer.close()
            self._renderer = None
            self._kind = ""

    def _parsed(self, partial: str = "") -> list[ParsedBlock]:
        text = "".join(self._lines) + partial
        return blocks_of(parse(text, self._context.env)) if text else []

    def _settle_paragraph(self) -> None:
        """End a paragraph at a blank line."""
        if self._kind == "paragraph_open":
            self._settle_lines()
            self._lines, self._kind = [], ""

    def _settle_lines(self) -> None:
        if self._is_line(""):
            html = settled_html(self._lines[0].strip(), self._context.env)
            self._context.writer.settle(html if self.tight else f"{PARAGRAPH_OPEN}{html}</p>")
        else:
            self._settle(self._parsed())

    def _is_line(self, partial: str) -> bool:
        """Tell whether all there is is one line, and it can only be a paragraph."""
        if len(self._lines) + (1 if partial else 0) != 1:
            return False
        return is_paragraph(self._lines[0] if self._lines else partial)

    def _advance(self, partial: str) -> bool:
        """Settle all blocks but the last; tell whether there is one, given to a renderer or not.

        A line that has begun counts for the kind of the last block only.
        """
        found = self._parsed(partial)
        is_new = len(found) == 2 and found[1].start == len(self._lines) and begins_list(partial)
        if partial and len(found) != 1 and not is_new:
            return False
        self._settle(found[:-1])
        if not found:
            self._lines = []
            return False
        last = found[-1]
        self.begun += len(found) - (1 if self._kind else 0)
        self._kind = last.kind
        self._lines = last.onwards(self._lines)
        self._renderer = self._context.start(
            last, self._lines, partial, self._context, self.tight, self._depth
        )
        if self._renderer is not None:
            self._lines, self._due = [], 0
        return True

    def _settle(self, found: Sequence[ParsedBlock]) -> None:
        for html in self._htmls(found):
            self._context.writer.settle(html)

    def _htmls(self, found: Sequence[ParsedBlock]) -> list[str]:
        htmls: list[str] = []
        for block in found:
            if self.tight and block.kind == "paragraph_open":
                block.tokens[0].hidden = block.tokens[-1].hidden = True
            htmls.extend(block_htmls(block.tokens, self._context.highlights))
        return htmls
