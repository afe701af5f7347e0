"""Lists, quotes, footnotes: what stands in an item, or behind `>`, is a flow of blocks of its own.

A container takes its marks off a line and hands the rest to the flow inside. Of the list

    - one                 item 1: "one"
      more                "more", since it is indented to the content of the item
    lazy                  the same paragraph goes on (CommonMark's lazy continuation)
    - two                 item 2

A blank line between items makes a list loose: its paragraphs then have elements. What was shown
tight before is put right when the list is closed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import escape

from qwen_magic.document.markdown.parser import FOOTNOTE, ParsedBlock, blocks_of, parse
from qwen_magic.document.markdown.render import (
    BOXES,
    BULLETS_OPEN,
    ITEM_OPEN,
    NOTE_OPEN,
    PARAGRAPH_OPEN,
    QUOTE_OPEN,
    TASK,
    TASK_OPEN,
    block_htmls,
    ordered_open,
)
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    begins_list,
    due,
    interrupts,
    is_blank,
    is_paragraph,
    looks_like_table,
    paragraph_html,
    settled_html,
)
from qwen_magic.document.markdown.unfinished import presentable

LARGE = 640  # characters from which a block without a renderer is rendered only now and then
LINE = 160  # characters of a line from which a paragraph has a renderer
_QUOTE_MARK = re.compile(r" {0,3}> ?")
_MARK = re.compile(r"( {0,3})([-+*]|(\d{1,9})[.)])(?:( {1,4})(?=[^ \n])|(?=[ \n]|$))")
_RULE = re.compile(r" {0,3}(?:(?:\* *){3,}|(?:- *){3,}|(?:_ *){3,})\n?")
# What has begun like an item may be a rule, or a task, whose item has no bullet.
_UNSURE = re.compile(r" *(?:[-+*][-+* ]*|\d{1,9}[.)]? *|(?:[-+*]|\d{1,9}[.)]) +\[[ xX]?\]? ?)\n?")


class ListRenderer(BlockRenderer):
    """An open list. `tight` is what is known of it so far; later items may be loose."""

    @classmethod
    def of(cls, context: Context, opening: str, tight: bool, depth: int) -> ListRenderer | None:
        """Return the renderer of a list whose first line is `opening`, None for an odd line."""
        found = _MARK.match(_untabbed(opening))
        return None if found is None else cls(context, found, tight, depth)

    def __init__(self, context: Context, found: re.Match[str], tight: bool, depth: int) -> None:
        self._context = context
        self._depth = depth + 1
        self._kind = found.group(2)[-1]
        self._tight = tight
        self._blank = False
        self._begun = False  # the line that has begun has opened its item already
        self._inside = False  # the beginning of the line was committed
        self._offset = 0
        self._first = False  # the item's first line has not come yet
        self._inner: Flow | None = None
        if found.group(3):
            context.writer.open(ordered_open(int(found.group(3))), "</ol>")
        else:
            context.writer.open(BULLETS_OPEN, "</ul>")

    @property
    def lazy(self) -> bool:
        """Whether the last item's last block is a paragraph that no blank line follows."""
        return self._inner is not None and not self._blank and self._inner.lazy

    def line(self, text: str) -> str:
        """Take the next line of an item, or the first of a new one."""
        if self._inside and self._inner is not None:
            self._inside = self._begun = self._blank = self._first = False
            self._inner.line(text)
            return ""
        text = _untabbed(text)
        if not self._begun:
            belongs = self._enter(text)
            if belongs is not None:
                return "" if belongs else text
        self._begun = False
        self._feed(text)
        return ""

    def show(self, partial: str) -> str | None:
        """Return the HTML of the last item's tail."""
        if self._inside:
            return self._shown(partial)
        partial = _untabbed(partial)
        if not self._begun and (is_blank(partial) or _UNSURE.fullmatch(partial)):
            return self._shown("")
        if not self._begun and not self._continues(partial):
            found = self._mark(partial)
            if found is not None:
                self._begin(found)
                self._begun = True
            elif not self.lazy or interrupts(partial):
                return None
            else:
                return self._shown(partial.lstrip(" "))
        return self._shown(self._content(partial))

    def commit(self, partial: str) -> bool:
        """Commit what the last item's paragraph can."""
        self._inside = self._inner is not None and self._inner.commit(partial)
        return self._inside

    def close(self) -> None:
        """Settle what is left and leave the list."""
        self._leave_item()
        self._context.writer.close()

    def _enter(self, text: str) -> bool | None:
        """Decide about a whole line; None: it is a line of the item that is now the last."""
        if is_blank(text):
            self._blank = True
            if self._inner is not None:
                self._inner.line("\n")
            return True
        if self._continues(text):
            return None
        found = self._mark(text)
        if found is not None:
            self._begin(found)
            return None
        if not self.lazy or interrupts(text) or self._inner is None:
            return False
        self._inner.line(text.lstrip(" "))
        return True

    def _continues(self, text: str) -> bool:
        return self._inner is not None and text.startswith(" " * self._offset)

    def _mark(self, text: str) -> re.Match[str] | None:
        found = _MARK.match(text)
        if found is None or found.group(2)[-1] != self._kind or _RULE.fullmatch(text):
            return None
        return found

    def _begin(self, found: re.Match[str]) -> None:
        """Open a new item."""
        if self._inner is not None and self._blank:
            self._tight = False
        self._leave_item()
        self._blank = False
        self._offset = found.end() if found.group(4) else found.end(2) + 1
        is_task = TASK.match(found.string, found.end())
        self._context.writer.open(TASK_OPEN if is_task else ITEM_OPEN, "</li>")
        self._inner = Flow(self._context, tight=self._tight, depth=self._depth)
        self._first = True

    def _leave_item(self) -> None:
        if self._inner is not None:
            self._inner.close()
            self._context.writer.close()
            self._inner = None

    def _feed(self, text: str) -> None:
        inner = self._inner
        if inner is None:
            return
        begun = inner.begun
        inner.line(self._content(text))
        if self._blank and inner.begun > begun > 0:
            self._tight = inner.tight = False
        self._blank = False
        self._first = False

    def _content(self, text: str) -> str:
        """Return what a line says inside its item."""
        content = text[self._offset :] or "\n"
        if self._first and (found := TASK.match(content)):
            return BOXES[found.group(1)] + content[found.end() :]
        return content

    def _shown(self, partial: str) -> str:
        return self._inner.show(partial) if self._inner is not None else ""


