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

from qwen_magic.document.markdown.parser import FOOTNOTE
from qwen_magic.document.markdown.render import (
    BOXES,
    BULLETS_OPEN,
    ITEM_OPEN,
    NOTE_OPEN,
    QUOTE_OPEN,
    TASK,
    TASK_OPEN,
    ordered_open,
)
from qwen_magic.document.markdown.rules.flow import Flow
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context, interrupts, is_blank

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
