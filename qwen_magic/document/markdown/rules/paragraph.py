"""A paragraph or a heading, cut where nothing later can change what stands before.

A long text is read in pieces (`inline`), so nothing behind the open piece can change one that has
ended; in the open one, text is settled up to where no mark is open:

    settled                                   | not yet
    Some *words* in a [link](http://a.b) and  | **more of
"""

from __future__ import annotations

import re

from qwen_magic.document.markdown.inline import LONGEST, is_plain, last_cut
from qwen_magic.document.markdown.maths import opened_in
from qwen_magic.document.markdown.parser import Token, first_piece, parse_inline
from qwen_magic.document.markdown.render import PARAGRAPH_OPEN, block_htmls, inline_html, text_html
from qwen_magic.document.markdown.rules.renderer import (
    BlockRenderer,
    Context,
    interrupts,
    is_blank,
    settle_text,
    text_to_html,
)
from qwen_magic.document.markdown.unfinished import MOST_MARKS, openers, pending, presentable

SHORTEST_CUT = 80  # characters that are worth settling
LONG_WORD = 400  # characters without a space, of which all but the last …
KEPT_OF_WORD = 80  # … so many are settled
LONG_REST = 160  # characters that are not rendered anew at every update, but only when …
GROWTH = 0.2  # … they have grown by so much; meanwhile what is new is plain text
FAST_GROWTH = 0.5  # … or so much, where it is full of marks that nothing closes
_UNDERLINE = re.compile(r"\s*(?:=+|-+)\s*")
_TARGET = re.compile(r"\]\([^\s)]*$")
_HEADING_MARK = re.compile(r" {0,3}#{1,6}(?:[ \t]+|$)")