class BlockQuoteRenderer(BlockRenderer):
    """An open block quote."""

    def __init__(self, context: Context, depth: int) -> None:
        self._context = context
        context.writer.open(*self._tags)
        self._inner = Flow(context, depth=depth + 1)
        self._inside = False  # the beginning of the line was committed

    @property
    def lazy(self) -> bool:
        """Whether the quote's last block is a paragraph."""
        return self._inner.lazy

    def line(self, text: str) -> str:
        """Take the next line, with its mark or as a lazy one."""
        content = text if self._inside else self._content(text)
        if content is None:
            return text
        self._inside = False
        self._inner.line(content)
        return ""

    def show(self, partial: str) -> str | None:
        """Return the HTML of the quote's tail."""
        if not self._inside and is_blank(partial):
            return self._inner.show("")
        content = partial if self._inside else self._content(partial)
        return None if content is None else self._inner.show(content)

    def commit(self, partial: str) -> bool:
        """Commit what the inner paragraph can."""
        self._inside = self._inner.commit(partial)
        return self._inside

    def close(self) -> None:
        """Settle what is left and leave the quote."""
        self._inner.close()
        self._context.writer.close()

    _tags = QUOTE_OPEN, "</blockquote>"

    def _content(self, text: str) -> str | None:
        """What a line says inside; None: it is not of this block."""
        found = _QUOTE_MARK.match(text)
        if found is None and (is_blank(text) or not self.lazy or interrupts(text)):
            return None
        return text[found.end() :] if found else text


class FootnoteRenderer(BlockQuoteRenderer):
    """An open footnote."""

    _tags = NOTE_OPEN, "</div>"
    _is_first = True

    def line(self, text: str) -> str:
        """Take the next line."""
        rest = super().line(text)
        self._is_first = False
        return rest

    def _content(self, text: str) -> str | None:
        found = FOOTNOTE.match(text.lstrip(" ")) if self._is_first else None
        if found is not None:
            return f"<sup>{found.group(1)}</sup> {text.lstrip(' ')[found.end() :]}"
        if is_blank(text) or text.startswith("    "):
            return text[4:] or "\n"
        return text if self.lazy and not interrupts(text) else None


def _untabbed(text: str) -> str:
    """Spell out the tabs in a line's indentation or behind its mark."""
    if "\t" not in text:
        return text
    end = len(text) - len(text.lstrip(" \t-+*0123456789.)"))
    return text[:end].expandtabs(4) + text[end:]


# What is inside ----------------------------------------------------------------------------------


class Flow:
    """The blocks inside an open container, at the writer's cursor: all but the last are settled,
    the last grows. `tight`: its paragraphs have no element."""

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
