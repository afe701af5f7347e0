"""Texts as words, so that two prompts are one where only case, punctuation or spaces differ.

    "What's the MEAN of 1,000 and 2.5?"  ->  whats the mean of 1000 and 2.5

What changes the meaning stays: operators, brackets, `%` and signs are words (17*23 is not 17+23,
C++ is not C), numbers are whole (2.5 is not 25, 5² is 5 ^ 2), and each Chinese or Japanese
character is a word, so that spaces between them do not matter.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

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
_ENDING = re.compile(r"[\s.!?…。！？]*")
_SETS_OFF = frozenset(":\n\"'`“”‘„‚«‹「『《")
_SAME = {"×": "*", "⋅": "*", "÷": "/", "−": "-"}
_PREFIXED = {"<super>": "^", "<sub>": "_", "<fraction>": " ", "<circle>": " "}
_LEADING = re.compile(r"(?:please|hey|(?:can|could|would) you) ")  # and another word
_TRAILING = ("please", "thanks")
SLOT = "\ue000"  # private use: the first of the characters that mark slots in a lesson's prompt


@dataclass(frozen=True, slots=True)
class Words:
    """A text as its words; `places` tells where each stands in `text`, as it was prepared."""

    text: str
    words: tuple[str, ...]
    places: tuple[tuple[int, int], ...]

    def raw(self, start: int, end: int) -> str:
        """What was typed, from word `start` up to, but without, word `end`."""
        return self.text[self.places[start][0] : self.places[end - 1][1]]

    def passage(self, start: int, end: int) -> str:
        """The same as a text: the last one with the full stop or other marks that end it."""
        raw = self.raw(start, end)
        if end < len(self.words):
            return raw
        marks = _ENDING.match(self.text, self.places[end - 1][1])
        return raw + (marks[0].rstrip() if marks else "")

    def is_set_off(self, at: int) -> bool:
        """Whether a colon, a quotation mark or a new line stands before word `at`, as before a text
        that the sentence is about."""
        if not 0 < at < len(self.places):
            return False
        between = self.text[self.places[at - 1][1] : self.places[at][0]]
        return not _SETS_OFF.isdisjoint(between)


@lru_cache(maxsize=500)
def read_words(text: str) -> Words:
    """The text's words, without polite ones around it; none where it is too long."""
    prepared = _prepared(text) if len(text) <= MAX_CHARACTERS else ""
    found = list(_tokens(prepared))
    start, end = 0, len(found)
    while start + 1 < end and (polite := _LEADING.match(" ".join(w for w, _, _ in found[start:]))):
        start += polite[0].count(" ")
    if end - start > 1 and found[end - 1][0] in _TRAILING:
        set_off = prepared[: found[end - 1][1]].rstrip()[-1:] in ",.!?"  # no part of the question
        end -= set_off
    kept = found[start:end]
    return Words(prepared, tuple(w for w, _, _ in kept), tuple((a, b) for _, a, b in kept))


def normalised(text: str) -> tuple[str, ...]:
    return read_words(text).words


def _prepared(text: str) -> str:
    """NFKC, with a mark where that would join what was apart: 5² becomes 5^2, not 52."""
    marked = []
    for character in text:
        kind = unicodedata.decomposition(character).partition(" ")[0]
        marked.append(_PREFIXED.get(kind, "") + _SAME.get(character, character))
    return unicodedata.normalize("NFKC", "".join(marked)).replace("\u2044", "/")


def _tokens(text: str) -> Iterator[tuple[str, int, int]]:
    """(word, start, end) for each."""
    for match in _TOKEN.finditer(text):
        start, end = match.span()
        if match["word"]:
            yield match[0].replace("'", "").replace("’", "").casefold(), start, end
        elif not match["number"]:
            if not _is_dropped(text, start):
                yield match[0].casefold(), start, end
        elif _THOUSANDS.fullmatch(match[0]):
            yield match[0].replace(",", ""), start, end
        else:  # with commas, it is several: 1,000 is one number, 1,2 are two
            for part in match[0].split(","):
                yield part.casefold(), start, start + len(part)
                start += len(part) + 1


def _is_dropped(text: str, place: int) -> bool:
    """Whether the character there is mere punctuation."""
    character, before, after = text[place], text[place - 1 : place], text[place + 1 : place + 2]
    if character == "!":
        return not (before.isdigit() or before == ")" or is_slot(before))  # 5! is a number
    if character == "–" and before.isdigit() and after.isdigit():
        return False
    if character == "-":
        return before.isalpha() and after.isalpha()  # p-value
    return character in _DROPPED


def is_slot(word: str) -> bool:
    return "\ue000" <= word <= "\uf8ff"
