"""Fences, display maths, indented code: lines that mean nothing but themselves."""

from __future__ import annotations

import re
from dataclasses import replace
from html import escape

from qwen_magic.document.highlight import LineHighlighter, pieces
from qwen_magic.document.markdown.maths import Display
from qwen_magic.document.markdown.parser import Token
from qwen_magic.document.markdown.render import MATHS_OPEN, code_open, fence_language
from qwen_magic.document.markdown.rules.renderer import BlockRenderer, Context, paragraph_html
from qwen_magic.document.markdown.unfinished import presentable

LONGEST_LINE_SHOWN = 2000
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

    def line(self, text: str) -> str:
        """Take the next line of code, or the closing fence."""
        if self._ended:
            return text.strip() and text
        if self._taken == 0 and self._closing.fullmatch(text):
            self._ended = True
            return ""
        code = self._dedented(text)
        self._settle(code[self._taken :])
        self._taken = 0
        self._code.append(code)
        return ""

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

    def __init__(self, context: Context, display: Display, opening: str) -> None:
        self._context = context
        self._display = display
        self._first = True
        self._before = ""  # the newlines that the next line brings with it
        self._ended = False
        self._indent = len(opening) - len(opening.lstrip(" "))
        context.writer.open(MATHS_OPEN, "</div>")

    def line(self, text: str) -> str:
        """Take the next line of TeX; what stands behind the closing mark is not its own."""
        rest = ""
        if not self._first:
            if not text.strip():
                self._before += "" if self._ended else "&#10;"
                return ""
            if not self._is_own(text):
                return text
            parted = self._display.split(text)
            if parted is not None:
                self._ended = True
                text, rest = parted
        self._context.writer.settle(self._before + self._escaped(text.rstrip("\n")))
        self._before, self._first = "\n", False
        return rest and rest + "\n"

    def show(self, partial: str) -> str | None:
        """Return the HTML of a line that has begun."""
        if not partial.strip():
            return ""
        if not self._is_own(partial):
            return None
        parted = replace(self._display).split(partial) or (partial, "")
        own, rest = parted[0], presentable(parted[1][:LONGEST_LINE_SHOWN])
        behind = paragraph_html(rest, self._context.env) if rest else ""
        return self._before + self._escaped(own) + behind

    def close(self) -> None:
        """Leave the maths."""
        self._context.writer.close()

    def _is_own(self, text: str) -> bool:
        return not self._ended and self._display.goes_on(text, blank_before=len(self._before) > 1)

    def _escaped(self, text: str) -> str:
        spaces = len(text) - len(text.lstrip(" "))
        return escape(text[min(spaces, self._indent) :], quote=False)


class IndentedCodeRenderer(BlockRenderer):
    """An open indented code block."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._blanks: list[str] = []
        context.writer.open(code_open(""), "</div>", "</pre>", "</code>")

    def line(self, text: str) -> str:
        """Take the next line of code."""
        text = text.expandtabs(4) if "\t" in text[:4] else text
        if not text.strip():
            self._blanks.append(text[4:] or "\n")
            return ""
        if not text.startswith("    "):
            return text
        self._context.writer.settle(escape("".join(self._blanks) + text[4:], quote=False))
        self._blanks = []
        return ""

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