class ParagraphRenderer(BlockRenderer):
    """An open paragraph; in a tight list (`bare`) it has no element of its own."""

    @property
    def lazy(self) -> bool:
        """Whether a line may go on with it: always."""
        return True

    def __init__(self, context: Context, bare: bool = False) -> None:
        self._context = context
        self._has_element = not bare
        self._texts: list[str] = []  # of the pieces that have ended
        self._htmls: list[str] = []
        self._is_exact = True  # these are what a parse of the whole gives
        self._begun = ""  # what is settled of the open piece
        self._begun_html = ""
        self._is_sure = True  # nothing that comes changes how it reads
        self._due_piece = 0  # characters from which it is looked for its end
        self._rest = ""  # the text that is not settled
        self._last = "x\n"  # the last whole line
        self._taken = 0  # how much of the line that has begun is in the rest
        self._is_first = True  # no line has come whole
        self._inside = False  # the beginning of the line was committed
        self._due = 0  # the length of the rest from which it is rendered again
        self._blocked = 0  # the length of the rest from which a cut is tried again
        self._shown = ("", 0)  # its HTML when it was last rendered, its length then
        self._blank = 0  # its length up to which only spaces came since then
        if not bare:
            context.writer.open(*self._tags())

    def _tags(self) -> tuple[str, str]:
        return PARAGRAPH_OPEN, "</p>"

    def line(self, text: str) -> str:
        """Take the next line of text."""
        begins = not self._inside and not self._taken
        if begins and (is_blank(text) or self._ends_at(text)):
            return text
        self._take(text)
        self._taken = 0
        self._inside = self._is_first = False
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
        self._is_first = False
        return True

    def close(self) -> None:
        """Settle the rest and leave the paragraph."""
        self._rest = self._rest.rstrip()
        self._end_pieces(is_whole=True)
        self._end_piece(len(self._begun) + len(self._rest), self._whole_html())
        if self._is_exact:
            settle_text("".join(self._texts), "".join(self._htmls), self._context.env)
        if self._has_element:
            self._context.writer.close()

    def _ends_at(self, line: str) -> bool:
        return interrupts(line, self._last) and opened_in(self._rest) is None

    def _take(self, text: str) -> None:
        if (
            not self._inside
            and not self._texts
            and not self._begun
            and not self._rest[: -self._taken or None]
        ):
            text = text.lstrip(" \t")
        self._rest += text[self._taken :]
        self._taken = len(text)

    def _render(self) -> str:
        html, length = self._shown
        blank, self._blank = self._blank, len(self._rest)
        if blank and self._rest[blank:].isspace():
            return html
        if len(self._rest) < self._due:
            self._blank = 0
            return html if _TARGET.search(self._rest) else html + text_html(self._rest[length:])
        self._end_pieces()
        self._cut()
        rest = self._rest.rstrip()
        self._shown = text_to_html(presentable(rest), self._context.env), len(self._rest)
        growth = FAST_GROWTH if self._blocked >= LONGEST else GROWTH
        self._due = int(len(rest) * (1 + growth)) if len(rest) > LONG_REST else 0
        return self._shown[0]

    def _end_pieces(self, is_whole: bool = False) -> None:
        """End the pieces of which all has come; `is_whole`: so has all of the text."""
        due = LONGEST if is_whole else max(LONGEST, self._due_piece)
        while len(text := (self._begun + self._rest).rstrip()) > due:
            found = first_piece(text, self._context.env, is_whole)
            if found is None:
                self._due_piece = int(len(text) * (1 + GROWTH))
                break
            due, self._due_piece = LONGEST, 0
            self._end_piece(found[0], inline_html(found[1]))

    def _end_piece(self, end: int, html: str) -> None:
        """End the open piece behind so many characters; `html` is that of the whole piece."""
        begun, text = len(self._begun), self._begun + self._rest
        if end < begun or not html.startswith(self._begun_html):  # it was settled otherwise
            self._is_exact = False
            end = max(end, begun)
            html = self._begun_html + text_to_html(text[begun:end], self._context.env)
        self._context.writer.settle(html[len(self._begun_html) :])
        self._texts.append(text[:end])
        self._htmls.append(html)
        self._begun = self._begun_html = ""
        self._is_sure = True
        self._rest = text[end:]
        self._due = self._blocked = 0

    def _whole_html(self) -> str:
        """The HTML of the open piece."""
        if self._is_sure:
            return self._begun_html + text_to_html(self._rest, self._context.env)
        return text_to_html(self._begun + self._rest, self._context.env)

    def _cut(self) -> None:
        """Settle as much of the rest as nothing later can change."""
        limit = len(self._rest) - 1
        for _ in range(2 if len(self._rest) >= self._blocked else 0):
            cut = last_cut(self._rest, limit)
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
            if openers(tokens) > MOST_MARKS:  # wait for the piece's end
                self._blocked = LONGEST
                break
        cut = len(self._rest) - KEPT_OF_WORD
        if cut > LONG_WORD - KEPT_OF_WORD and is_plain(self._rest):
            self._is_sure = False  # it may turn out to begin an address
            self._settle(cut, text_html(self._rest[:cut]))

    def _settle(self, cut: int, html: str) -> None:
        self._context.writer.settle(html)
        self._begun += self._rest[:cut]
        self._begun_html += html
        self._rest = self._rest[cut:]
        self._blocked = 0


class HeadingRenderer(ParagraphRenderer):
    """An open heading, which is one line; `opening` is its token."""

    def __init__(self, context: Context, opening: Token) -> None:
        self._opening = opening
        self._ended = False
        super().__init__(context)

    @property
    def lazy(self) -> bool:
        """Whether a line may go on with it: none does."""
        return False

    def _tags(self) -> tuple[str, str]:
        return block_htmls([self._opening])[0], f"</{self._opening.tag}>"

    def line(self, text: str) -> str:
        """Take the line."""
        if self._ended:
            return text
        self._ended = True
        self._take(self._unmarked(text))
        return ""

    def show(self, partial: str) -> str | None:
        """Return the HTML of the text that is not settled."""
        if self._ended:
            return None if partial.strip() else ""
        self._take(self._unmarked(partial))
        return self._render()

    def _unmarked(self, text: str) -> str:
        return text if self._inside else _HEADING_MARK.sub("", text, count=1)
