"""Texts as words, so that two prompts are one where only case, punctuation or spaces differ.

    "What's the MEAN of 1,000 and 2.5?"  ->  whats the mean of 1000 and 2.5

What changes the meaning stays: operators, brackets, `%` and signs are words (17*23 is not 17+23,
C++ is not C), numbers are whole (2.5 is not 25, 5² is 5 ^ 2), and each Chinese or Japanese
character is a word, so that spaces between them do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from qwen_magic.demo.frames import Frame, find_frames

MAX_CHARACTERS = 200_000  # a longer prompt is none of a lesson's

_CJK = "\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_TOKEN = re.compile(
    rf"(?P<number>(?:\d+(?:[.,:]\d+)*|\.\d+)(?:[eE][+-]?\d+(?!\w))?)"
    rf"|[{_CJK}]"
    rf"|(?P<word>(?![{_CJK}\d])\w(?:(?![{_CJK}])\w|['’](?=[^\W\d_]))*)"
    rf"|\S"
)
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?")
_DROPPED = frozenset(".,;:!?…\"'`“”‘’«»„‚‹›。、「」『』《》〈〉—–¡¿·‐")
_SAME = {"×": "*", "⋅": "*", "÷": "/", "−": "-"}
_PREFIXED = {"<super>": "^", "<sub>": "_", "<fraction>": " ", "<circle>": " "}
_LEADING = (("please",), ("can", "you"), ("could", "you"), ("would", "you"), ("hey",))
_TRAILING = (("please",), ("thanks",))


@dataclass(frozen=True, slots=True)
class Token:
    """A word, and where it stands in the prepared text. `frame`: it stands for a table there."""

    word: str
    start: int
    end: int
    frame: Frame | None = None


@dataclass(frozen=True, slots=True)
class Words:
    """A text as its tokens; `text` is what their places count in."""

    text: str
    tokens: tuple[Token, ...]
    words: tuple[str, ...]

    def raw(self, start: int, end: int) -> str:
        """What was typed, from token `start` up to, but without, token `end`."""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]


def read_words(text: str) -> Words:
    """The text's words, without polite ones around it."""
    if len(text) > MAX_CHARACTERS:
        return Words("", (), ())
    prepared = _prepared(text)
    tokens: list[Token] = []
    place = 0
    for frame in find_frames(prepared):
        tokens += _tokens(prepared, place, frame.start)
        tokens.append(Token("\0table", frame.start, frame.end, frame))
        place = frame.end
    tokens += _tokens(prepared, place, len(prepared))
    kept = tuple(_without_politeness(prepared, tokens))
    return Words(prepared, kept, tuple(token.word for token in kept))


def normalised(text: str) -> tuple[str, ...]:
    return read_words(text).words


def _prepared(text: str) -> str:
    """NFKC, with a mark where that would join what was apart: 5² becomes 5^2, not 52."""
    marked = []
    for character in text:
        kind = unicodedata.decomposition(character).partition(" ")[0]
        marked.append(_PREFIXED.get(kind, "") + _SAME.get(character, character))
    return unicodedata.normalize("NFKC", "".join(marked)).replace("\u2044", "/")


def _tokens(text: str, start: int, end: int) -> list[Token]:
    found: list[Token] = []
    for match in _TOKEN.finditer(text, start, end):
        if match["number"]:
            found += _numbers(match[0], match.start())
        elif match["word"]:
            word = match[0].replace("'", "").replace("’", "").casefold()
            found.append(Token(word, *match.span()))
        elif not _is_dropped(text, match.start()):
            found.append(Token(match[0].casefold(), *match.span()))
    return found


def _numbers(written: str, start: int) -> list[Token]:
    """One number, or several with commas between them: 1,000 is one, 1,2 are two."""
    if _THOUSANDS.fullmatch(written):
        return [Token(written.replace(",", ""), start, start + len(written))]
    found = []
    for part in written.split(","):
        found.append(Token(part.casefold(), start, start + len(part)))
        start += len(part) + 1
    return found


def _is_dropped(text: str, place: int) -> bool:
    """Whether the character there is mere punctuation."""
    character = text[place]
    before, after = text[place - 1 : place], text[place + 1 : place + 2]
    if character == "!":
        return not before.isdigit() and before != ")" and not is_slot(before)  # 5! is a number
    if character == "–" and before.isdigit() and after.isdigit():
        return False
    if character == "-":
        return before.isalpha() and after.isalpha() and not is_slot(before)  # p-value
    return character in _DROPPED


def _without_politeness(text: str, tokens: list[Token]) -> Sequence[Token]:
    """Without "please" and its like at both ends, as long as other words remain."""
    start, end = 0, len(tokens)
    again = True
    while again:
        again = False
        for polite in _LEADING:
            n = len(polite)
            if end - start > n and tuple(t.word for t in tokens[start : start + n]) == polite:
                start, again = start + n, True
    for polite in _TRAILING:
        last = tokens[end - 1].word if end - start > 1 else ""
        if (last,) == polite and text[: tokens[end - 1].start].rstrip()[-1:] in ",.!?":
            end -= 1  # set off by a comma: no part of the question
    return tokens[start:end]


_FIRST_SLOT = 0xE000  # private use: a slot's place in a lesson's prompt


def slot_mark(number: int) -> str:
    return chr(_FIRST_SLOT + number)


def is_slot(character: str) -> bool:
    return "\ue000" <= character <= "\uf8ff"


def slot_number(word: str) -> int:
    return ord(word) - _FIRST_SLOT
