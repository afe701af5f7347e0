"""Fences, display maths, indented code: lines that mean nothing but themselves."""

from __future__ import annotations

import re
from html import escape

from qwen_magic.document.highlight import LineHighlighter, pieces
from qwen_magic.document.markdown.maths import closes, opening_mark
from qwen_magic.document.markdown.parser import Token
from qwen_magic.document.markdown.render import MATHS_OPEN, code_open, fence_language
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context

_OPENING = re.compile(r"( {0,3})(`{3,}|~{3,})")


class FenceRenderer(BlockRenderer):
    """An open code fence, highlighted line by line."""

    def __init__(self, context: Context, token: Token, opening: str) -> None:
        found = _OPENING.match(opening)
        self._indent = len(found.group(1)) if found else 0
        self._closing = re.compile(rf" {{0,3}}{token.markup[0]}{{{len(token.markup)},}}[ \t]*\n?")
        self._context = context
        self._language = fence_language(token.info)
        self._highlighter = LineHighlighter(self._language)
        self._code: list[str] = []
        self._html: list[str] = []
        self._ended = False
        self._taken = 0  # how much of the line that has begun is settled
        context.writer.open(code_open(self._language), "</div>", "</pre>", "</code>")

    def line(self, text: str) -> bool:
        """Take the next line of code, or the closing fence."""
        if self._ended:
            return not text.strip()
        if self._taken == 0 and self._closing.fullmatch(text):
            self._ended = True
            return True
        code = self._dedented(text)
        self._settle(code[self._taken :])
        self._taken = 0
        self._code.append(code)
        return True

    def show(self, partial: str) -> str | None:
        """Return the HTML of a line that has begun."""
        if self._ended:
            return None if partial.strip() else ""
        stripped = partial.strip()
        if not stripped or stripped == self._closing.pattern[6] * len(stripped):
            return ""
        begun = pieces(self._dedented(partial)[self._taken :])
        for piece in begun[:-1]:
            self._settle(piece)
            self._taken += len(piece)
        return self._highlighter.preview(begun[-1]) if begun else ""

    def close(self) -> None:
        """Leave the code block, whose HTML is then known for good."""
        self._context.highlights.known["".join(self._code), self._language] = self._html
        self._context.writer.close(3)

    def _settle(self, code: str) -> None:
        for piece in pieces(code):
            html = self._highlighter.line(piece)
            self._html.append(html)
            self._context.writer.settle(html)

    def _dedented(self, text: str) -> str:
        for _ in range(self._indent):
            text = text[1:] if text[:1] == " " else text
        return text


class MathsRenderer(BlockRenderer):
    """Open display maths, kept as it is written."""

    def __init__(self, context: Context, opening: str) -> None:
        self._context = context
        self._mark = opening_mark(opening)
        self._before = ""  # the newline that the next line brings with it
        self._ended = False
        self._indent = len(opening) - len(opening.lstrip(" "))
        self._first = True
        context.writer.open(MATHS_OPEN, "</div>")

    def line(self, text: str) -> bool:
        """Take the next line of TeX."""
        if self._ended:
            return not text.strip()
        self._context.writer.settle(self._before + self._escaped(text.rstrip("\n")))
        self._before = "\n"
        self._ended = not self._first and closes(text, self._mark)
        self._first = False
        return True

    def show(self, partial: str) -> str | None:
        """Return the HTML of a line that has begun."""
        if self._ended:
            return None if partial.strip() else ""
        return self._before + self._escaped(partial) if partial else ""

    def close(self) -> None:
        """Leave the maths."""
        self._context.writer.close()

    def _escaped(self, text: str) -> str:
        spaces = len(text) - len(text.lstrip(" "))
        return escape(text[min(spaces, self._indent) :], quote=False)


class IndentedCodeRenderer(BlockRenderer):
    """An open indented code block."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blanks: list[str] = []
        context.writer.open(code_open(""), "</div>", "</pre>", "</code>")

    def line(self, text: str) -> bool:
        """Take the next line of code."""
        text = text.expandtabs(4) if "\t" in text[:4] else text
        if not text.strip():
            self._blanks.append(text[4:] or "\n")
            return True
        if not text.startswith("    "):
            return False
        self._context.writer.settle(escape("".join(self._blanks) + text[4:], quote=False))
        self._blanks = []
        return True

    def show(self, partial: str) -> str | None:
        """Return the HTML of a line that has begun."""
        if not partial.strip():
            return ""
        if not partial.startswith("    "):
            return None
        return escape("".join(self._blanks) + partial[4:], quote=False)

    def close(self) -> None:
        """Leave the code block."""
        self._context.writer.close(3)
