"""Rules for what stands inside a line: emphasis beside CJK, pictures, citations.

Emphasis. CommonMark lets `**` close behind punctuation only before a space or more punctuation;
Chinese and Japanese set no spaces, so that `**重点：**这是` would stay asterisks. The CJK-friendly
amendments mend this and change nothing for other scripts: punctuation counts only where it is not
CJK's own, and where it does, a CJK character beyond the mark is as good as a space.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final
from unicodedata import east_asian_width

from markdown_it import MarkdownIt
from markdown_it.common.utils import isMdAsciiPunct, isPunctChar, isWhiteSpace
from markdown_it.parser_inline import ParserInline
from markdown_it.rules_inline import StateInline
from markdown_it.rules_inline.image import image
from markdown_it.rules_inline.state_inline import Scanned
from markdown_it.token import Token
from markdown_it.utils import EnvType

_CITATION: Final = re.compile(r"\[(\d{1,3})\]")
_WIDE_SYMBOLS: Final = re.compile("[\u2329\u232a\u2630-\u2637\u268a-\u268f]")  # that are no emoji
_WIDE_EMOJI: Final = re.compile(
    "[\U0001f000-\U0001f1ff\U0001f201\U0001f21a\U0001f22f\U0001f232-\U0001f236"
    "\U0001f238-\U0001f23a\U0001f250\U0001f251\U0001f300-\U0001faff]"
)
_FULL_QUOTE: Final = re.compile("[‘’“”]\ufe01")  # quotation marks in their full-width form


def add_inline(md: MarkdownIt) -> None:
    """Teach a parser these rules."""
    old, md.inline = md.inline, _InlineParser()
    md.inline.ruler, md.inline.ruler2 = old.ruler, old.ruler2
    md.inline.ruler.at("image", _image)
    md.inline.ruler.after("link", "citation", _citation)


class _InlineParser(ParserInline):
    """The parser of lines, with our notion of where a mark of emphasis may open and close."""

    def parse(self, src: str, md: MarkdownIt, env: EnvType, tokens: list[Token]) -> list[Token]:
        state = _Inline(src, md, env, tokens)
        self.tokenize(state)
        for rule in self.ruler2.getRules(""):
            rule(state)
        return state.tokens


class _Inline(StateInline):
    def scanDelims(self, start: int, canSplitWord: bool) -> Scanned:  # noqa: N802, N803
        src, end = self.src, start + 1
        while end < self.posMax and src[end] == src[start]:
            end += 1
        before = src[max(0, start - 2) : start] or " "
        after = src[end] if end < self.posMax else " "
        if before.isascii() and after.isascii():
            return super().scanDelims(start, canSplitWord)
        full = _FULL_QUOTE.fullmatch(before)
        last = before[-1]
        if len(before) == 2 and "\ufe00" <= last <= "\ufe0e":  # a variation of what it follows
            last = before[0]
        cjk_before, cjk_after = full is not None or is_cjk(last), is_cjk(after)
        mark_before, mark_after = _is_punctuation(last), _is_punctuation(after)
        space_before, space_after = isWhiteSpace(ord(last)), isWhiteSpace(ord(after))
        left = not space_after and (
            not mark_after or cjk_after or space_before or mark_before or cjk_before
        )
        right = not space_before and (
            not mark_before or cjk_before or space_after or mark_after or cjk_after
        )
        return Scanned(
            left and (canSplitWord or not right or mark_before),
            right and (canSplitWord or not left or mark_after),
            end - start,
        )


@lru_cache(maxsize=4096)
def is_cjk(char: str) -> bool:
    """Whether a character is Chinese, Japanese or Korean, letter or punctuation: one that is wide
    and no emoji, Hangul, or the selector of an ideograph's variation."""
    if char < "\u1100":
        return False
    if char < "\u2e80":
        return char < "\u1200" or char == "\u20a9" or bool(_WIDE_SYMBOLS.match(char))
    if "\ud7b0" <= char <= "\ud7ff" or "\U000e0100" <= char <= "\U000e01ef":
        return True
    return east_asian_width(char) in "WFH" and not _WIDE_EMOJI.match(char)


def _is_punctuation(char: str) -> bool:
    return isMdAsciiPunct(ord(char)) or isPunctChar(char)


def _image(state: StateInline, silent: bool) -> bool:
    """An image, whose token keeps what it was written as."""
    start = state.pos
    if not image(state, silent):
        return False
    if not silent:
        state.tokens[-1].meta = {"written": state.src[start : state.pos]}
    return True


def _citation(state: StateInline, silent: bool) -> bool:
    """`[n]`, where the text's callback knows an address for the number. It comes after CommonMark's
    rules for links, so that `[1](http://…)` stays a link."""
    ask = state.env.get("citation")
    # Silent is the search for the end of a link's text, where a number in brackets is only text.
    if silent or ask is None or state.src[state.pos] != "[" or state.linkLevel > 0:
        return False
    found = _CITATION.match(state.src, state.pos, state.posMax)
    url = ask(int(found.group(1))) if found is not None else None
    if found is None or url is None:
        return False
    token = state.push("citation", "a", 0)
    token.content = found.group()
    token.attrs = {"href": url}
    token.meta = {"number": int(found.group(1))}
    state.pos = found.end()
    return True
